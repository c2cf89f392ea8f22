"""Room in the spool: how much it may hold, and what is removed for what is to come."""

from __future__ import annotations

import re
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

from seqff.errors import VideoError
from seqff.locks import alone, try_exclusive
from seqff.video.remote.filesystem import READER

LIMIT = "SEQFF_SPOOL_GB"
_LIMIT_BYTES = 20 * 10**9
_RESERVE_BYTES = 2**28  # left free on the disk
_GATES = 64  # two files at the same one wait for each other
_OURS = re.compile(r"[0-9a-f]{32}(\.[a-z0-9]+)?|\.[0-9a-f]{32}(\.[a-z0-9]+)?\.\d+\.[0-9a-f]{32}\.partial")
_WAIT_SECONDS = 60.0  # for files in use, when nothing else can make room


def gate(folder: Path, name: str) -> Path:
    """Returns the lock file that the fetching of a file goes through, by the hash its name begins with."""
    return folder / "locks" / f"{int(name[:8], 16) % _GATES:02d}"


class Room:
    """The room in a folder of fetched files.

    Args:
        folder: of the spool, with a folder "locks".
        limit_bytes: how large it may grow; None for 20 GB, or half of what is free if that is less.
    """

    def __init__(self, folder: Path, limit_bytes: int | None) -> None:
        self.folder, self._limit_bytes = folder, limit_bytes

    def make(self, address: str, needed: int, partial: Path | None, beat: Callable[[], None]) -> None:
        """Removes files until so many bytes fit, and marks them as taken by making the partial file.

        Args:
            address: that room is made for.
            needed: bytes; 0 where nobody knows, or to come back to the limit.
            partial: is made, empty; its name says how many bytes it will have.
            beat: called while waiting for files in use; may raise to give up.

        Raises:
            VideoError: it is larger than the spool may be, or the spool is full of files in use.
        """
        until = time.monotonic() + _WAIT_SECONDS
        while True:
            with alone(self.folder / "locks" / "count", beat):
                limit, used = self.limit()
                if needed > limit:
                    what = f"it has {gigabytes(needed)} and the spool {self.folder} may hold {gigabytes(limit)}"
                    raise VideoError(address, READER, f"{what}: make room on the disk, or raise {LIMIT}")
                used -= self._evict(used + needed - limit, partial)
                if used + needed <= limit:
                    if partial is not None:
                        partial.touch()
                    return
            if time.monotonic() > until:
                what = f"the spool {self.folder} is full of files in use ({gigabytes(used)} of {gigabytes(limit)})"
                raise VideoError(address, READER, f"{what}: raise {LIMIT}, or use fewer workers")
            beat()
            time.sleep(0.2)

    def limit(self) -> tuple[int, int]:
        """Returns how many bytes the spool may hold and how many it holds; a file on its way counts as a whole."""
        used = sum(_size(path) for path in self._files())
        there = used + shutil.disk_usage(self.folder).free
        limit = min(_LIMIT_BYTES, there // 2) if self._limit_bytes is None else self._limit_bytes
        return max(0, min(limit, there - _RESERVE_BYTES)), used

    def _evict(self, surplus: int, own: Path | None) -> int:
        """Removes so many bytes, the least recently used first, of files that nobody uses; returns how many it did."""
        gone = 0
        for path in sorted(self._files(), key=_used_at) if surplus > 0 else ():
            if gone >= surplus:
                break
            gone += self._remove_partial(path, own) if path.name.endswith(".partial") else _remove_unused(path)
        return gone

    def _files(self) -> list[Path]:
        """Only what the spool has written: somebody may have named a folder with other things in it."""
        return [path for path in self.folder.iterdir() if _OURS.fullmatch(path.name) and not path.is_symlink()]

    def _remove_partial(self, path: Path, own: Path | None) -> int:
        """Removes what a killed process has left: what is being fetched has its gate locked."""
        try:
            passed = gate(self.folder, path.name[1:])
            held = own is not None and passed == gate(self.folder, own.name[1:])  # by us: then by nobody else
            with passed.open("a+b") as file:
                if not held and not try_exclusive(file):
                    return 0
                size = _size(path)
                path.unlink(missing_ok=True)
                return size
        except (ValueError, OSError):
            return 0


def _remove_unused(path: Path) -> int:
    size = _size(path)
    try:
        if sys.platform == "win32":
            path.unlink()  # fails where it is open
            return size
        with path.open("rb+") as file:
            if not try_exclusive(file):
                return 0
            path.unlink()
            return size
    except OSError:  # another process was faster
        return 0


def _size(path: Path) -> int:
    """Bytes of a file; of one that is being fetched, as many as it will have, which stand in its name."""
    try:
        size = path.stat().st_size if path.is_file() else 0
    except OSError:
        return 0
    parts = path.name.split(".")
    return max(size, int(parts[-3])) if parts[-1] == "partial" and parts[-3].isdigit() else size


def _used_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def gigabytes(count: int) -> str:
    """Returns a number of bytes for people."""
    return f"{count / 1e9:.3g} GB"
