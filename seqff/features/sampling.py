"""Which frames of a video are taken, and which of them make a row."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from seqff.features.pooling import STATISTICS
from seqff.video import VideoEntry, VideoReader

Per = Literal["video", "clip", "frame"]
_WHOLE = ("every", "clip_frames", "batch_frames")


@dataclass(frozen=True)
class Sampling:
    """Which frames are described and what a row is made of.

    Args:
        per: "video" (statistics over all its frames), "clip" (over each window of frames) or "frame".
        every: take every n-th frame.
        every_seconds: take the first frame at or after each multiple of this, by presentation time; 0 = `every` counts.
        clip_frames: frames taken that make a window.
        clip_stride: frames taken from the start of a window to that of the next; 0 = `clip_frames`, so that windows
            touch. A window that would go beyond the end is left out, but a video shorter than one is one window.
        statistics: which of `STATISTICS`, for videos and clips.
        batch_frames: frames that go through the encoders together.
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
        """Places in `STATISTICS` of what a row holds, in their order; nothing where rows are frames."""
        return tuple(place for place, name in enumerate(STATISTICS) if name in self.statistics and self.per != "frame")

    def frames(self, entry: VideoEntry) -> NDArray[np.int64]:
        """Numbers of the frames taken, growing, at least one."""
        if not self.every_seconds:
            return np.arange(0, entry.frames, self.every, dtype=np.int64)
        interval = np.floor(
            entry.times_seconds / self.every_seconds + 1e-6
        )  # 0.2 s at 25 / s is 5 frames, whatever floats say
        return np.flatnonzero(np.diff(interval, prepend=-1.0) > 0)

    def windows(self, taken: int) -> tuple[range, int]:
        """Of so many frames taken, where each row's first stands among them, and how many frames make a row."""
        length = {"frame": 1, "clip": min(self.clip_frames, taken), "video": taken}[self.per]
        stride = {"frame": 1, "clip": self.clip_stride or self.clip_frames, "video": taken}[self.per]
        return range(0, taken - length + 1, stride), length


def frame_batches(reader: VideoReader, taken: NDArray[np.int64], batch_frames: int) -> Iterator[NDArray[np.uint8]]:
    """Yield frames of a video, in order, as (n, H, W, 3) uint8 of at most `batch_frames`.

    Those between are decoded but not converted, or passed over with a seek where the reader may.

    Args:
        reader: of the video.
        taken: (T,) numbers of the frames, growing.
        batch_frames: T is cut into pieces of this.

    Raises:
        VideoError: the video cannot be read to its end.
    """
    for start in range(0, len(taken), batch_frames):
        yield reader.at(taken[start : start + batch_frames])
