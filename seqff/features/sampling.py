"""One video, streamed: which frames are taken, and what its rows are made of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from seqff.errors import VideoError
from seqff.features.describe import FrameDescriber
from seqff.features.pooling import STATISTICS, RunningStatistics
from seqff.video import VideoReader


@dataclass(frozen=True)
class Sampling:
    """Which frames are described and what becomes of them.

    Args:
        per: "video" (statistics over time, one row a video) or "frame" (one row a frame).
        every: take every n-th frame.
        batch_frames: frames that go through the encoders together, and the most held at a time.
    """

    per: Literal["video", "frame"]
    every: int
    batch_frames: int

    def __post_init__(self) -> None:
        if self.per not in ("video", "frame"):
            raise ValueError(f"per is {self.per!r}; choose from video, frame")
        for name in ("every", "batch_frames"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 1 or more")

    def frames(self, count: int) -> range:
        """Numbers of the frames taken from a video of `count` frames."""
        return range(0, count, self.every)

    def rows(self, count: int) -> int:
        """Rows of a video of `count` frames in the arrays."""
        return 1 if self.per == "video" else len(self.frames(count))

    def part_rows(self, count: int) -> int:
        """Rows of a video of `count` frames while they are a part: one a statistic, or one a frame."""
        return len(STATISTICS) if self.per == "video" else len(self.frames(count))


def describe_video(
    reader: VideoReader, describer: FrameDescriber, sampling: Sampling, rows: NDArray[np.float32]
) -> None:
    """Decode a video once from front to back and fill its rows, holding one batch of frames at a time.

    Args:
        reader: of the video, at the transform's decode size.
        describer: what each frame is turned into.
        sampling: which frames, and whether rows are frames or statistics.
        rows: (part_rows, width) float32, to be filled; may lie on disk.

    Raises:
        VideoError: the video cannot be read to its end.
    """
    statistics = RunningStatistics()
    done = 0
    for batch in frame_batches(reader, sampling):
        described = describer(batch)
        if sampling.per == "video":
            statistics.update(described)
        else:
            rows[done : done + len(described)] = described
        done += len(described)
    expected = len(sampling.frames(reader.info.frames))
    if done != expected:
        raise VideoError(reader.info.path, "extract", f"gave {done} frames of {expected}")
    if sampling.per == "video":
        rows[:] = statistics.result()


def frame_batches(reader: VideoReader, sampling: Sampling) -> Iterator[NDArray[np.uint8]]:
    """Yield the frames taken, in order, as (n, H, W, 3) uint8 of at most `batch_frames`."""
    batch: list[NDArray[np.uint8]] = []
    for number, frame in enumerate(reader):
        if number % sampling.every == 0:
            batch.append(frame)
        if len(batch) == sampling.batch_frames:
            yield np.stack(batch)
            batch = []
    if batch:
        yield np.stack(batch)
