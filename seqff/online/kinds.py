"""The kinds of sources: what somebody means by a number, an address, a path or an iterator."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Generator, Iterable, Mapping
from os import PathLike
from pathlib import Path
from typing import IO, Any, cast

import numpy as np

from seqff.config import LiveConfig
from seqff.errors import VideoError
from seqff.online.folder import GrowingFolder
from seqff.online.live import LiveFrame, Size, open_live, shown_name
from seqff.online.source import Arrival, StreamSource
from seqff.video.find import as_path
from seqff.video.reader import Frames

FrameLike = Frames | tuple[float, Frames] | LiveFrame
StreamLike = int | str | PathLike[str] | IO[bytes] | Iterable[FrameLike] | Callable[[], Iterable[FrameLike]]
"""A camera's number, an address, a path of a pipe, a file or a growing folder, an open binary file, an iterator of
frames (each alone or with its time), or a function that gives such an iterator whenever it is to connect."""

_ENDLESS = re.compile(r"(rtsps?|rtmpt?s?|rtp|udp|srt|mms\w*)://", re.IGNORECASE)
_ADDRESS = re.compile(r"\w+://")


class Live:
    """A camera, an address, a pipe, a file, or an open binary file.

    Args:
        source: what `open_live` takes.
        size: gives the size that frames of a (height, width) are wanted at.
        drops: see `StreamSource`; None: if it turns out to have no end.
        ends: see `StreamSource`; None: if it turns out to have one.
        fps: see `open_live`.
    """

    def __init__(
        self,
        source: int | str | IO[bytes],
        size: Callable[[int, int], Size],
        drops: bool | None,
        ends: bool | None,
        fps: float = 0.0,
    ) -> None:
        self.source, self.size, self.name, self.fps = source, size, shown_name(source), fps
        self.drops, self.ends = bool(drops), bool(ends)
        self._drops, self._ends, self._given = drops, ends, 0

    def connect(self, closed: threading.Event) -> Generator[Arrival, None, None]:
        """See `StreamSource`. What has an end begins anew when it is opened again: frames that came are passed over."""
        with open_live(self.source, size=self.size, fps=self.fps) as stream:
            self.drops = not stream.finite if self._drops is None else self._drops
            self.ends = stream.finite if self._ends is None else self._ends
            for frame in stream:
                if closed.is_set():
                    return
                if not stream.finite or frame.number >= self._given:
                    self._given = frame.number + 1
                    yield Arrival(frame.image, frame.time_seconds)

    def state(self) -> Mapping[str, Any]:
        """See `StreamSource`: there is no way back, and nothing to remember."""
        return {}

    def recall(self, state: Mapping[str, Any]) -> None:
        """See `StreamSource`."""


class FromPython:
    """An iterator of frames, or a function that gives one.

    Args:
        given: the one or the other.
        drops: see `StreamSource`.
        ends: see `StreamSource`; an iterator ends for good.
    """

    def __init__(self, given: Any, *, drops: bool, ends: bool) -> None:
        self._open = given if callable(given) else None
        self._frames = None if callable(given) else iter(given)
        self.name = (
            f"the {'function' if callable(given) else 'iterator'} {getattr(given, '__name__', type(given).__name__)}"
        )
        self.drops, self.ends = drops, ends or self._open is None

    def connect(self, closed: threading.Event) -> Generator[Arrival, None, None]:
        """See `StreamSource`."""
        frames: Iterable[Any] = self._open() if self._open is not None else self._frames or ()
        for frame in frames:
            if closed.is_set():
                return
            yield self._arrival(frame)

    def _arrival(self, frame: Any) -> Arrival:
        if isinstance(frame, Arrival):
            return frame
        seconds: float | None = None
        if isinstance(frame, LiveFrame):
            seconds, frame = frame.time_seconds, frame.image
        elif isinstance(frame, tuple) and len(frame) == 2:
            seconds, frame = float(frame[0]), frame[1]
        if not isinstance(frame, np.ndarray) or frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8:
            what = f"{frame.shape} {frame.dtype}" if isinstance(frame, np.ndarray) else type(frame).__name__
            raise ValueError(f"{self.name} must give frames (height, width, 3) uint8 or (seconds, frame), gave {what}")
        return Arrival(frame, seconds)

    def state(self) -> Mapping[str, Any]:
        """See `StreamSource`."""
        return {}

    def recall(self, state: Mapping[str, Any]) -> None:
        """See `StreamSource`."""


def open_stream(source: StreamLike, live: LiveConfig, *, size: Callable[[int, int], Size]) -> StreamSource:
    """Find out what kind of source is meant; nothing is opened yet.

    Args:
        source: see `StreamLike`; a string of digits is a camera's number.
        live: how it is treated.
        size: gives the size that frames of a (height, width) are wanted at; iterators are left as they are.

    Raises:
        VideoError: a path that does not exist.
        TypeError: something else altogether.
    """
    drops = {"drop": True, "wait": False}.get(live.behind)
    ends = {"stop": True, "retry": False}.get(live.at_end)
    if isinstance(source, (str, PathLike)) and str(source).isdigit():
        source = int(str(source))
    if isinstance(source, int) or (isinstance(source, str) and _ENDLESS.match(source)):
        return Live(source, size, True if drops is None else drops, bool(ends), live.fps)
    if isinstance(source, str) and _ADDRESS.match(source) and not source.startswith("file://"):
        return Live(source, size, drops, ends, live.fps)  # http: a file or a camera, which only the answer tells
    if isinstance(source, (str, PathLike)):
        return _at(as_path(source), live, size, bool(drops), ends is None or ends)
    if hasattr(source, "read"):
        return Live(cast("IO[bytes]", source), size, bool(drops), ends is None or ends, live.fps)
    if callable(source) or isinstance(source, Iterable):
        return FromPython(source, drops=bool(drops), ends=ends is None or ends)
    raise TypeError(
        "a stream is a camera's number, an address, a path, an open binary file, an iterator of frames or a function "
        f"that gives one; got {type(source).__name__}"
    )


def _at(path: Path, live: LiveConfig, size: Callable[[int, int], Size], drops: bool, ends: bool) -> StreamSource:
    if not path.exists():
        raise VideoError(path, "stream", "no such file, pipe or folder")
    if path.is_dir():
        return GrowingFolder(path, live, size, drops=drops)
    return Live(str(path), size, drops, ends, live.fps)
