"""File locks between processes and threads; the system releases them when a process ends, however it ends.

On Windows, which has no such locks, nothing here does anything.
"""

from __future__ import annotations

import errno
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, BinaryIO

if sys.platform != "win32":
    import fcntl

NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)
"""Errors of a disk that has no locks."""
ATTEMPTS, WAIT_SECONDS = 20, 0.02
_LEAST_SECONDS, _MOST_SECONDS = 0.001, 0.05


def lock_shared(file: IO[Any]) -> None:
    """Take a shared lock on an open file that is being read. Windows needs none: it never removes an open file."""
    if sys.platform != "win32":
        fcntl.flock(file, fcntl.LOCK_SH)


def try_lock(file: IO[Any] | int, *, shared: bool = False) -> bool:
    """Lock an open file, unless somebody else has a lock on it; closing the file releases the lock.

    Args:
        file: the open file.
        shared: others may hold a shared lock on it at the same time.

    Raises:
        OSError: a disk without locks.
    """
    if sys.platform != "win32":
        try:
            fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


@contextmanager
def exclusive(path: Path, heartbeat: Callable[[], None] = lambda: None) -> Iterator[IO[Any]]:
    """Hold a lock file inside a `with` block, after waiting for other processes and threads that hold it.

    Args:
        path: made if it is not there; removing it lets others in.
        heartbeat: called while waiting; may raise to give up.

    Yields:
        The open file.

    Raises:
        OSError: a disk without locks.
    """
    with path.open("a+b") as file:
        wait = _LEAST_SECONDS
        while not try_lock(file):
            heartbeat()
            time.sleep(wait)
            wait = min(2 * wait, _MOST_SECONDS)
        yield file


class LivenessLock:
    """A lock that shows that this process is alive: held until `close`, or until the process ends.

    Where the disk has no locks nothing is held.

    Args:
        path: the file, made if need be; it stays, and means nothing when nobody holds it.
    """

    def __init__(self, path: Path) -> None:
        self._file: BinaryIO | None = None
        if sys.platform == "win32":
            return
        self._file = path.open("ab")
        for _ in range(ATTEMPTS):
            try:
                if try_lock(self._file):
                    return
            except OSError:  # a disk without locks
                break
            time.sleep(WAIT_SECONDS)  # somebody looks just now (see `is_held`)
        self.close()  # nothing that a training is to fail for

    def close(self) -> None:
        """Release the lock."""
        if self._file is not None:
            self._file.close()
            self._file = None


def is_held(path: Path) -> bool | None:
    """Return whether a living process holds the lock; None where that cannot be known."""
    if sys.platform == "win32" or not path.exists():
        return None
    try:
        with path.open("rb") as file:
            return not try_lock(file, shared=True)
    except OSError:
        return None
