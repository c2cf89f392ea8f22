"""The common base of all readers: exact frames in any order, use by a single thread, closing."""

from __future__ import annotations

import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seqff.errors import VideoError

Frames = NDArray[np.uint8]
Indices = Sequence[int] | NDArray[np.integer]


@dataclass(frozen=True, eq=False)
class VideoInfo:
    """Properties of an open video.

    Args:
        path: the file (or folder of images).
        frames: number of readable frames, proven by decoding them all once.
        height: height of the returned frames, px, after rotation and resizing.
        width: width of the returned frames, px, after rotation and resizing.
        fps: frames per second; the mean if the rate varies.
        times_seconds: float64 (frames,), presentation times, seconds from the first frame.
        codec: FFmpeg's name ("h264"), "images" or "array".
        rotation_degrees: clockwise rotation that the file requires and the reader has applied: 0, 90, 180 or 270.
    """

    path: str
    frames: int
    height: int
    width: int
    fps: float
    times_seconds: NDArray[np.float64]
    codec: str
    rotation_degrees: int


class VideoReader(ABC):
    """A video, opened by one thread of one process; other threads and processes must open their own reader.

    Frame i is the i-th frame that a player displays, in every reader and process. A backend implements access to single
    frames; this class implements the rest. The arguments of a backend are the path of a file, the properties of the
    video at the requested size, and its entry in the manifest.
    """

    name = "reader"

    def __init__(self, info: VideoInfo) -> None:
        self._info = info
        self._owner = (os.getpid(), threading.get_ident())
        self._closed = False
        self._on_close: Callable[[], None] | None = None

    @property
    def info(self) -> VideoInfo:
        """Properties of the video."""
        return self._info

    @abstractmethod
    def _frame(self, index: int) -> Frames:
        """Return one frame, uint8 (height, width, 3); efficient for ascending indices."""

    def _release(self) -> None:  # noqa: B027 - a backend may have nothing to release
        """Release the backend's resources; called once."""

    def at(self, indices: Indices, out: Frames | None = None) -> Frames:
        """Return exactly these frames, in this order; duplicates are allowed.

        Args:
            indices: frame numbers, each in [0, info.frames).
            out: uint8 (len(indices), height, width, 3), contiguous, to read into, such as a part of a batch, which
                avoids a copy of cached frames. Undefined after an error. None for a new array.

        Returns:
            uint8 (len(indices), height, width, 3), RGB, contiguous and owned by the caller; `out` if it was given.

        Raises:
            IndexError: an index is out of range.
            TypeError: the indices are not integers.
            ValueError: `out` has another shape or dtype, or is not contiguous.
            VideoError: the file can no longer be read.
        """
        wanted = self._checked(indices)
        frames = self._buffer(len(wanted), out)
        last = -1
        for place in np.argsort(wanted, kind="stable").tolist():
            index = int(wanted[place])
            frames[place] = self._frame(index) if last < 0 or wanted[last] != index else frames[last]
            last = place
        return frames

    def clip(self, start: int, stop: int) -> Frames:
        """Return the consecutive frames start, ..., stop - 1; see `at`."""
        if not 0 <= start <= stop <= self._info.frames:
            raise IndexError(f"clip [{start}, {stop}) of a video of {self._info.frames} frames: {self._info.path}")
        return self.at(range(start, stop))

    def __iter__(self) -> Iterator[Frames]:
        """Yield all frames in order, each uint8 (height, width, 3), in bounded memory."""
        for index in range(self._info.frames):
            self._check_usable()
            yield self._frame(index)

    def __len__(self) -> int:
        return self._info.frames

    def on_close(self, action: Callable[[], None]) -> None:
        """Register an action for when the reader is closed, such as releasing the lease of a downloaded file."""
        self._on_close = action

    def close(self) -> None:
        """Release the file and decoded frames; may be called more than once."""
        if not self._closed:
            self._closed = True
            self._release()
            if self._on_close is not None:
                self._on_close()

    def __enter__(self) -> VideoReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError(f"a {type(self).__name__} cannot be pickled: send the path and open it on the other side")

    def _checked(self, indices: Indices) -> NDArray[np.int64]:
        """Return the indices as int64 (count,), after checking their range and that the reader may be used."""
        array = np.asarray(indices)
        if array.size == 0:
            array = array.astype(np.int64)
        if array.ndim != 1 or array.dtype.kind not in "iu":
            raise TypeError(f"indices must be a flat list of whole numbers, got {array.dtype} of shape {array.shape}")
        frames = self._info.frames
        wrong = (array < 0) | (array >= frames)
        if wrong.any():
            raise IndexError(f"frame {array[wrong][0]} of a video of {frames} frames: allowed are 0 to {frames - 1}")
        self._check_usable()
        return array.astype(np.int64)

    def _buffer(self, count: int, out: Frames | None = None) -> Frames:
        """Return an array for `count` frames: `out` if it was given and fits."""
        shape = (count, self._info.height, self._info.width, 3)
        if out is None:
            return np.empty(shape, dtype=np.uint8)
        if out.shape != shape or out.dtype != np.uint8 or not out.flags.c_contiguous or not out.flags.writeable:
            given = f"{out.dtype} {out.shape} with strides {out.strides}"
            raise ValueError(f"out must be uint8 {shape}, contiguous and writeable; got {given}")
        return out

    def _check_usable(self) -> None:
        if self._closed:
            raise self._error("the reader is closed")
        if self._owner != (os.getpid(), threading.get_ident()):
            raise self._error("opened by another thread or process; each must open a reader of its own")

    def _error(self, cause: object) -> VideoError:
        return VideoError(self._info.path, self.name, one_line(cause))


def cause_of(error: BaseException) -> str:
    """Return why a file could not be read, in one line, including FFmpeg's last log message."""
    log = getattr(error, "log", None)  # of an av.FFmpegError: (level, who, message)
    said = f" ({log[2].strip()})" if log else ""
    return one_line(f"{getattr(error, 'strerror', None) or error or type(error).__name__}{said}")


def one_line(cause: object) -> str:
    """Return the text of an error in one line; its type if it has no text."""
    text = " ".join(str(cause).split())
    return text or type(cause).__name__
