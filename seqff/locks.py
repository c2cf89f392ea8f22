"""Locks on files, between processes and threads; the system lets go of them when a process ends in whatever way.

Windows has none of these, and nothing here does anything there.
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
    """Say that an open file is being read. On Windows nothing is needed: an open file cannot be removed there."""
    if sys.platform != "win32":
        fcntl.flock(file, fcntl.LOCK_SH)


def try_lock(file: IO[Any] | int, *, shared: bool = False) -> bool:
    """Lock an open file, if nobody else has a lock on it; closing the file gives it back.

    Args:
        file: the open file.
        shared: others that lock it so may have it, too.

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
    """Wait until no other process or thread is in such a block with this lock file.

    Args:
        path: made if it is not there; who removes it lets others into the block.
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
    """Says that this process lives: a lock held until `close`, or until the process ends; nothing without locks.

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
        """Let go."""
        if self._file is not None:
            self._file.close()
            self._file = None


def is_held(path: Path) -> bool | None:
    """Say whether a process that lives holds the lock; None where that cannot be known."""
    if sys.platform == "win32" or not path.exists():
        return None
    try:
        with path.open("rb") as file:
            return not try_lock(file, shared=True)
    except OSError:
        return None
