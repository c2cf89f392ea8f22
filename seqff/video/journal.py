"""What a scan has found so far: an interrupted one goes on from it, and processes share the work by it."""

from __future__ import annotations

import json
import logging
import os
import shutil
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from seqff.errors import WriteError
from seqff.files import append, writing
from seqff.locks import NO_LOCKS, LivenessLock, exclusive, is_held
from seqff.video.entry import VideoEntry
from seqff.video.manifest import FORMAT

_CLAIM = "claim"

_log = logging.getLogger("seqff.video")


class Journal:
    """The folder beside a manifest that is being made, with a file for each process that scans to it.

    A process writes there which video it begins with and what it found. What a living process is at, the others leave
    to it; what one was at that has died is done by others. Where a disk has no locks, and on Windows, nobody can be
    known to live: then each process does all the work.

    Args:
        out: file of the manifest.
        root: of the videos; what was found of others is left alone.
        fresh: forget what was found by processes that have died.

    Attributes:
        found: entries by path, of all processes.
    """

    def __init__(self, out: Path, root: Path, *, fresh: bool) -> None:
        self.folder = out.with_name(out.name + ".partial")
        self.found: dict[str, VideoEntry] = {}
        self._out, self._root = out, root
        self._read: dict[Path, int] = {}  # bytes, of the files of others
        self._claims: dict[Path, set[str]] = {}
        self._own: Path | None = None
        self._liveness: LivenessLock | None = None
        self._wrote = self._warned = False
        with self._locked():
            if fresh:
                for other in self._others():
                    if not is_held(other):
                        other.unlink()
            self._own = self.folder / f"{uuid.uuid4().hex}.jsonl"
            self._liveness = LivenessLock(self._own)
            self._read_others()

    def claim(self, paths: Sequence[str]) -> Iterator[str]:
        """Yield videos to do, one after another; what others have done meanwhile, or are at, is left out.

        Args:
            paths: relative to the root.
        """
        for path in paths:
            with self._locked():
                self._read_others()
                if path in self.found or path in (busy := self._busy()):
                    continue
                if busy and not self._warned and os.environ.get("WORLD_SIZE", "1") == "1":  # ranks share it on purpose
                    self._warned = True
                    _log.warning("%s: another scan to it is under way; the work is shared", self._out)
                self._write({_CLAIM: path})
            yield path

    def add(self, entry: VideoEntry) -> None:
        """Write down what was found of a video."""
        self._write({"entry": entry.to_dict()})
        self._wrote = True
        self.found[entry.path] = entry

    def refresh(self) -> None:
        """Read what others have found since."""
        with self._locked():
            self._read_others()

    @contextmanager
    def finishing(self) -> Iterator[None]:
        """A block in which the manifest is written; the journal is gone after it, unless others are still at work."""
        with self._locked():
            yield
            self._end()
            if not any(is_held(other) for other in self._others()):
                shutil.rmtree(self.folder, ignore_errors=True)

    def close(self) -> None:
        """Stop being at work; what was found stays, and where nothing was, nothing does."""
        own = self._end()
        if own is not None and not self._wrote:
            with suppress(OSError):
                own.unlink()
                with self._locked():
                    if not self._others():
                        shutil.rmtree(self.folder)

    def _end(self) -> Path | None:
        own, self._own = self._own, None
        if self._liveness is not None:
            self._liveness.close()
        return own

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep other processes out of such a block."""
        with ExitStack() as stack:
            while not self._enter(stack):
                stack.close()
            yield

    def _enter(self, stack: ExitStack) -> bool:
        """Wait for the lock file; say whether it still is there, as the last to finish deletes it with the folder."""
        path = self.folder / "lock"
        with writing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        try:
            file = stack.enter_context(exclusive(path))
            return os.path.samestat(os.fstat(file.fileno()), path.stat())
        except FileNotFoundError:
            return False
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise WriteError(self.folder, error) from error
            return True

    def _others(self) -> list[Path]:
        return [file for file in sorted(self.folder.glob("*.jsonl")) if file != self._own]

    def _busy(self) -> set[str]:
        """Return the videos that others are at."""
        return set().union(*(claims for file, claims in self._claims.items() if claims and is_held(file)))

    def _read_others(self) -> None:
        for file in self._others():
            try:
                with file.open("rb") as opened:
                    opened.seek(self._read.get(file, 0))
                    lines = opened.read()
            except FileNotFoundError:
                continue
            whole = lines[: lines.rfind(b"\n") + 1]  # the rest is being written, or its writer was killed
            self._read[file] = self._read.get(file, 0) + len(whole)
            for text in whole.splitlines():
                self._take(text, self._claims.setdefault(file, set()))

    def _take(self, text: bytes, claims: set[str]) -> None:
        try:
            line = json.loads(text)
            if (line["root"], line["format"]) != (str(self._root), FORMAT):
                return
            entry = None if _CLAIM in line else VideoEntry.from_dict(line["entry"])
        except (ValueError, TypeError, KeyError):
            return  # damaged: that video is done again
        if entry is None:
            claims.add(line[_CLAIM])
            return
        self.found[entry.path] = entry
        claims.discard(entry.path)

    def _write(self, line: dict[str, object]) -> None:
        assert self._own is not None
        append(self._own, json.dumps({"root": str(self._root), "format": FORMAT, **line}) + "\n")
