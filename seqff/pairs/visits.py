"""Execute visits: open and decode videos in this process or in workers, and report failures."""

from __future__ import annotations

import copy
import itertools
import math
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, get_worker_info

from seqff.allocator import keep_freed_memory
from seqff.config import PairsConfig
from seqff.errors import SeqffError, VideoError
from seqff.orphans import Children
from seqff.pairs.coordinates import Coordinates, coordinates
from seqff.pairs.plan import Plan, Visit
from seqff.transform import FrameTransform
from seqff.video import VideoEntry, VideoReader, open_cached
from seqff.video.find import as_path
from seqff.video.opening import check_unchanged
from seqff.video.remote.address import shown
from seqff.video.rows import column, shapes

MAX_ATTEMPTS = 10
START_SECONDS = 120.0  # importing torch from a slow disk may take long
KEPT_BYTES = 2**29
"""If the decoded frames of all videos take at most this, in all decoding processes together, they are kept."""


@dataclass(frozen=True)
class VisitFrames:
    """A visit and its frames.

    Args:
        visit: as planned.
        frames: (T, h, w, 3) uint8; T = 0 if every attempt failed.
        coordinates: coordinates of the T frames.
        failures: (video, cause) of the failed visits that it replaces.
        fatal: the reason to stop the stream, if any.
    """

    visit: Visit
    frames: np.ndarray
    coordinates: Coordinates
    failures: tuple[tuple[int, str], ...] = ()
    fatal: str = ""


class VisitDataset(Dataset[VisitFrames]):
    """Visits by their running number, decoded in the calling process or worker.

    Attributes:
        kept: all frames of the visited videos, by number, (frames, h, w, 3) uint8; None to keep none.
        kept_bytes: final size of the kept frames.
    """

    def __init__(
        self, root: str, entries: Sequence[VideoEntry], plan: Plan, transform: FrameTransform, config: PairsConfig
    ) -> None:
        self.root, self.entries, self.plan = root, entries, plan
        self.transform, self.config = transform, config
        self.kept: dict[int, np.ndarray] | None = None
        self.kept_bytes = 0
        self.in_flight: Any = None
        """The video that each worker is reading + 1, or 0; in shared memory."""
        self.fetched_at: Any = None
        """When each worker last received bytes of a remote video, by a clock shared by all processes."""

    def __len__(self) -> int:
        return 2**62  # endless

    def keep(self, processes: int) -> None:
        """Keep decoded frames from now on, if the frames of all videos are small enough for this many processes."""
        if self.config.cache != "none":
            return
        sizes = [self.transform.decode_size(height, width) for height, width in shapes(self.entries)]
        frames = column(self.entries, "frames").tolist()
        needed = sum(3 * count * h * w for count, (h, w) in zip(frames, sizes, strict=True))
        if processes * needed <= KEPT_BYTES:
            self.kept, self.kept_bytes = {}, needed

    def path(self, video: int) -> str:
        """Return the path of a video."""
        return shown(f"{self.root}/{self.entries[video].path}")

    def open(self, video: int) -> VideoReader:
        """Open a video at the transform's decode size, from the cache if there is one."""
        entry, config = self.entries[video], self.config
        size = self.transform.decode_size(entry.height, entry.width)
        return open_cached(self.path(video), entry, size=size, cache=config.cache, heartbeat=self._heartbeat)

    def _heartbeat(self) -> None:
        worker = get_worker_info()
        if worker is not None and self.fetched_at is not None:
            self.fetched_at[worker.id] = time.monotonic()

    def __getitem__(self, number: int) -> VisitFrames:
        failures: list[tuple[int, str]] = []
        visit = self.plan.visit(*divmod(number, self.plan.videos_per_round))
        try:
            while True:
                try:
                    frames = self._read(visit)
                    where = coordinates(self.entries[visit.video], self.config).at(visit.indices)
                    return VisitFrames(visit, frames, where, tuple(failures))
                except VideoError as error:
                    failures.append((visit.video, str(error)))
                if len(failures) == MAX_ATTEMPTS:
                    fatal = f"{MAX_ATTEMPTS} videos in a row could not be read; the last: {failures[-1][1]}"
                    break
                visit = self.plan.visit(*divmod(number, self.plan.videos_per_round), len(failures))
        except (SeqffError, OSError) as error:  # no space for the cache; if raised here, torch would add a traceback
            fatal = str(error)
        nothing, nowhere = np.zeros((0, 1, 1, 3), np.uint8), Coordinates(np.zeros(0, np.int64))
        return VisitFrames(visit, nothing, nowhere, tuple(failures), fatal)

    def _read(self, visit: Visit) -> np.ndarray:
        worker = get_worker_info()
        place = worker.id if worker is not None else 0
        if self.in_flight is not None:
            self.in_flight[place] = visit.video + 1
        try:
            if self.kept is not None and visit.video in self.kept:
                check_unchanged(as_path(self.path(visit.video)), self.entries[visit.video])
                return np.take(self.kept[visit.video], visit.indices, axis=0)
            with self.open(visit.video) as reader:
                if self.kept is not None:
                    with suppress(VideoError):  # it may concern a frame that this visit does not need
                        self.kept[visit.video] = reader.at(range(len(reader)))
                        return np.take(self.kept[visit.video], visit.indices, axis=0)
                return reader.at(visit.indices)
        finally:
            if self.in_flight is not None:
                self.in_flight[place] = 0


def load_visits(
    dataset: VisitDataset, numbers: Iterable[int], *, workers: int, timeout_seconds: float
) -> Iterator[VisitFrames]:
    """Yield visits in the order of their numbers, whatever the number of workers.

    Args:
        dataset: executes the visits.
        numbers: endless sequence of visit numbers.
        workers: decoding processes, which read up to one round ahead; 0 decodes in this process on demand.
        timeout_seconds: longest wait for a visit. With workers=0 a hanging decoder cannot be detected.

    Raises:
        VideoError: a decoding process hung or died; names the video it was reading.
    """
    if not workers:
        yield from map(dataset.__getitem__, numbers)
        return
    dataset = copy.copy(dataset)
    dataset.keep(workers)
    spawn = Children()
    dataset.in_flight, dataset.fetched_at = spawn.RawArray("q", workers), spawn.RawArray("d", [-math.inf] * workers)
    found = iter(
        DataLoader(
            dataset,
            sampler=numbers,
            batch_size=None,
            num_workers=workers,
            collate_fn=_as_it_is,
            worker_init_fn=_begin,
            timeout=timeout_seconds,
            multiprocessing_context=spawn,
            prefetch_factor=-(-dataset.plan.videos_per_round // workers),
            generator=torch.Generator(),  # otherwise it draws from the global one
        )
    )
    for count in itertools.count():
        yield _next(found, dataset, count % workers, timeout_seconds)  # torch assigns the numbers in turn


def _next(found: Iterator[VisitFrames], dataset: VisitDataset, worker: int, timeout_seconds: float) -> VisitFrames:
    """Wait for the visit of a worker."""
    left = 1 + math.ceil(START_SECONDS / timeout_seconds)
    while left:
        try:
            return next(found)
        except RuntimeError as error:
            if not str(error).startswith("DataLoader"):
                raise
            reading = [video - 1 for video in dataset.in_flight if video]
            if "timed out" not in str(error):
                others = "".join(f"; or {dataset.path(video)}" for video in reading[1:])
                cause = f"the process that read it died ({error}){others}"
                raise _video_error(dataset, reading, cause) from error
            if time.monotonic() - dataset.fetched_at[worker] < timeout_seconds:  # a large file still being downloaded
                continue
            left -= 1
            if dataset.in_flight[worker]:
                cause = f"the reader hangs, no frame in {timeout_seconds:g} s: remove or repair the file"
                raise _video_error(dataset, [dataset.in_flight[worker] - 1], cause) from error
    raise SeqffError(f"a decoding process has not started within {START_SECONDS:g} s: try workers=0")


def _video_error(dataset: VisitDataset, reading: list[int], cause: str) -> SeqffError:
    if not reading:
        return SeqffError(f"no video was being read when {cause}")
    return VideoError(dataset.path(reading[0]), dataset.entries[reading[0]].reader, cause)


def _begin(worker: int) -> None:
    """Initialize a decoding process."""
    keep_freed_memory()


def _as_it_is(visit: Any) -> Any:
    """Return a visit unchanged instead of collating it."""
    return visit
