"""Sample frames of a video, and combine their features into rows of the store."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from seqff.errors import RunError
from seqff.features.describe import Columns
from seqff.features.pooling import STATISTICS, RunningStatistics, temporal_pool
from seqff.video import VideoEntry, VideoReader
from seqff.video.rows import column

Per = Literal["video", "clip", "frame"]
Rows = NDArray[np.float32]
DTYPES = {"fp32": np.float32, "fp16": np.float16}
_WHOLE = ("every", "clip_frames", "batch_frames")


@dataclass(frozen=True)
class Sampling:
    """How frames are sampled and what makes a row.

    Args:
        per: "video" (statistics over all its frames), "clip" (over each window of frames) or "frame".
        every: use every n-th frame.
        every_seconds: use the first frame at or after each multiple of this, by presentation time; 0 means use `every`.
        clip_frames: number of sampled frames in a window.
        clip_stride: number of sampled frames between the starts of windows; 0 means `clip_frames` (adjacent windows).
            Windows that would exceed the end are omitted, but a video shorter than a window is one window.
        statistics: any of `STATISTICS`, for videos and clips.
        batch_frames: frames per forward pass.
    """

    per: Per = "video"
    every: int = 1
    every_seconds: float = 0.0
    clip_frames: int = 16
    clip_stride: int = 0
    statistics: tuple[str, ...] = STATISTICS
    batch_frames: int = 64

    def __post_init__(self) -> None:
        if self.per not in ("video", "clip", "frame"):
            raise ValueError(f"per is {self.per!r}; choose from video, clip, frame")
        for name in _WHOLE:
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 1 or more")
        if self.clip_stride < 0:
            raise ValueError(f"clip_stride is {self.clip_stride}; it must be 1 or more, or 0 for clip_frames")
        if not self.every_seconds >= 0 or (self.every_seconds and self.every > 1):
            raise ValueError(
                f"every_seconds is {self.every_seconds:g} and every {self.every}; give one of them, above 0"
            )
        unknown = [name for name in self.statistics if name not in STATISTICS]
        if unknown or not self.statistics or len(set(self.statistics)) < len(self.statistics):
            raise ValueError(f"statistics are {self.statistics}; choose from {', '.join(STATISTICS)}, each once")

    @property
    def pooled(self) -> tuple[int, ...]:
        """Indices into `STATISTICS` of a row's statistics, in order; empty if rows are frames."""
        return tuple(place for place, name in enumerate(STATISTICS) if name in self.statistics and self.per != "frame")

    def frames(self, entry: VideoEntry) -> NDArray[np.int64]:
        """Ascending indices of the sampled frames, at least one."""
        if not self.every_seconds:
            return np.arange(0, entry.frames, self.every, dtype=np.int64)
        interval = np.floor(entry.times_seconds / self.every_seconds + 1e-6)  # rounding: 0.2 s at 25 / s is 5 frames
        return np.flatnonzero(np.diff(interval, prepend=-1.0) > 0)

    def counts(self, entries: Sequence[VideoEntry]) -> NDArray[np.int64]:
        """Number of sampled frames of each video, (n,) int64."""
        if self.every_seconds:
            return np.fromiter((len(self.frames(entry)) for entry in entries), dtype=np.int64)
        counts: NDArray[np.int64] = -(-column(entries, "frames") // self.every)
        return counts

    def windows(self, taken: int) -> tuple[range, int]:
        """Window starts among `taken` sampled frames, one per row, and the number of frames per window."""
        length = {"frame": 1, "clip": min(self.clip_frames, taken), "video": taken}[self.per]
        stride = {"frame": 1, "clip": self.clip_stride or self.clip_frames, "video": taken}[self.per]
        return range(0, taken - length + 1, stride), length


def frame_batches(reader: VideoReader, taken: NDArray[np.int64], batch_frames: int) -> Iterator[NDArray[np.uint8]]:
    """Yield frames of a video, (n, H, W, 3) uint8 with n up to `batch_frames`; `taken` are ascending frame indices.

    Frames in between are decoded but not converted, or skipped by a seek where the reader may seek.

    Raises:
        VideoError: the video cannot be read to its end.
    """
    for start in range(0, len(taken), batch_frames):
        yield reader.at(taken[start : start + batch_frames])


class RowMaker:
    """Makes rows from a video's frames; keeps at most a window of frames, or for whole videos only sums (float64).

    Args:
        columns: location of each array in a frame's features.
        sampling: what makes a row.
        dtype: "fp32" or "fp16", the storage type of rows.

    Attributes:
        columns: location of each array in a row, with its statistics side by side, each as wide as in a frame.
        width: number of values per row.
        dtype: dtype of a row.
    """

    def __init__(self, columns: Mapping[str, Columns], sampling: Sampling, dtype: str) -> None:
        if dtype not in DTYPES:
            raise ValueError(f"dtype is {dtype!r}; choose from {', '.join(DTYPES)}")
        times = max(len(sampling.pooled), 1)
        self._of_frame = dict(columns)
        self._sampling = sampling
        self.columns = {
            name: Columns(place.start * times, place.stop * times, place.channels, place.cells)
            for name, place in columns.items()
        }
        self.width = max(place.stop for place in self.columns.values())
        self.dtype = np.dtype(DTYPES[dtype])

    def __call__(self, described: Iterable[Rows]) -> Iterator[NDArray[np.floating]]:
        """Yield the rows of one video, (rows, width) of the store's dtype, as soon as they are complete.

        `described` are the features of the sampled frames, in order, (n, D) float32 each.

        Raises:
            RunError: a value overflows fp16.
        """
        per = self._sampling.per
        rows = described if per == "frame" else self._clips(described) if per == "clip" else self._video(described)
        return map(self._stored, rows)

    def _video(self, described: Iterable[Rows]) -> Iterator[Rows]:
        statistics = RunningStatistics()
        for rows in described:
            statistics.update(rows)
        yield self._side_by_side(statistics.result())

    def _clips(self, described: Iterable[Rows]) -> Iterator[Rows]:
        """Pool each window separately; the result does not depend on the batches."""
        length, stride = self._sampling.clip_frames, self._sampling.clip_stride or self._sampling.clip_frames
        held: Rows | None = None  # frames from the start of the next window on
        skip, found = 0, False
        for rows in described:
            held = rows[skip:] if held is None else np.concatenate([held, rows[skip:]])
            skip = max(skip - len(rows), 0)
            while len(held) >= length:
                yield self._side_by_side(temporal_pool(held[:length]))
                found, skip, held = True, max(stride - len(held), 0), held[stride:]
        if held is not None and not found:
            yield self._side_by_side(temporal_pool(held))

    def _side_by_side(self, statistics: Rows) -> Rows:
        """Arrange the requested (3, D) statistics as a (1, width) row, array by array."""
        kept = statistics[list(self._sampling.pooled)]
        row: Rows = np.concatenate([kept[:, place.start : place.stop].ravel() for place in self._of_frame.values()])
        return row[None]

    def _stored(self, rows: Rows) -> NDArray[np.floating]:
        if self.dtype == np.float32:
            return rows
        with np.errstate(over="ignore"):
            stored: NDArray[np.floating] = rows.astype(self.dtype)
        lost = np.isinf(stored) & np.isfinite(rows)
        if lost.any():
            column = int(np.argmax(lost.any(axis=0)))
            name = next(name for name, place in self.columns.items() if column < place.stop)
            largest = float(np.abs(rows[lost]).max())
            raise RunError(f"{name} has values up to {largest:g}, fp16 holds no more than 65504; extract with fp32")
        return stored
