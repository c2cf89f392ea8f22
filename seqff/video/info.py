"""What a reader promises: the protocol every backend keeps, and what it tells about its video."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Frames = NDArray[np.uint8]
Indices = Sequence[int] | NDArray[np.integer]


@dataclass(frozen=True, eq=False)
class VideoInfo:
    """What is known of an open video.

    Args:
        path: the file (or folder of images).
        frames: how many frames can be read; proven by decoding them all once.
        height: of the frames the reader returns, px, after rotation and resizing.
        width: of the frames the reader returns, px, after rotation and resizing.
        fps: frames per second; the mean rate where it varies.
        times_seconds: float64 (frames,), when each frame is shown, seconds from the first frame.
        codec: as FFmpeg names it ("h264"), "images" or "array".
        rotation_degrees: clockwise turn that the file asks for and the reader has applied: 0, 90, 180 or 270.
    """

    path: str
    frames: int
    height: int
    width: int
    fps: float
    times_seconds: NDArray[np.float64]
    codec: str
    rotation_degrees: int


class VideoReader(Protocol):
    """One video, opened by one thread of one process; open another reader elsewhere.

    Frame i is the i-th frame a player shows, the same in every reader and process.
    """

    @property
    def info(self) -> VideoInfo:
        """What is known of the video."""
        ...

    def at(self, indices: Indices, out: Frames | None = None) -> Frames:
        """Returns exactly these frames, in this order; duplicates are welcome.

        Args:
            indices: frame numbers, each in [0, info.frames).
            out: uint8 (len(indices), height, width, 3), contiguous, to read into, such as a part of a batch: what comes
                out of a cache is then copied once, not twice. After an error it holds anything. None for a new array.

        Returns:
            uint8 (len(indices), height, width, 3), RGB, contiguous and the caller's own; `out` if it was given.

        Raises:
            IndexError: an index is out of range.
            ValueError: `out` has another shape or type, or gaps.
            VideoError: the file cannot be read any more.
        """
        ...

    def clip(self, start: int, stop: int) -> Frames:
        """Returns the consecutive frames start, ..., stop - 1; see `at`."""
        ...

    def __iter__(self) -> Iterator[Frames]:
        """Yields the frames from the first to the last, each uint8 (height, width, 3), in bounded memory."""
        ...

    def close(self) -> None:
        """Lets go of the file and of decoded frames; the reader cannot be used after."""
        ...

    def __enter__(self) -> VideoReader: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
