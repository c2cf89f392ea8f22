"""What all readers share: index checks, any order and duplicates, ownership by one thread, closing."""

from __future__ import annotations

import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from types import TracebackType
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from seqff.errors import VideoError
from seqff.video.info import Frames, Indices, VideoInfo


class Closeable(Protocol):
    """Anything with a `close`."""

    def close(self) -> None:
        """Lets go."""
        ...


class FrameReader(ABC):
    """Base of the readers: a backend says how to reach one frame, this class makes the contract out of it.

    Args:
        info: what `VideoReader.info` shows.
    """

    name = "reader"

    def __init__(self, info: VideoInfo) -> None:
        self._info = info
        self._owner = (os.getpid(), threading.get_ident())
        self._closed = False
        self._held: Closeable | None = None

    @property
    def info(self) -> VideoInfo:
        """What is known of the video."""
        return self._info

    @abstractmethod
    def _frame(self, index: int) -> Frames:
        """Returns one frame, uint8 (height, width, 3); cheap when called with growing indices."""

    def _release(self) -> None:  # noqa: B027 - a backend may have nothing to let go of
        """Lets go of what the backend holds; called once."""

    def at(self, indices: Indices, out: Frames | None = None) -> Frames:
        """Returns exactly these frames in this order; see `VideoReader.at`."""
        wanted = checked_indices(indices, self._info.frames)
        self._check_usable()
        frames = self._room(len(wanted), out)
        last = -1
        for place in np.argsort(wanted, kind="stable").tolist():
            index = int(wanted[place])
            frames[place] = self._frame(index) if last < 0 or wanted[last] != index else frames[last]
            last = place
        return frames

    def clip(self, start: int, stop: int) -> Frames:
        """Returns the consecutive frames start, ..., stop - 1."""
        if not 0 <= start <= stop <= self._info.frames:
            raise IndexError(f"clip [{start}, {stop}) of a video of {self._info.frames} frames: {self._info.path}")
        return self.at(np.arange(start, stop, dtype=np.int64))

    def __iter__(self) -> Iterator[Frames]:
        for index in range(self._info.frames):
            self._check_usable()
            yield self._frame(index)

    def __len__(self) -> int:
        return self._info.frames

    def hold(self, held: Closeable) -> None:
        """Keeps something as long as the reader is open, such as a file lent by the spool, and closes it then."""
        self._held = held

    def close(self) -> None:
        """Lets go of the file; more than once is fine."""
        if not self._closed:
            self._closed = True
            self._release()
            if self._held is not None:
                self._held.close()

    def __enter__(self) -> FrameReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError(f"a {type(self).__name__} cannot be pickled: send the path and open it on the other side")

    def _room(self, count: int, out: Frames | None = None) -> Frames:
        """Returns an array for so many frames: `out` if it was given and fits."""
        shape = (count, self._info.height, self._info.width, 3)
        if out is None:
            return np.empty(shape, dtype=np.uint8)
        if out.shape != shape or out.dtype != np.uint8 or not out.flags.c_contiguous or not out.flags.writeable:
            raise ValueError(
                f"out must be uint8 {shape}, contiguous and writeable; got {out.dtype} {out.shape} with strides "
                f"{out.strides}"
            )
        return out

    def _check_usable(self) -> None:
        if self._closed:
            raise self._error("the reader is closed")
        if self._owner != (os.getpid(), threading.get_ident()):
            raise self._error("opened by another thread or process; each must open a reader of its own")

    def _error(self, cause: object) -> VideoError:
        return VideoError(self._info.path, self.name, one_line(cause))


def checked_indices(indices: Indices, frames: int) -> NDArray[np.int64]:
    """Returns the indices as int64 (count,).

    Raises:
        TypeError: they are not whole numbers.
        IndexError: one is negative or not below `frames`.
    """
    array = np.asarray(indices)
    if array.size == 0:
        array = array.astype(np.int64)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise TypeError(f"indices must be a flat list of whole numbers, got {array.dtype} of shape {array.shape}")
    wrong = (array < 0) | (array >= frames)
    if wrong.any():
        raise IndexError(f"frame {array[wrong][0]} of a video of {frames} frames: allowed are 0 to {frames - 1}")
    return array.astype(np.int64)


def cause_of(error: BaseException) -> str:
    """Returns why a file could not be read, on one line: what FFmpeg said last, if it said anything."""
    log = getattr(error, "log", None)  # of an av.FFmpegError: (level, who, message)
    said = f" ({log[2].strip()})" if log else ""
    return one_line(f"{getattr(error, 'strerror', None) or error or type(error).__name__}{said}")


def one_line(cause: object) -> str:
    """Returns what an error says, on one line, without an empty answer."""
    text = " ".join(str(cause).split())
    return text or type(cause).__name__
