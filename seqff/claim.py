"""Lock a folder for one job; a second job is told who is using it before it reads or writes anything there."""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from seqff.errors import RunError
from seqff.files import LOCKS, writing
from seqff.locks import NO_LOCKS, try_lock

PATIENCE_SECONDS = 0.4
"""Long enough for the locks of killed processes and of `seqff.locks.is_held` to be released."""
_POLL_SECONDS = 0.02
_MOST_BYTES = 500
_NONE = -1


class Claim:
    """Holds a lock in a folder until `close`, or until this process ends, however it ends.

    The lock is on a file in the folder, so that machines that share a disk see it. On Windows, and on disks without
    locks, nothing is locked. `close` removes a folder that was created for the claim and is still empty.

    Args:
        folder: created if necessary.
        name: name of the lock file, one of `seqff.files.LOCKS`.
        shared: other processes that also pass this may hold it at the same time, as the ranks of one extraction do.
        wait: called once with the name of the holder; the claim then waits for the folder instead of raising.
        patience: seconds to try before another process counts as the holder.
        keep: leave the lock file behind; without a holder it has no meaning.

    Raises:
        RunError: another process holds it; the error says which.
        WriteError: the folder cannot be created or written to.
    """

    def __init__(
        self,
        folder: Path,
        *,
        name: str = LOCKS[1],
        shared: bool = False,
        wait: Callable[[str], None] | None = None,
        patience: float = PATIENCE_SECONDS,
        keep: bool = False,
    ) -> None:
        self.folder, self._file, self._made = folder, _NONE, list[Path]()
        self._path, self._shared, self._keep, self._pid = folder / name, shared, keep, os.getpid()
        if sys.platform == "win32" or (folder.exists() and not folder.is_dir()):  # the caller reports the latter
            return
        until: float | None = time.monotonic() + patience
        with writing(folder):
            while not self._taken():
                if until is not None and time.monotonic() > until:
                    if wait is None:
                        raise RunError(
                            f"{folder} is in use by {self._holder()}: wait, stop that, or choose another folder"
                        )
                    wait(self._holder())
                    until = None
                time.sleep(_POLL_SECONDS)

    def _taken(self) -> bool:
        """Try to lock the file, unless its last holder is just deleting it."""
        file = _NONE
        try:
            if not self.folder.exists():
                self._made = [place for place in (self.folder, *self.folder.parents) if not place.exists()]
                self.folder.mkdir(parents=True, exist_ok=True)
            file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0), 0o666)
            if self._lock(file) and os.path.samestat(os.fstat(file), self._path.stat()):
                self._file, file = file, _NONE
                self._sign()
        except FileNotFoundError:
            pass
        finally:
            if file != _NONE:
                os.close(file)
        return self._file != _NONE

    def _lock(self, file: int) -> bool:
        try:
            return try_lock(file, shared=self._shared)
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
            return True

    def _sign(self) -> None:
        """Write the holder into the file, if the disk has space."""
        with suppress(OSError):
            os.ftruncate(self._file, 0)
            since = time.strftime("%Y-%m-%d %H:%M:%S %Z")
            os.write(self._file, f"process {os.getpid()} on {socket.gethostname()} since {since}".encode())

    def _holder(self) -> str:
        try:
            with self._path.open("rb") as file:
                return file.read(_MOST_BYTES).decode(errors="replace") or "another process"
        except OSError:
            return "another process"

    def close(self) -> None:
        """Release the lock; a second call does nothing."""
        file, self._file = self._file, _NONE
        if file == _NONE:
            return
        if os.getpid() != self._pid:  # a fork of the holder
            os.close(file)
            return
        with suppress(OSError):
            stays = self._keep and any(entry != self._path for entry in self.folder.iterdir())
            if not stays and (not self._shared or try_lock(file)):  # otherwise others still hold it
                self._path.unlink()
        with suppress(OSError):
            for place in self._made:  # removed as far as they are empty
                place.rmdir()
        os.close(file)

    def __del__(self) -> None:
        self.close()

    def __enter__(self) -> Claim:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
