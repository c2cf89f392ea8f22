"""The results of an unfinished scan, from which it can be resumed, and by which processes share the work."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from itertools import islice
from pathlib import Path

from seqff.errors import ManifestError, WriteError
from seqff.files import writing
from seqff.locks import NO_LOCKS, LivenessLock, exclusive, is_held
from seqff.video.entry import VideoEntry
from seqff.video.images import FPS
from seqff.video.levels import levels_of
from seqff.video.manifest import Manifest
from seqff.video.rows import load_rows
from seqff.video.table import TABLE, Table, changing, move_table, reading

_SECONDS = 0.5
"""Interval at which results are written, and duration of the work that is claimed at once."""
_MOST_CLAIMS = 256

_log = logging.getLogger("seqff.video")


class Journal:
    """The folder beside an unfinished manifest, with a table of results that becomes the manifest.

    Each process records there which videos it claims and what it found. The claims of living processes are respected;
    those of dead ones are taken over. On disks without locks, and on Windows, liveness cannot be determined, so each
    process does all the work in its own table.

    Args:
        out: file of the manifest.
        root: root of the videos; each root has its own table.
        fresh: discard earlier results, unless another process is working.

    Attributes:
        table: path of the table.
        found: paths of the videos done by any process; removing one makes it be examined again.
    """

    def __init__(self, out: Path, root: Path, *, fresh: bool) -> None:
        self.folder = out.with_name(out.name + ".partial")
        self.found: set[str] = set()
        self._out, self._head = out, Manifest(root, ()).head()
        self._read = 0  # the last row read
        self._pending: list[VideoEntry] = []
        self._flushed = 0.0
        self._name, self._shares = uuid.uuid4().hex, False
        self._liveness: LivenessLock | None = None
        with self._locked():
            second = bool(self.others())
            self._warns = second and os.environ.get("WORLD_SIZE", "1") == "1"  # ranks always share
            if fresh and not second:
                for file in self.folder.glob(f"*{TABLE}*"):
                    file.unlink()
            digest = hashlib.blake2b(os.fsencode(str(root)), digest_size=16).hexdigest()
            self.table = self.folder / f"{digest if self._shares else self._name}{TABLE}"
            self._liveness = LivenessLock(self._life(self._name))
            try:
                self._begin()
            except BaseException:
                self._end()
                raise

    def _begin(self) -> None:
        """Read the existing table; one that is damaged or of an earlier version is replaced."""
        if not self._shares:
            self._take_over()
        if self.table.exists():
            with suppress(ManifestError), self.changing() as table:
                if self._head.items() <= table.head().items():
                    self._refresh(table)
                    return
            for file in self.folder.glob(f"{self.table.name}*"):
                file.unlink()

    def _take_over(self) -> None:
        for other in sorted(self.folder.glob(f"*{TABLE}"), key=lambda file: -file.stat().st_size):
            with suppress(ManifestError, FileNotFoundError):
                shutil.copyfile(other, self.table)
                with reading(self.table):
                    return
        self.table.unlink(missing_ok=True)

    @contextmanager
    def changing(self) -> Iterator[Table]:
        """Context of a transaction on the table, which is created if necessary."""
        with changing(self.table, locks=self._shares) as table:
            if not table.head():
                table.write_head(self._head)
            yield table

    def known(self) -> Sequence[VideoEntry]:
        """Return the entries in the table."""
        return load_rows(self.table)[1] if self.table.exists() else ()

    def claim(self, paths: Sequence[str]) -> Iterator[str]:
        """Yield videos to examine, without those that other processes have finished or claimed.

        Args:
            paths: paths relative to the root.
        """
        todo, many = iter(paths), 1
        while block := list(islice(todo, many)):
            began = time.monotonic()
            with self._locked(), self.changing() as table:
                self._flush(table)
                self._refresh(table)
                busy = self._busy(table)
                mine = [path for path in block if path not in self.found and path not in busy]
                if busy and self._warns:
                    self._warns = False
                    _log.warning("%s: another scan to it is under way; the work is shared", self._out)
                table.claim(mine, self._name)
            yield from mine
            many = min(2 * many, _MOST_CLAIMS) if time.monotonic() - began < _SECONDS else max(1, many // 2)

    def add(self, entry: VideoEntry) -> None:
        """Record the result for a video; it is written soon."""
        self._pending.append(entry)
        self.found.add(entry.path)
        if time.monotonic() - self._flushed > _SECONDS:
            self.refresh()

    def refresh(self) -> None:
        """Write own results, and read those of other processes."""
        with self._locked(), self.changing() as table:
            self._flush(table)
            self._refresh(table)

    def write(self, wanted: Manifest, paths: Sequence[str], before: Manifest, same: set[str]) -> Manifest:
        """Write the manifest: update its table if that is of the same root; otherwise the journal's table becomes it.

        Args:
            wanted: the manifest without entries.
            paths: paths of its videos, all of which are examined or unchanged.
            before: the previous manifest.
            same: its paths that have not changed.
        """
        videos = {*paths}
        is_table = self._out.suffix.lower() == TABLE

        def settled(entry: VideoEntry) -> VideoEntry:
            shown_at = levels_of(entry.samples, entry.bits, wanted.levels)
            return replace(entry.at_rate(wanted.fps or FPS), levels=shown_at)

        def finish(table: Table) -> None:
            table.keep(videos)
            table.settle(settled)
            table.mark_copies()
            table.write_head(wanted.head())

        if is_table and self._is_there(wanted.root):
            with changing(self._out) as table:
                if self.found:
                    with reading(self.table) as source:
                        table.update_from(source, self.found)
                finish(table)
            return Manifest.load(self._out)
        with self.changing() as table:
            table.add(entry for entry in before if entry.path in same and entry.path not in self.found)
            table.execute("DELETE FROM claims")
            finish(table)
        if is_table:
            move_table(self.table, self._out, copy=bool(self.others()))
            return Manifest.load(self._out)
        manifest = replace(wanted, entries=tuple(Manifest.load(self.table)))
        if manifest != before or not self._out.exists():
            manifest.save(self._out)
        return manifest

    def _is_there(self, root: Path) -> bool:
        with suppress(FileNotFoundError, ManifestError):
            return Manifest.load(self._out).root == root
        return False

    @contextmanager
    def finishing(self) -> Iterator[None]:
        """Context for writing the manifest; afterwards the journal is deleted, unless other processes are working."""
        with self._locked():
            yield
            self._end()
            if not self.others():
                shutil.rmtree(self.folder, ignore_errors=True)

    def close(self) -> None:
        """Release the claims of this process; results are kept, and an empty journal is deleted."""
        if self._liveness is None:
            return
        try:
            with self._locked():
                if self._pending or self.table.exists():
                    with suppress(ManifestError, WriteError), self.changing() as table:
                        self._flush(table)
                        table.execute("DELETE FROM claims WHERE process = ?", [self._name])
                self._end()
                if not self.others() and not any(map(_holds_videos, self.folder.glob(f"*{TABLE}"))):
                    shutil.rmtree(self.folder, ignore_errors=True)
        finally:
            self._end()

    def others(self) -> set[str]:
        """Return the names of the other working processes."""
        names = {file.stem for file in self.folder.glob("*.life")} - {self._name}
        return {name for name in names if is_held(self._life(name))}

    def _life(self, name: str) -> Path:
        return self.folder / f"{name}.life"

    def _end(self) -> None:
        if self._liveness is not None:
            self._liveness.close()
            self._liveness = None
            with suppress(OSError):
                self._life(self._name).unlink()

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Context in which other processes are locked out."""
        with ExitStack() as stack:
            while not self._enter(stack):
                stack.close()
            yield

    def _enter(self, stack: ExitStack) -> bool:
        """Wait for the lock; return whether its file still exists, as the last process deletes the folder."""
        path = self.folder / "lock"
        with writing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        try:
            file = stack.enter_context(exclusive(path))
            self._shares = sys.platform != "win32"
            return os.path.samestat(os.fstat(file.fileno()), path.stat())
        except FileNotFoundError:
            return False
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise WriteError(self.folder, error) from error
            return True

    def _busy(self, table: Table) -> set[str]:
        """Return the videos claimed by other living processes."""
        alive = self.others()
        return {path for path, process in table.execute("SELECT path, process FROM claims") if process in alive}

    def _flush(self, table: Table) -> None:
        table.add(self._pending)
        table.release(entry.path for entry in self._pending)
        self._pending, self._flushed = [], time.monotonic()

    def _refresh(self, table: Table) -> None:
        for number, path in table.execute("SELECT id, path FROM videos WHERE id > ? ORDER BY id", [self._read]):
            self.found.add(path)
            self._read = number


def _holds_videos(table: Path) -> bool:
    with suppress(ManifestError, FileNotFoundError):
        return len(load_rows(table)[1]) > 0
    return False
