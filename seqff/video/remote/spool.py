"""The spool: remote files fetched into a folder of limited size; what is least recently used makes room for others."""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import IO

from seqff.errors import SeqffError, VideoError
from seqff.locks import alone, lock_shared
from seqff.video.entry import Stamp
from seqff.video.find import cache_folder
from seqff.video.remote.address import address_of, extension
from seqff.video.remote.filesystem import READER, download, no_beat, remote_stamp
from seqff.video.remote.room import LIMIT, Room, gate

FOLDER = "SEQFF_SPOOL"


class Loan:
    """A file to read from here, which nobody removes until the loan is closed or its process ends.

    Args:
        path: on this machine.
        file: the open file that holds the lock; None where nothing needs holding.
    """

    def __init__(self, path: Path, file: IO[bytes] | None = None) -> None:
        self.path, self._file = path, file

    def close(self) -> None:
        """Gives it back; more than once is fine."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def __enter__(self) -> Path:
        return self.path

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def borrow(path: Path, wanted: Stamp | None = None, *, beat: Callable[[], None] = no_beat) -> Loan:
    """Returns where a file can be read: a local one where it is, one at an address in the spool.

    A version that is in the spool is handed out without asking the server: it is the one that is wanted.

    Args:
        path: of the file, or what stands for an address; see `seqff.video.remote.address`.
        wanted: the version wanted, from a manifest; None takes the one the server has now.
        beat: called again and again while it is fetched; may raise to give up.

    Returns:
        The loan; close it, or use it in a `with`, which gives its path.

    Raises:
        FileNotFoundError: the server has no such file.
        VideoError: it cannot be fetched, has changed, or is larger than the spool may be.
        SeqffError: fsspec or a driver is not installed, or the disk is full.
    """
    address = address_of(path)
    return Loan(path) if address is None else Spool.of_user().borrow(address, wanted, beat)


class Spool:
    """A folder of fetched files, shared by any number of processes; it may be deleted when nobody uses it.

    Files are named by a hash of address and version: nothing a server says becomes a path.

    Args:
        folder: where it is.
        limit_bytes: how large it may grow; None for 20 GB, or half of what is free if that is less.
    """

    def __init__(self, folder: Path, limit_bytes: int | None = None) -> None:
        self.folder, self._room = folder, Room(folder, limit_bytes)

    @classmethod
    def of_user(cls) -> Spool:
        """The user's, as the environment says: $SEQFF_SPOOL, by default in the cache folder, and $SEQFF_SPOOL_GB.

        Raises:
            ValueError: $SEQFF_SPOOL_GB is no number above 0.
        """
        said = os.environ.get(LIMIT)
        try:
            limit = None if not said else int(float(said) * 10**9)
        except (ValueError, OverflowError):
            limit = 0
        if limit is not None and limit <= 0:
            raise ValueError(f"{LIMIT} is {said!r}; it must be a number above 0, in 10^9 bytes")
        return cls(Path(os.environ.get(FOLDER) or cache_folder() / "spool"), limit)

    def borrow(self, address: str, wanted: Stamp | None, beat: Callable[[], None] = no_beat) -> Loan:
        """Hands out a file, which is fetched if it is not there; see `borrow`."""
        stamp = wanted or remote_stamp(address, beat)
        key = hashlib.blake2b(json.dumps([address, *stamp]).encode(errors="surrogateescape"), digest_size=16)
        name = key.hexdigest() + extension(address)
        loan = self._take(name, stamp)
        if loan is None:
            try:
                (self.folder / "locks").mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise self._unwritable(error) from error
            try:
                with alone(gate(self.folder, name), beat):
                    loan = self._take(name, stamp) or self._fetch(address, stamp, name, beat)
            except FileNotFoundError:  # on the server
                raise
            except OSError as error:
                raise self._unwritable(error) from error
        return loan

    def _unwritable(self, error: OSError) -> SeqffError:
        return SeqffError(
            f"the spool {self.folder} cannot be written ({error.strerror}): set {FOLDER} to a folder that can be"
        )

    def _take(self, name: str, stamp: Stamp) -> Loan | None:
        path = self.folder / name
        try:
            file = path.open("rb")
        except (FileNotFoundError, NotADirectoryError):
            return None
        lock_shared(file)
        found = os.fstat(file.fileno())
        if not path.exists() or not os.path.samestat(found, path.stat()):  # removed before it was locked
            file.close()
            return None
        if stamp.bytes and found.st_size != stamp.bytes:  # somebody has meddled with it
            file.close()
            path.unlink(missing_ok=True)
            return None
        os.utime(path)  # used now
        return Loan(path, file)

    def _fetch(self, address: str, stamp: Stamp, name: str, beat: Callable[[], None]) -> Loan:
        self._check_version(address, stamp, "changed since it was scanned: scan again", beat)
        partial = self.folder / f".{name}.{stamp.bytes}.{uuid.uuid4().hex}.partial"
        try:
            self._room.make(address, stamp.bytes, partial, beat)
            download(address, partial, bytes=stamp.bytes, most=stamp.bytes or self._room.limit()[0], beat=beat)
            self._check_version(address, stamp, "changed while it was fetched: scan again", beat)
            file = partial.open("rb+")
            os.fsync(file.fileno())
            lock_shared(file)  # before others can see it
            partial.replace(self.folder / name)
        finally:
            partial.unlink(missing_ok=True)
        if not stamp.bytes:
            self._room.make(address, 0, None, beat)
        return Loan(self.folder / name, file)

    def _check_version(self, address: str, stamp: Stamp, otherwise: str, beat: Callable[[], None]) -> None:
        if remote_stamp(address, beat) != stamp:
            raise VideoError(address, READER, otherwise)
