"""Remote files downloaded into a folder of limited size; what is least recently used makes room for others."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import IO

from seqff.errors import SeqffError, VideoError
from seqff.locks import exclusive, lock_shared, try_lock
from seqff.video.entry import Stamp
from seqff.video.find import cache_folder
from seqff.video.remote.address import READER, address_of, extension
from seqff.video.remote.filesystem import download, no_heartbeat, remote_stamp

FOLDER, LIMIT = "SEQFF_DOWNLOADS", "SEQFF_DOWNLOADS_GB"
LOCK_FILES = 64
"""Two files with the same one wait for each other."""
WAIT_SECONDS = 60.0
"""For files in use, when nothing else can make room."""
_LIMIT_BYTES = 20 * 10**9
_RESERVE_BYTES = 2**28  # left free on the disk
_OURS = re.compile(r"[0-9a-f]{32}(\.[a-z0-9]+)?|\.[0-9a-f]{32}(\.[a-z0-9]+)?\.\d+\.[0-9a-f]{32}\.partial")


class Lease:
    """A file on this machine, which nobody removes until the lease is closed or its process ends, by an open file."""

    def __init__(self, path: Path, file: IO[bytes] | None = None) -> None:
        self.path, self._file = path, file

    def close(self) -> None:
        """Give it up; more than once is fine."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def __enter__(self) -> Path:
        return self.path

    def __exit__(self, *_: object) -> None:
        self.close()


def local_file(path: Path, wanted: Stamp | None = None, *, heartbeat: Callable[[], None] = no_heartbeat) -> Lease:
    """Lease a file: a local one where it is, one at an address in the user's download cache; in a `with` its path.

    Args:
        path: of the file, or what stands for an address; see `seqff.video.remote.address`.
        wanted: the version wanted, from a manifest; None takes the one the server has now.
        heartbeat: called again and again while it is downloaded; may raise to give up.

    Raises:
        FileNotFoundError: the server has no such file.
        VideoError: it cannot be downloaded, has changed, or is larger than the cache may be.
        SeqffError: fsspec or a driver is not installed, or the disk is full.
    """
    address = address_of(path)
    return Lease(path) if address is None else DownloadCache.of_user().lease(address, wanted, heartbeat)


class DownloadCache:
    """A folder of downloaded files, shared by any number of processes; it may be deleted when nobody uses it.

    Files are named by a hash of address and version: nothing a server says becomes a path.

    Args:
        folder: where it is.
        limit_bytes: how large it may grow; None for 20 GB, or half of what is free if that is less.
    """

    def __init__(self, folder: Path, limit_bytes: int | None = None) -> None:
        self.folder, self._limit_bytes = folder, limit_bytes

    @classmethod
    def of_user(cls) -> DownloadCache:
        """The user's, as $SEQFF_DOWNLOADS (by default in the cache folder) and $SEQFF_DOWNLOADS_GB say."""
        given = os.environ.get(LIMIT)
        try:
            limit = None if not given else int(float(given) * 10**9)
        except (ValueError, OverflowError):
            limit = 0
        if limit is not None and limit <= 0:
            raise ValueError(f"{LIMIT} is {given!r}; it must be a number above 0, in 10^9 bytes")
        return cls(Path(os.environ.get(FOLDER) or cache_folder() / "downloads"), limit)

    def lease(self, address: str, wanted: Stamp | None, heartbeat: Callable[[], None] = no_heartbeat) -> Lease:
        """Hand out a file, which is downloaded if it is not there; see `local_file`.

        A version that is there is handed out without asking the server: it is the one that is wanted.
        """
        stamp = wanted or remote_stamp(address, heartbeat)
        key = hashlib.blake2b(json.dumps([address, *stamp]).encode(errors="surrogateescape"), digest_size=16)
        name = key.hexdigest() + extension(address)
        lease = self._take(name, stamp)
        if lease is None:
            try:
                (self.folder / "locks").mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise self._unwritable(error) from error
            try:
                with exclusive(self._lock_file(name), heartbeat):
                    lease = self._take(name, stamp) or self._download(address, stamp, name, heartbeat)
            except FileNotFoundError:  # on the server
                raise
            except OSError as error:
                raise self._unwritable(error) from error
        return lease

    def _unwritable(self, error: OSError) -> SeqffError:
        return SeqffError(
            f"the download cache {self.folder} cannot be written ({error.strerror}): set {FOLDER} to a folder that can "
            "be"
        )

    def _take(self, name: str, stamp: Stamp) -> Lease | None:
        path = self.folder / name
        try:
            file = path.open("rb")
        except (FileNotFoundError, NotADirectoryError):
            return None
        lock_shared(file)
        found = os.fstat(file.fileno())
        removed = not path.exists() or not os.path.samestat(found, path.stat())  # before it was locked
        if removed or (stamp.bytes and found.st_size != stamp.bytes):
            file.close()
            if not removed:  # somebody has changed it
                path.unlink(missing_ok=True)
            return None
        os.utime(path)  # used now
        return Lease(path, file)

    def _download(self, address: str, stamp: Stamp, name: str, heartbeat: Callable[[], None]) -> Lease:
        self._check_version(address, stamp, "changed since it was scanned: scan again", heartbeat)
        partial = self.folder / f".{name}.{stamp.bytes}.{uuid.uuid4().hex}.partial"
        try:
            self._make_room(address, stamp.bytes, partial, heartbeat)
            most = stamp.bytes or self._limit()[0]
            download(address, partial, bytes=stamp.bytes, most=most, heartbeat=heartbeat)
            self._check_version(address, stamp, "changed while it was fetched: scan again", heartbeat)
            file = partial.open("rb+")
            os.fsync(file.fileno())
            lock_shared(file)  # before others can see it
            partial.replace(self.folder / name)
        finally:
            partial.unlink(missing_ok=True)
        if not stamp.bytes:
            self._make_room(address, 0, None, heartbeat)
        return Lease(self.folder / name, file)

    def _check_version(self, address: str, stamp: Stamp, otherwise: str, heartbeat: Callable[[], None]) -> None:
        if remote_stamp(address, heartbeat) != stamp:
            raise VideoError(address, READER, otherwise)

    def _make_room(self, address: str, needed: int, partial: Path | None, heartbeat: Callable[[], None]) -> None:
        """Remove files until `needed` bytes fit, and take them by making the partial file, whose name says how many.

        With 0 bytes, where nobody knows, it comes back to the limit.
        """
        until = time.monotonic() + WAIT_SECONDS
        while True:
            with exclusive(self.folder / "locks" / "count", heartbeat):
                limit, used = self._limit()
                if needed > limit:
                    may = f"the download cache {self.folder} may hold {_gigabytes(limit)}"
                    how = f"make room on the disk, or raise {LIMIT}"
                    raise VideoError(address, READER, f"it has {_gigabytes(needed)} and {may}: {how}")
                used -= self._evict(used + needed - limit, partial)
                if used + needed <= limit:
                    if partial is not None:
                        partial.touch()
                    return
            if time.monotonic() > until:
                full = f"{self.folder} is full of files in use ({_gigabytes(used)} of {_gigabytes(limit)})"
                raise VideoError(address, READER, f"the download cache {full}: raise {LIMIT}, or use fewer workers")
            heartbeat()
            time.sleep(0.2)

    def _limit(self) -> tuple[int, int]:
        """Return how many bytes the cache may hold and how many it holds; a file on its way counts as a whole."""
        used = sum(map(_size, self._files()))
        there = used + shutil.disk_usage(self.folder).free
        limit = min(_LIMIT_BYTES, there // 2) if self._limit_bytes is None else self._limit_bytes
        return max(0, min(limit, there - _RESERVE_BYTES)), used

    def _files(self) -> list[Path]:
        """Only what was written here: somebody may have named a folder with other things in it."""
        return [path for path in self.folder.iterdir() if _OURS.fullmatch(path.name) and not path.is_symlink()]

    def _evict(self, surplus: int, own: Path | None) -> int:
        """Remove so many bytes, the least recently used first, of files that nobody uses; return how many it did."""
        gone = 0
        for path in sorted(self._files(), key=_used_at) if surplus > 0 else ():
            if gone >= surplus:
                break
            gone += self._remove_partial(path, own) if path.name.endswith(".partial") else _remove_unused(path)
        return gone

    def _remove_partial(self, path: Path, own: Path | None) -> int:
        """Remove what a killed process has left: of what is being downloaded the lock file is locked."""
        try:
            passed = self._lock_file(path.name[1:])
            held = own is not None and passed == self._lock_file(own.name[1:])  # by us: then by nobody else
            with passed.open("a+b") as file:
                if not held and not try_lock(file):
                    return 0
                size = _size(path)
                path.unlink(missing_ok=True)
                return size
        except (ValueError, OSError):
            return 0

    def _lock_file(self, name: str) -> Path:
        """Return the file that is locked while a file is downloaded, by the hash its name begins with."""
        return self.folder / "locks" / f"{int(name[:8], 16) % LOCK_FILES:02d}"


def _remove_unused(path: Path) -> int:
    size = _size(path)
    try:
        if sys.platform == "win32":
            path.unlink()  # fails where it is open
            return size
        with path.open("rb+") as file:
            if not try_lock(file):
                return 0
            path.unlink()
            return size
    except OSError:  # another process was faster
        return 0


def _size(path: Path) -> int:
    """Bytes of a file; of one that is being downloaded, as many as it will have, which stand in its name."""
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


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:.3g} GB"
