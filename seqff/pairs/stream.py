"""The stream: decodes visits, distributes their frames over batches, and augments them."""

from __future__ import annotations

import copy
import itertools
import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from seqff.config import PairsConfig
from seqff.devices import sent
from seqff.errors import SeqffError
from seqff.pairs.augment import augment
from seqff.pairs.batch import FrameBatch
from seqff.pairs.coordinates import distances, find_starts, have_pairs
from seqff.pairs.plan import Plan, check_settings
from seqff.pairs.visits import VisitDataset, VisitFrames, load_visits
from seqff.random_streams import RandomStream
from seqff.transform import FrameTransform
from seqff.video import Manifest, VideoEntry, fill_cache
from seqff.video.rows import Rows, chosen, column

log = logging.getLogger(__name__)
TIMEOUT_SECONDS = 120.0


class PairStream:
    """Batches for training; the same sequence whatever the number of workers.

    In data-parallel training each of `world` processes creates its own stream with its `rank`: rounds are assigned in
    turn, so that no video is decoded by two ranks and an epoch is still one pass. Streams are endless, so all ranks can
    take the same number of batches.

    Args:
        manifest: manifest of the videos; usable ones with at least one pair are used.
        transform: size and scaling of the encoder's input.
        config: see `PairsConfig`.
        seed: seed of plan and augmentation; the same in all ranks.
        workers: decoding processes, which read one round ahead; 0 decodes in this process.
        max_bad: share of videos that may turn out unreadable in this process before the stream stops.
        rank: rank of this process, from 0.
        world: number of processes.
        timeout_seconds: longest time for a visit in a worker; then the stream stops with a `VideoError` that names the
            file. With workers=0 a hanging decoder cannot be detected.
        device: device of the augmentation and of the frames; the coordinates of batches are on the CPU.

    Raises:
        ValueError: too few usable videos, or settings that do not fit each other or the videos.
    """

    def __init__(
        self,
        manifest: Manifest,
        transform: FrameTransform,
        config: PairsConfig,
        *,
        seed: int,
        workers: int = 0,
        max_bad: float = 0.05,
        rank: int = 0,
        world: int = 1,
        timeout_seconds: float = TIMEOUT_SECONDS,
        device: torch.device | str = "cpu",
    ) -> None:
        if workers < 0 or timeout_seconds <= 0 or not 0 <= rank < world:
            raise ValueError(
                "workers must be at least 0, timeout_seconds above 0 and rank in 0..world - 1, got "
                f"workers={workers}, timeout_seconds={timeout_seconds}, rank={rank}, world={world}"
            )
        check_settings(config)
        paired = have_pairs(manifest.usable, config)
        self.entries = chosen(manifest.usable, paired)
        self.without_pair: list[str] = column(chosen(manifest.usable, ~paired), "path").tolist()
        self.identity = identities(self.entries)
        if len(self.entries) > 1 and self.videos < 2:
            raise ValueError(f"training needs at least 2 different videos: all {len(self.entries)} are copies of one")
        starts = partial(_starts, self.entries, config)
        self.plan = Plan(column(self.entries, "frames"), config, seed, starts=starts)
        self.dataset = VisitDataset(str(manifest.root), self.entries, self.plan, transform, config)
        if not workers:
            self.dataset.keep(1)
        self.manifest, self.transform, self.config, self.seed = manifest, transform, config, seed
        self.workers, self.rank, self.world, self.timeout_seconds = workers, rank, world, timeout_seconds
        self.max_bad, self.failed, self.device = max_bad, dict[int, str](), device
        self._warn()

    @property
    def videos(self) -> int:
        """Number of different videos; copies count once."""
        return len(np.unique(self.identity))

    def read_from(self, table: Path) -> None:
        """Read entries from a saved copy of the manifest, because its own file may change or vanish."""
        if isinstance(self.entries, Rows):
            self.entries.move(table)

    def plain(self) -> PairStream:
        """Return a stream of the same batches without augmentation, on the CPU."""
        plain = copy.copy(self)
        plain.device = "cpu"
        plain.config, plain.workers = replace(self.config, crop=1.0, flip=False, brightness=0.0, color_jitter=0.0), 0
        return plain

    def fill_cache(self, *, progress: bool = True) -> None:
        """Fill the frame cache, if enabled; otherwise the first visit of each video does so.

        Raises:
            SeqffError: the disk lacks space; nothing was written.
        """
        config = self.config
        if config.cache != "none":
            fill_cache(
                Manifest(self.manifest.root, self.entries),
                size_of=lambda entry: self.transform.decode_size(entry.height, entry.width),
                cache=config.cache,
                progress=progress,
            )

    def batches(self, start: int = 0) -> Iterator[FrameBatch]:
        """Yield this rank's batches from number `start` on, endlessly; earlier rounds are not decoded.

        Raises:
            SeqffError: too many videos turned out unreadable, or (as `VideoError`) a decoding process hung or died.
        """
        first, skip = divmod(start, self.plan.batches_per_round)
        begin, size = first * self.world + self.rank, self.plan.videos_per_round
        visits = load_visits(
            self.dataset,
            (number * size + slot for number in itertools.count(begin, self.world) for slot in range(size)),
            workers=self.workers,
            timeout_seconds=self.timeout_seconds,
        )
        for round_number in itertools.count(begin, self.world):
            held = [self._checked(next(visits)) for _ in range(size)]
            for place, sources in enumerate(self.plan.deal(round_number)):
                if place >= skip:
                    number = round_number * self.plan.batches_per_round + place
                    yield self._batch(number, [(held[slot], use) for slot, use in sources])
            skip = 0
            del held  # before the next round is loaded

    def _checked(self, visit: VisitFrames) -> VisitFrames:
        """Count and report newly unreadable videos."""
        for video, cause in visit.failures:
            if video not in self.failed:
                self.failed[video] = cause
                log.warning("left out from now on: %s", cause)
        if len(self.failed) > self.max_bad * len(self.entries):
            raise SeqffError(
                f"{len(self.failed)} of {len(self.entries)} videos could not be read, more than {self.max_bad:.0%}: "
                + "; ".join(list(self.failed.values())[:5])
            )
        if visit.fatal:
            raise SeqffError(visit.fatal)
        return visit

    def _batch(self, number: int, sources: list[tuple[VisitFrames, int]]) -> FrameBatch:
        video, where = [], []
        count = sum(len(held.visit.uses[use]) for held, use in sources)
        shape = (count, 3, self.transform.height, self.transform.width)
        frames = torch.empty(shape, device=self.device, dtype=torch.float32, memory_format=torch.channels_last)
        filled = 0
        for place, (held, use) in enumerate(sources):
            rows = held.visit.uses[use]
            random = RandomStream.AUGMENTATION.generator(self.seed, number, place)
            numbers = held.visit.indices[rows]
            decoded = sent(torch.from_numpy(held.frames[rows]), self.device)
            out = frames[filled : filled + len(rows)]
            augment(decoded, self.transform, self.config, random, time=numbers, out=out)
            filled += len(rows)
            where.append(held.coordinates.at(rows))
            video.append(torch.full((len(rows),), int(self.identity[held.visit.video])))
        return FrameBatch.of(frames, torch.cat(video), where)

    def _warn(self) -> None:
        """Warn about settings that these videos cannot satisfy."""
        config, plan, count = self.config, self.plan, len(self.entries)
        if self.without_pair:
            gap = f"{config.gap} frames" if isinstance(config.gap, int) else config.gap
            within = "" if config.skip == "none" else " within a shot"
            log.warning(
                "%d videos have no pair %s apart%s and are not trained on: %s",
                len(self.without_pair), gap, within, ", ".join(self.without_pair[:10]),
            )  # fmt: skip
        if config.videos_per_batch > count:
            log.warning("pairs.videos_per_batch=%d, but there are only %d videos", config.videos_per_batch, count)
        elif config.buffer_videos < config.videos_per_batch:
            log.warning(
                "pairs.buffer_videos=%d is less than a batch needs: %d are held",
                config.buffer_videos, plan.videos_per_round,
            )  # fmt: skip
        if config.weights != "video" and plan.videos_per_batch == count:
            log.warning("every batch holds every video: pairs.weights=%s changes nothing", config.weights)
        if self.workers > plan.videos_per_round:
            log.warning("workers=%d, but a round opens only %d videos", self.workers, plan.videos_per_round)
        if self.world > plan.rounds_per_epoch:
            log.warning(
                "world=%d, but an epoch is only %d rounds of %d videos: ranks see the same videos at the same time",
                self.world, plan.rounds_per_epoch, plan.videos_per_round,
            )  # fmt: skip
        if not _any_reaches_far(self.entries, config):
            log.warning("no video is longer than pairs.far: all negatives come from other videos")


def identities(entries: Sequence[VideoEntry]) -> NDArray[np.int64]:
    """Number the videos by content, int64 (n,): copies of a file share the number of the first."""
    keys = column(entries, "content_hash")
    unknown = np.flatnonzero(keys == b"")  # from a handmade manifest
    if len(unknown):
        names = [entry.duplicate_of or entry.path for entry in chosen(entries, unknown)]
        keys = keys.astype(object)
        keys[unknown] = [name.encode(errors="surrogatepass") for name in names]
    _, first, same = np.unique(keys, return_index=True, return_inverse=True)
    numbers: NDArray[np.int64] = first[same]
    return numbers


def _starts(entries: Sequence[VideoEntry], config: PairsConfig, video: int) -> NDArray[np.int64] | None:
    return find_starts(entries[video], config)


def _any_reaches_far(entries: Sequence[VideoEntry], config: PairsConfig) -> bool:
    far, unit = distances(config)[1:]
    if unit == "frames" and (column(entries, "frames") > far).any():
        return True
    return any(_reaches_far(entry, config) for entry in entries)


def _reaches_far(entry: VideoEntry, config: PairsConfig) -> bool:
    _, far, unit = distances(config)
    if unit == "seconds":
        return bool(np.ptp(entry.times_seconds[: entry.frames]) >= far)
    return int(entry.positions[-1]) >= far
