"""A cache of downloaded files with limited size; the least recently used files are evicted."""

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
"""Number of lock files; downloads that share one wait for each other."""
WAIT_SECONDS = 60.0
"""How long to wait for files in use, if nothing else can be evicted."""
_LIMIT_BYTES = 20 * 10**9
_RESERVE_BYTES = 2**28  # disk space left free
_OURS = re.compile(r"[0-9a-f]{32}(\.[a-z0-9]+)?|\.[0-9a-f]{32}(\.[a-z0-9]+)?\.\d+\.[0-9a-f]{32}\.partial")


class Lease:
    """A local file that is not evicted until the lease is closed or its process ends; holds it open."""

    def __init__(self, path: Path, file: IO[bytes] | None = None) -> None:
        self.path, self._file = path, file

    def close(self) -> None:
        """Release the file; may be called more than once."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def __enter__(self) -> Path:
        return self.path

    def __exit__(self, *_: object) -> None:
        self.close()


def local_file(path: Path, wanted: Stamp | None = None, *, heartbeat: Callable[[], None] = no_heartbeat) -> Lease:
    """Lease a file: a local one in place, a remote one in the user's download cache. A `with` block gets its path.

    Args:
        path: path of the file, or one that stands for an address; see `seqff.video.remote.address`.
        wanted: the required version, from a manifest; None uses the server's current one.
        heartbeat: called regularly during a download; may raise to give up.

    Raises:
        FileNotFoundError: the server has no such file.
        VideoError: the file cannot be downloaded, has changed, or exceeds the cache's limit.
        SeqffError: fsspec or a driver is not installed, or the disk is full.
    """
    address = address_of(path)
    return Lease(path) if address is None else DownloadCache.of_user().lease(address, wanted, heartbeat)


class DownloadCache:
    """A folder of downloaded files, shared by any number of processes; it may be deleted while not in use.

    Files are named by a hash of address and version, so no text from a server becomes a path.

    Args:
        folder: the folder.
        limit_bytes: maximum size; None for 20 GB, or half of the free space if that is less.
    """

    def __init__(self, folder: Path, limit_bytes: int | None = None) -> None:
        self.folder, self._limit_bytes = folder, limit_bytes

    @classmethod
    def of_user(cls) -> DownloadCache:
        """The user's cache, set by $SEQFF_DOWNLOADS (by default in the cache folder) and $SEQFF_DOWNLOADS_GB."""
        given = os.environ.get(LIMIT)
        try:
            limit = None if not given else int(float(given) * 10**9)
        except (ValueError, OverflowError):
            limit = 0
        if limit is not None and limit <= 0:
            raise ValueError(f"{LIMIT} is {given!r}; it must be a number above 0, in 10^9 bytes")
        return cls(Path(os.environ.get(FOLDER) or cache_folder() / "downloads"), limit)

    def lease(self, address: str, wanted: Stamp | None, heartbeat: Callable[[], None] = no_heartbeat) -> Lease:
        """Lease a file, downloading it if necessary; see `local_file`.

        If the wanted version is cached, the server is not contacted.
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
            except FileNotFoundError:  # raised by the server
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
        removed = not path.exists() or not os.path.samestat(found, path.stat())  # evicted before it was locked
        if removed or (stamp.bytes and found.st_size != stamp.bytes):
            file.close()
            if not removed:  # the file was modified
                path.unlink(missing_ok=True)
            return None
        os.utime(path)  # mark as used
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
            lock_shared(file)  # before other processes can see it
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
        """Evict files until `needed` bytes fit, and reserve them by creating the partial file, whose name has the size.

        With 0 bytes (unknown size), the cache only shrinks to its limit.
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
        """Return the cache's limit and its size, in which a download counts with its full size."""
        used = sum(map(_size, self._files()))
        there = used + shutil.disk_usage(self.folder).free
        limit = min(_LIMIT_BYTES, there // 2) if self._limit_bytes is None else self._limit_bytes
        return max(0, min(limit, there - _RESERVE_BYTES)), used

    def _files(self) -> list[Path]:
        """Return only files written by this cache, because the user's folder may contain others."""
        return [path for path in self.folder.iterdir() if _OURS.fullmatch(path.name) and not path.is_symlink()]

    def _evict(self, surplus: int, own: Path | None) -> int:
        """Evict at least `surplus` bytes of unused files, least recently used first; return the bytes freed."""
        gone = 0
        for path in sorted(self._files(), key=_used_at) if surplus > 0 else ():
            if gone >= surplus:
                break
            gone += self._remove_partial(path, own) if path.name.endswith(".partial") else _remove_unused(path)
        return gone

    def _remove_partial(self, path: Path, own: Path | None) -> int:
        """Remove the partial file of a killed process; for a download in progress, the lock file is locked."""
        try:
            passed = self._lock_file(path.name[1:])
            held = own is not None and passed == self._lock_file(own.name[1:])  # by this process, so by no other
            with passed.open("a+b") as file:
                if not held and not try_lock(file):
                    return 0
                size = _size(path)
                path.unlink(missing_ok=True)
                return size
        except (ValueError, OSError):
            return 0

    def _lock_file(self, name: str) -> Path:
        """Return the lock file for a download, by the hash at the start of its name."""
        return self.folder / "locks" / f"{int(name[:8], 16) % LOCK_FILES:02d}"


def _remove_unused(path: Path) -> int:
    size = _size(path)
    try:
        if sys.platform == "win32":
            path.unlink()  # fails while it is open
            return size
        with path.open("rb+") as file:
            if not try_lock(file):
                return 0
            path.unlink()
            return size
    except OSError:  # another process removed it
        return 0


def _size(path: Path) -> int:
    """Size of a file in bytes; for a download in progress its final size, from its name."""
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
