"""A folder that grows: videos, or numbered images, each read when it is finished."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import Any

from seqff.config import LiveConfig
from seqff.errors import VideoError
from seqff.online.live import Size, open_live
from seqff.online.source import Arrival
from seqff.video.images import FPS, load_samples
from seqff.video.levels import SeenLevels, to_uint8
from seqff.video.numbered import ImageSequence, names_in, sort_pictures
from seqff.video.search import VIDEO_EXTENSIONS

log = logging.getLogger(__name__)
SETTLE_SECONDS = 2.0
"""How long a file must have been left alone before it is read."""
Stamp = tuple[int, int]
"""Size in bytes and time of the last change, ns."""


class GrowingFolder:
    """Files of a folder as they come, oldest first; images by their number.

    A file is read once, when neither its size nor its time has changed for `SETTLE_SECONDS`. What cannot be read
    then is named, and tried again when it changes.

    Args:
        folder: with videos, also in folders below it, or with images of one numbered sequence.
        live: how many images make a second.
        size: gives the size that frames of a (height, width) are wanted at; images are left as they are.
        drops: see `StreamSource`.
    """

    ends = False

    def __init__(self, folder: Path, live: LiveConfig, size: Callable[[int, int], Size], *, drops: bool) -> None:
        self.folder, self.name, self.size, self.drops = folder, str(folder), size, drops
        self.fps, self.live_fps = live.fps or FPS, live.fps
        self._seen: dict[str, tuple[Stamp, float]] = {}  # of files that wait: what they were, and since when
        self._done: dict[str, Stamp] = {}  # what has been read
        self._bad: dict[str, Stamp] = {}  # what could not be, as it was then
        self._number: float = -1
        self._levels = SeenLevels()
        self._several: tuple[str, ...] = ()

    def connect(self, closed: threading.Event) -> Generator[Arrival, None, None]:
        """See `StreamSource`."""
        while not closed.is_set():
            if not self.folder.is_dir():
                raise VideoError(self.folder, "stream", "the folder has gone")
            images = self._sequence()
            yield from self._images(images, closed) if images else self._videos(closed)
            closed.wait(min(1.0, SETTLE_SECONDS / 2 + 0.01))

    def _sequence(self) -> ImageSequence | None:
        """Return the pictures, if they are one sequence; of several say so, once."""
        found = sort_pictures(self.folder, names_in(self.folder), least=1).sequences
        found = tuple(sequence for sequence in found if len(sequence.files) > 1) or found
        names = tuple(sequence.name for sequence in found)
        if len(found) > 1 and names != self._several:
            log.warning("%s holds %d numbered sequences (%s, ...): none is read", self.folder, len(names), names[0])
        self._several = names if len(found) > 1 else ()
        return found[0] if len(found) == 1 else None

    def _images(self, images: ImageSequence, closed: threading.Event) -> Generator[Arrival, None, None]:
        """Yield the finished images, up to the first that is not."""
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
        """Yield the frames of the finished videos; a list made anew forgets files that have gone."""
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
                log.warning("%s, after %d frames; the stream goes on with the next file", error, came)
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
        """Say whether a file is to be read: it has not been, and has been left alone for long enough."""
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
        """See `StreamSource`: the files that have been read."""
        return {"number": self._number, "files": {name: list(stamp) for name, stamp in dict(self._done).items()}}

    def recall(self, state: Mapping[str, Any]) -> None:
        """See `StreamSource`."""
        self._number = float(state.get("number", -1))
        self._done = {name: (stamp[0], stamp[1]) for name, stamp in state.get("files", {}).items()}


def _stamp(file: Path) -> Stamp:
    try:
        found = file.stat()
    except OSError:  # gone between two looks
        return 0, 0
    return found.st_size, found.st_mtime_ns
