"""The kinds of stream sources, and how a number, an address, a path or an iterator is mapped to one."""

from __future__ import annotations

import logging
import os
import re
import threading
import time
from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import IO, Any, Protocol, cast

import numpy as np

from seqff.config import LiveConfig
from seqff.errors import VideoError
from seqff.online.live import LiveFrame, Size, open_live, shown_name
from seqff.video.find import as_path
from seqff.video.images import FPS, load_samples
from seqff.video.levels import SeenLevels, to_uint8
from seqff.video.numbered import ImageSequence, names_in, sort_pictures
from seqff.video.reader import Frames
from seqff.video.search import VIDEO_EXTENSIONS

log = logging.getLogger(__name__)


@dataclass(eq=False)
class Arrival:
    """A received frame.

    Args:
        image: uint8 (height, width, 3), RGB.
        seconds: presentation time by the clock of its connection; None if that has none.
        skipped: number of frames known to be missing before it.
        cut: whether it does not continue the previous frame, because that was of another connection or file.
    """

    image: Frames
    seconds: float | None = None
    skipped: int = 0
    cut: bool = False


class StreamSource(Protocol):
    """A source of frames; used by one thread.

    Attributes:
        name: name for logs and files, without passwords.
        drops: whether frames not consumed in time are dropped; otherwise the sender has to wait.
        ends: whether a regular end is final; otherwise the source is opened again.
    """

    name: str
    drops: bool
    ends: bool

    def connect(self, closed: threading.Event) -> Generator[Arrival, None, None]:
        """Open the source and yield frames until it ends, or until `closed` is set.

        Raises:
            SeqffError, OSError, EOFError: the source cannot be opened, or breaks off.
        """

    def state(self) -> Mapping[str, Any]:
        """Return what a later process needs to resume, as plain data; empty by default, since streams cannot rewind."""
        return {}

    def recall(self, state: Mapping[str, Any]) -> None:
        """Restore the return value of `state`."""
        return


SETTLE_SECONDS = 2.0
"""How long a file must be unchanged before it is read."""
Stamp = tuple[int, int]
"""Size in bytes and modification time, ns."""


class GrowingFolder(StreamSource):
    """Files that appear in a folder, oldest first; images by their number.

    A file is read once, when its size and modification time have not changed for `SETTLE_SECONDS`. A file that cannot
    be read is logged, and tried again when it changes.
    """

    ends = False

    def __init__(self, folder: Path, live: LiveConfig, size: Callable[[int, int], Size], *, drops: bool) -> None:
        self.folder, self.name, self.size, self.drops = folder, str(folder), size, drops
        self.fps, self.live_fps = live.fps or FPS, live.fps
        self._seen: dict[str, tuple[Stamp, float]] = {}  # waiting files: their stamp, and since when
        self._done: dict[str, Stamp] = {}  # files that have been read
        self._bad: dict[str, Stamp] = {}  # files that could not be read, as of then
        self._number: float = -1
        self._levels = SeenLevels()
        self._several: tuple[str, ...] = ()

    def connect(self, closed: threading.Event) -> Generator[Arrival, None, None]:
        while not closed.is_set():
            if not self.folder.is_dir():
                raise VideoError(self.folder, "stream", "the folder has gone")
            images = self._sequence()
            yield from self._images(images, closed) if images else self._videos(closed)
            closed.wait(min(1.0, SETTLE_SECONDS / 2 + 0.01))

    def _sequence(self) -> ImageSequence | None:
        """Return the images if they form one sequence; for several, log it once."""
        found = sort_pictures(self.folder, names_in(self.folder), least=1).sequences
        found = tuple(sequence for sequence in found if len(sequence.files) > 1) or found
        names = tuple(sequence.name for sequence in found)
        if len(found) > 1 and names != self._several:
            log.warning("%s holds %d numbered sequences (%s, ...): none is read", self.folder, len(names), names[0])
        self._several = names if len(found) > 1 else ()
        return found[0] if len(found) == 1 else None

    def _images(self, images: ImageSequence, closed: threading.Event) -> Generator[Arrival, None, None]:
        """Yield the complete images, up to the first incomplete one."""
        numbered = zip(map(float, images.numbers), images.files, strict=True)
        waiting = [(number, self.folder / name) for number, name in numbered if number > self._number]
        names = {file.name for _, file in waiting}
        self._seen = {name: known for name, known in self._seen.items() if name in names}
        for number, file, settled in [(number, file, self._settled(file, file.name)) for number, file in waiting]:
            if closed.is_set() or not settled:
                return
            if number == self._number:
                log.warning("%s is passed over: another picture has the same number", file)
                continue
            try:
                samples, _ = load_samples(file)
                image = to_uint8(samples, self._levels(samples))
            except (OSError, ValueError) as error:
                log.warning("%s is passed over: %s", file, error)
                self._bad[file.name] = _stamp(file)
                continue
            skipped = max(0, round(number - self._number) - 1) if self._number >= 0 else 0
            self._number = number
            yield Arrival(image, number / self.fps, skipped)

    def _videos(self, closed: threading.Event) -> Generator[Arrival, None, None]:
        """Yield the frames of the complete videos; deleted files are forgotten when the folder is listed again."""
        found = self._look()
        for known in (self._done, self._bad, self._seen):
            for name in known.keys() - found.keys():
                del known[name]
        by_age = sorted(found, key=lambda name: (found[name][1], name))
        for name in [name for name in by_age if self._settled(self.folder / name, name)]:
            if closed.is_set():
                return
            (stamp, _), came = self._seen.pop(name), 0
            try:
                with open_live(self.folder / name, size=self.size, fps=self.live_fps) as frames:
                    for frame in frames:
                        if closed.is_set():
                            return
                        yield Arrival(frame.image, frame.time_seconds, cut=frame.number == 0)
                        came += 1
            except VideoError as error:
                log.warning("%s, after %d frames; the stream continues with the next file", error, came)
            (self._done if came else self._bad)[name] = stamp

    def _look(self) -> dict[str, Stamp]:
        """Find all videos."""
        found: dict[str, Stamp] = {}
        for here, folders, names in os.walk(self.folder):
            folders[:] = [name for name in folders if not name.startswith(".")]
            for file in (Path(here) / name for name in names if not name.startswith(".")):
                if file.suffix.lower() in VIDEO_EXTENSIONS:
                    found[file.relative_to(self.folder).as_posix()] = _stamp(file)
        return found

    def _settled(self, file: Path, name: str) -> bool:
        """Whether a file is ready: not read yet, and unchanged for long enough."""
        now, stamp = time.monotonic(), _stamp(file)
        if name in self._done:
            if self._done[name] != stamp:
                self._done[name] = stamp
                log.warning(
                    "%s has changed after it was read, and is not read again: it had been still for %g seconds",
                    file, SETTLE_SECONDS,
                )  # fmt: skip
            return False
        if self._bad.get(name) == stamp:
            return False
        if name not in self._seen or self._seen[name][0] != stamp:
            self._seen[name] = stamp, now
            return False
        return stamp[0] > 0 and now - self._seen[name][1] >= SETTLE_SECONDS

    def state(self) -> Mapping[str, Any]:
        """See `StreamSource`: the files already read."""
        return {"number": self._number, "files": {name: list(stamp) for name, stamp in dict(self._done).items()}}

    def recall(self, state: Mapping[str, Any]) -> None:
        self._number = float(state.get("number", -1))
        self._done = {name: (stamp[0], stamp[1]) for name, stamp in state.get("files", {}).items()}


def _stamp(file: Path) -> Stamp:
    try:
        found = file.stat()
    except OSError:  # deleted in the meantime
        return 0, 0
    return found.st_size, found.st_mtime_ns


FrameLike = Frames | tuple[float, Frames] | LiveFrame
StreamLike = int | str | PathLike[str] | IO[bytes] | Iterable[FrameLike] | Callable[[], Iterable[FrameLike]]
"""The index of a camera, an address, the path of a pipe, a file or a growing folder, an open binary file, an iterator
of frames (each alone or with its time), or a function that returns such an iterator for each connection."""

_ENDLESS = re.compile(r"(rtsps?|rtmpt?s?|rtp|udp|srt|mms\w*)://", re.IGNORECASE)
_ADDRESS = re.compile(r"\w+://")


class Live(StreamSource):
    """A camera, an address, a pipe, a file, or an open binary file."""

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
        """See `StreamSource`. A finite source restarts when it is opened again: frames seen before are skipped."""
        with open_live(self.source, size=self.size, fps=self.fps) as stream:
            self.drops = not stream.finite if self._drops is None else self._drops
            self.ends = stream.finite if self._ends is None else self._ends
            for frame in stream:
                if closed.is_set():
                    return
                if not stream.finite or frame.number >= self._given:
                    self._given = frame.number + 1
                    yield Arrival(frame.image, frame.time_seconds)


class FromPython(StreamSource):
    """An iterator of frames, or a function that returns one."""

    def __init__(self, given: Any, *, drops: bool, ends: bool) -> None:
        self._open = given if callable(given) else None
        self._frames = None if callable(given) else iter(given)
        kind = "function" if callable(given) else "iterator"
        self.name = f"the {kind} {getattr(given, '__name__', type(given).__name__)}"
        self.drops, self.ends = drops, ends or self._open is None

    def connect(self, closed: threading.Event) -> Generator[Arrival, None, None]:
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


def open_stream(source: StreamLike, live: LiveConfig, *, size: Callable[[int, int], Size]) -> StreamSource:
    """Determine the kind of a source, without opening it.

    Args:
        source: see `StreamLike`; a string of digits is the index of a camera.
        live: settings of the reader.
        size: maps the (height, width) of frames to the requested size; iterators are not resized.

    Raises:
        VideoError: the path does not exist.
        TypeError: not a supported kind of source.
    """
    drops = {"drop": True, "wait": False}.get(live.behind)
    ends = {"stop": True, "retry": False}.get(live.at_end)
    if isinstance(source, (str, PathLike)) and str(source).isdigit():
        source = int(str(source))
    if isinstance(source, int) or (isinstance(source, str) and _ENDLESS.match(source)):
        return Live(source, size, True if drops is None else drops, bool(ends), live.fps)
    if isinstance(source, str) and _ADDRESS.match(source) and not source.startswith("file://"):
        return Live(source, size, drops, ends, live.fps)  # http: only the response tells a file from a camera
    if isinstance(source, (str, PathLike)):
        path = as_path(source)
        if not path.exists():
            raise VideoError(path, "stream", "no such file, pipe or folder")
        if path.is_dir():
            return GrowingFolder(path, live, size, drops=bool(drops))
        return Live(str(path), size, bool(drops), ends is None or ends, live.fps)
    if hasattr(source, "read"):
        return Live(cast("IO[bytes]", source), size, bool(drops), ends is None or ends, live.fps)
    if callable(source) or isinstance(source, Iterable):
        return FromPython(source, drops=bool(drops), ends=ends is None or ends)
    raise TypeError(
        "a stream is a camera's number, an address, a path, an open binary file, an iterator of frames or a function "
        f"that gives one; got {type(source).__name__}"
    )
