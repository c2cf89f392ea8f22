"""The plan: which frames of which video are decoded when, as a pure function of (seed, batch number)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seqff.config import PairsConfig
from seqff.pairs.coordinates import distances
from seqff.random_streams import RandomStream


@dataclass(frozen=True)
class Visit:
    """One opening of one video.

    Args:
        video: number of the video in the plan.
        indices: (T,) int64, the frames to decode, ascending and unique.
        uses: for each batch that the visit feeds, positions in `indices` of its frames.
    """

    video: int
    indices: np.ndarray
    uses: tuple[np.ndarray, ...]


class Plan:
    """The composition of every batch; stateless, so resuming at batch b costs nothing.

    Visits come in rounds. A round makes `videos_per_round` visits; each visit feeds `uses` batches, and the frames of a
    round are distributed so that each batch gets `videos_per_batch` different videos.

    An epoch is `rounds_per_epoch` rounds, as many visits as there are videos, rounded up to whole rounds. With
    `weights="video"` it is one pass over all videos in random order. With other weights the visits of an epoch are
    apportioned by the number of frames (or its square root): a video entitled to 2.3 visits gets 2 in most epochs and 3
    in the others, one entitled to 0.3 gets none in most. No video is in a batch twice, so a video gets at most as many
    visits as there are groups of `videos_per_batch` visits in the epoch; the excess goes to the others.

    Args:
        frames: number of frames of every video.
        config: sizes of batches, clips and rounds.
        seed: seed of all choices.
        starts: returns the possible clip starts of a video by its number (see `find_starts`), or None for anywhere.

    Raises:
        ValueError: settings out of range, fewer than two videos, or, without `starts`, a video without a pair.
    """

    def __init__(
        self,
        frames: Sequence[int] | NDArray[np.int64],
        config: PairsConfig,
        seed: int,
        *,
        starts: Callable[[int], NDArray[np.int64] | None] | None = None,
    ) -> None:
        check_settings(config)
        gap, _, unit = distances(config)
        if len(frames) < 2:
            raise ValueError(f"training needs at least 2 videos (other videos are the negatives), got {len(frames)}")
        self.starts, self.frames = starts, np.asarray(frames, dtype=np.int64)
        if starts is None and unit == "frames" and (shortest := int(self.frames.min())) <= gap:
            raise ValueError(f"a video of {shortest} frames has no pair {gap} frames apart (pairs.gap)")
        self.config = config
        self.seed = seed
        self.videos_per_batch = min(config.videos_per_batch, len(frames))
        self.groups = max(1, min(config.buffer_videos, len(frames)) // self.videos_per_batch)
        self.videos_per_round = self.groups * self.videos_per_batch
        self.batches_per_round = self.groups * config.batches_per_visit
        self.rounds_per_epoch = -(-len(frames) // self.videos_per_round)
        self._latest: tuple[int, NDArray[np.int64]] | None = None  # latest round and its videos
        self.due_visits: NDArray[np.float64] | None = None
        if config.weights != "video":
            weights = self.frames.astype(np.float64) ** (0.5 if config.weights == "sqrt" else 1.0)
            rounds = self.rounds_per_epoch
            self.due_visits = apportion(weights, rounds * self.videos_per_round, most=rounds * self.groups)

    def videos(self, round_number: int) -> NDArray[np.int64]:
        """Return the videos of a round's visits, (videos_per_round,) int64."""
        if self._latest is None or self._latest[0] != round_number:
            self._latest = round_number, self._draw(round_number)
        return self._latest[1]

    def _draw(self, round_number: int) -> NDArray[np.int64]:
        epoch, part = divmod(round_number, self.rounds_per_epoch)
        random = RandomStream.ORDER.generator(self.seed, epoch)
        order = random.permutation(len(self.frames))
        if self.due_visits is None:
            # the last round of an epoch wraps around to the start of the same order: no video twice in a round
            slots = part * self.videos_per_round + np.arange(self.videos_per_round)
            return order[slots % len(order)]
        # systematic sampling: entitlements laid end to end, with a mark every 1; a round takes every rounds-th mark
        ends = np.cumsum(self.due_visits[order])
        part = int(random.permutation(self.rounds_per_epoch)[part])
        marks = random.random() + np.arange(part, self.rounds_per_epoch * self.videos_per_round, self.rounds_per_epoch)
        return order[np.minimum(np.searchsorted(ends, marks, side="right"), len(order) - 1)]

    def visit(self, round_number: int, slot: int, attempt: int = 0) -> Visit:
        """Return a visit of a round.

        Args:
            round_number: any number from 0.
            slot: 0..videos_per_round - 1.
            attempt: number of failed visits in this slot; above 0, a random replacement video is used.
        """
        if attempt:
            video = int(RandomStream.SPARE.generator(self.seed, round_number, slot, attempt).integers(len(self.frames)))
        else:
            video = int(self.videos(round_number)[slot])
        random = RandomStream.VISIT.generator(self.seed, round_number, slot, attempt)
        chosen = self._clips(video, random)
        indices = np.unique(chosen)
        return Visit(video, indices, tuple(np.searchsorted(indices, np.unique(frames)) for frames in chosen))

    def _clips(self, video: int, random: np.random.Generator) -> NDArray[np.int64]:
        """Return for each use a clip from each equal section of a video's starts; (uses, T), ascending, with
        repeats."""
        frames, starts = int(self.frames[video]), self.starts(video) if self.starts else None
        length = min(self.config.clip_length, frames)
        count = frames - length + 1 if starts is None else len(starts)
        edges = np.linspace(0, count, self.config.clips_per_video + 1)
        uses = self.config.batches_per_visit
        places = random.uniform(edges[:-1], edges[1:], (uses, self.config.clips_per_video)).astype(np.int64)
        places = np.minimum(places, count - 1)
        chosen = places if starts is None else starts[places]
        return (chosen[:, :, None] + np.arange(length)).reshape(uses, -1)

    def deal(self, round_number: int) -> list[list[tuple[int, int]]]:
        """Return the (slot, use) pairs that feed each batch of a round; each use of each slot occurs exactly once."""
        random = RandomStream.DEAL.generator(self.seed, round_number)
        batches: list[list[tuple[int, int]]] = []
        for use in range(self.config.batches_per_visit):
            if self.due_visits is None:
                slots = random.permutation(self.videos_per_round).reshape(-1, self.videos_per_batch)
            else:  # visits of a video are adjacent and dealt round-robin: never two to one batch
                names, name = np.unique(self.videos(round_number), return_inverse=True)
                slots = np.argsort(random.permutation(len(names))[name], kind="stable").reshape(-1, self.groups).T
            batches += [[(int(slot), use) for slot in group] for group in slots]
        return batches


def apportion(weights: NDArray[np.float64], total: int, *, most: int) -> NDArray[np.float64]:
    """Apportion `total` by positive weights, at most `most` each; (n,) float64 that sum to `total`."""
    full = np.zeros(len(weights), dtype=bool)
    while True:
        free = np.where(full, 0.0, weights)
        shares = np.where(full, most, (total - most * full.sum()) * free / (free.sum() or 1.0))
        over = shares > most
        if not over.any():
            return shares
        full |= over


def check_settings(config: PairsConfig) -> None:
    """Check that the settings can make a batch.

    Raises:
        ValueError: a setting is out of range.
    """
    for name, least in (
        ("videos_per_batch", 2),
        ("clips_per_video", 1),
        ("batches_per_visit", 1),
        ("buffer_videos", 1),
    ):
        if getattr(config, name) < least:
            raise ValueError(f"pairs.{name} must be at least {least}, got {getattr(config, name)}")
    if not 0 < config.crop <= 1 or config.brightness < 0:
        raise ValueError(
            f"pairs.crop must be in (0, 1] and pairs.brightness >= 0, got {config.crop} and {config.brightness}"
        )
    if not 0 <= config.color_jitter <= 1:
        raise ValueError(f"pairs.color_jitter must be 0 (colors as they are) to 1, got {config.color_jitter}")
    gap, far, unit = distances(config)
    if not 0 < gap < far:
        raise ValueError(f"pairs.gap must be above 0 and pairs.far larger, got {config.gap} and {config.far}")
    if unit == "frames" and config.clip_length <= gap:
        raise ValueError(
            f"pairs.clip_frames={config.clip_length} must be larger than pairs.gap={config.gap}: "
            "a clip must hold at least one pair"
        )
