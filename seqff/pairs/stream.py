"""The stream: visits are decoded, their frames dealt into batches and augmented."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from seqff.config import PairsConfig
from seqff.errors import SeqffError, VideoError
from seqff.pairs.augment import augment
from seqff.pairs.batch import FrameBatch
from seqff.pairs.plan import Plan, Visit
from seqff.transform import FrameTransform
from seqff.video import Manifest, VideoEntry, open_video

log = logging.getLogger(__name__)
TIMEOUT_SECONDS = 120.0
MAX_ATTEMPTS = 10


@dataclass(frozen=True)
class VisitFrames:
    """A visit and what it brought: (T, h, w, 3) uint8 frames; `failures` are (video, cause) of visits it replaces."""

    visit: Visit
    frames: np.ndarray
    failures: tuple[tuple[int, str], ...] = ()


class VisitDataset(Dataset[VisitFrames]):
    """Visits by their running number, decoded where this is called: in the process or in a worker."""

    def __init__(self, root: str, entries: Sequence[VideoEntry], plan: Plan, transform: FrameTransform) -> None:
        self.root, self.entries, self.plan, self.transform = root, list(entries), plan, transform

    def __len__(self) -> int:
        return 2**62  # visits do not end

    def __getitem__(self, number: int) -> VisitFrames:
        failures: list[tuple[int, str]] = []
        for attempt in range(MAX_ATTEMPTS):
            visit = self.plan.visit(*divmod(number, self.plan.videos_per_round), attempt)
            entry = self.entries[visit.video]
            try:
                with open_video(
                    f"{self.root}/{entry.path}",
                    size=self.transform.decode_size(entry.height, entry.width),
                    entry=entry,
                ) as reader:
                    return VisitFrames(visit, reader.at(visit.indices), tuple(failures))
            except VideoError as error:
                failures.append((visit.video, str(error)))
        raise SeqffError(f"{MAX_ATTEMPTS} videos in a row could not be read; the last: {failures[-1][1]}")


class PairStream:
    """Batches for training, from batch `start` on; the same sequence whatever the number of workers.

    Args:
        manifest: of the videos; the usable ones longer than `gap` frames are trained on.
        transform: size and scaling of the encoder's input.
        config: see `PairsConfig`.
        seed: of the plan and the augmentation.
        workers: decoding processes; 0 decodes in this one.
        max_bad: share of the videos that may turn out unreadable before the stream stops.

    Raises:
        ValueError: too few usable videos.
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
    ) -> None:
        self.entries = [entry for entry in manifest.usable if entry.frames > config.gap]
        self.too_short = [entry.path for entry in manifest.usable if entry.frames <= config.gap]
        if self.too_short:
            log.warning(
                "%d videos have no pair %d frames apart and are not trained on: %s",
                len(self.too_short), config.gap, ", ".join(self.too_short[:10]),
            )  # fmt: skip
        self.plan = Plan([entry.frames for entry in self.entries], config, seed)
        self.dataset = VisitDataset(str(manifest.root), self.entries, self.plan, transform)
        self.transform, self.config, self.seed, self.workers = transform, config, seed, workers
        self.max_bad, self.failed = max_bad, dict[int, str]()
        paths = {entry.path: number for number, entry in enumerate(self.entries)}
        self.identity = [paths.get(entry.duplicate_of or "", number) for number, entry in enumerate(self.entries)]

    def batches(self, start: int = 0) -> Iterator[FrameBatch]:
        """Yield batches from number `start` on, without end.

        Raises:
            SeqffError: too many videos turned out unreadable.
        """
        round_number, skip = divmod(start, self.plan.batches_per_round)
        visits = self._visits(round_number)
        while True:
            held = [self._checked(next(visits)) for _ in range(self.plan.videos_per_round)]
            for place, sources in enumerate(self.plan.deal(round_number)):
                if place >= skip:
                    number = round_number * self.plan.batches_per_round + place
                    yield self._batch(number, [(held[slot], use) for slot, use in sources])
            round_number, skip = round_number + 1, 0

    def _visits(self, round_number: int) -> Iterator[VisitFrames]:
        first = round_number * self.plan.videos_per_round
        loader = DataLoader(
            self.dataset,
            sampler=range(first, 2**62),
            batch_size=None,
            num_workers=self.workers,
            collate_fn=_as_it_is,
            timeout=TIMEOUT_SECONDS if self.workers else 0,
            multiprocessing_context="spawn" if self.workers else None,
        )
        return iter(loader)

    def _checked(self, visit: VisitFrames) -> VisitFrames:
        """Count and name, once each, the videos that turned out unreadable."""
        for video, cause in visit.failures:
            if video not in self.failed:
                self.failed[video] = cause
                log.warning("left out from now on: %s", cause)
        if len(self.failed) > self.max_bad * len(self.entries):
            raise SeqffError(
                f"{len(self.failed)} of {len(self.entries)} videos could not be read, more than {self.max_bad:.0%}: "
                + "; ".join(list(self.failed.values())[:5])
            )
        return visit

    def _batch(self, number: int, sources: list[tuple[VisitFrames, int]]) -> FrameBatch:
        frames, video, time = [], [], []
        for place, (held, use) in enumerate(sources):
            rows = held.visit.uses[use]
            random = np.random.default_rng([self.seed, 4, number, place])
            frames.append(augment(torch.from_numpy(held.frames[rows]), self.transform, self.config, random))
            time.append(torch.from_numpy(held.visit.indices[rows]))
            video.append(torch.full((len(rows),), self.identity[held.visit.video]))
        together = torch.cat(frames).contiguous(memory_format=torch.channels_last)
        return FrameBatch(together, torch.cat(video), torch.cat(time))


def _as_it_is(visit: Any) -> Any:
    """Collate nothing: a visit is handed on as it was decoded."""
    return visit
