"""The plan: which frames of which video are decoded when, as a pure function of (seed, number of the batch)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from seqff.config import PairsConfig

_ORDER, _VISIT, _DEAL, _SPARE = range(4)  # what a random stream is for


@dataclass(frozen=True)
class Visit:
    """One opening of one video.

    Args:
        video: its number in the plan.
        indices: (T,) int64, the frames to decode, ascending and unique.
        uses: for each batch the visit feeds, the positions in `indices` of the frames it gives.
    """

    video: int
    indices: np.ndarray
    uses: tuple[np.ndarray, ...]


class Plan:
    """What every batch consists of; holds no state, so resuming at batch b costs nothing.

    Visits come in rounds. A round visits `videos_per_round` videos once; each visit feeds `uses` batches, and the
    frames of a round are dealt out so that each batch gets `videos_per_batch` different videos. An epoch is one pass
    over all videos in random order.

    Args:
        frames: number of frames of every video.
        config: sizes of batches, stretches and rounds.
        seed: of all choices.

    Raises:
        ValueError: no videos, fewer than two of them, or a video with no pair `gap` frames apart.
    """

    def __init__(self, frames: Sequence[int], config: PairsConfig, seed: int) -> None:
        if len(frames) < 2:
            raise ValueError(f"training needs at least 2 videos (other videos are the negatives), got {len(frames)}")
        if min(frames) <= config.gap:
            raise ValueError(f"a video of {min(frames)} frames has no pair {config.gap} frames apart (pairs.gap)")
        if config.stretch_frames <= config.gap:
            raise ValueError(
                f"pairs.stretch_frames={config.stretch_frames} must be larger than pairs.gap={config.gap}: "
                "a stretch must hold at least one pair"
            )
        self.frames = np.asarray(frames, dtype=np.int64)
        self.config = config
        self.seed = seed
        self.videos_per_batch = min(config.videos_per_batch, len(frames))
        groups = max(1, min(config.buffer_videos, len(frames)) // self.videos_per_batch)
        self.videos_per_round = groups * self.videos_per_batch
        self.batches_per_round = groups * config.uses
        self.rounds_per_epoch = -(-len(frames) // self.videos_per_round)

    def _random(self, *key: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, *key])

    def visit(self, round_number: int, slot: int, attempt: int = 0) -> Visit:
        """Return a visit of a round.

        Args:
            round_number: from 0 on, without end.
            slot: 0..videos_per_round - 1.
            attempt: 0, or how many visits failed in this slot: then a spare video, chosen at random, stands in.
        """
        if attempt:
            video = int(self._random(_SPARE, round_number, slot, attempt).integers(len(self.frames)))
        else:
            epoch, part = divmod(round_number, self.rounds_per_epoch)
            order = self._random(_ORDER, epoch).permutation(len(self.frames))
            # the last round of an epoch is filled from the start of the same order: no video twice in a round
            video = int(order[(part * self.videos_per_round + slot) % len(order)])
        random = self._random(_VISIT, round_number, slot, attempt)
        chosen = [self._stretches(int(self.frames[video]), random) for _ in range(self.config.uses)]
        indices = np.unique(np.concatenate(chosen))
        return Visit(video, indices, tuple(np.searchsorted(indices, frames) for frames in chosen))

    def _stretches(self, frames: int, random: np.random.Generator) -> np.ndarray:
        """One stretch in each equal section of a video; (T,) ascending frame numbers, unique where stretches meet."""
        length = min(self.config.stretch_frames, frames)
        edges = np.linspace(0, frames - length + 1, self.config.stretches + 1)
        starts = np.floor(random.uniform(edges[:-1], edges[1:])).astype(np.int64)
        return np.unique(np.minimum(starts, frames - length)[:, None] + np.arange(length))

    def deal(self, round_number: int) -> list[list[tuple[int, int]]]:
        """Say for each batch of a round which (slot, use) feed it; each use of each slot exactly once."""
        random = self._random(_DEAL, round_number)
        batches: list[list[tuple[int, int]]] = []
        for use in range(self.config.uses):
            slots = random.permutation(self.videos_per_round).reshape(-1, self.videos_per_batch)
            batches += [[(int(slot), use) for slot in group] for group in slots]
        return batches
