"""File locks between processes and threads; the system releases them when a process ends, however it ends.

On Windows, which has no such locks, all functions here do nothing.
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
"""Error numbers of a disk without locks."""
ATTEMPTS, WAIT_SECONDS = 20, 0.02
_LEAST_SECONDS, _MOST_SECONDS = 0.001, 0.05


def lock_shared(file: IO[Any]) -> None:
    """Take a shared lock on an open file that is being read. Windows needs none: it never removes an open file."""
    if sys.platform != "win32":
        fcntl.flock(file, fcntl.LOCK_SH)


def try_lock(file: IO[Any] | int, *, shared: bool = False) -> bool:
    """Lock an open file, unless another process or thread holds a lock on it; closing the file releases the lock.

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
    """Hold a lock file inside a `with` block, waiting for other processes and threads to release it.

    Args:
        path: created if missing; removing it lets others in.
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

    On a disk without locks, nothing is held.

    Args:
        path: the file, created if necessary; it stays, and without a holder it has no meaning.
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
            time.sleep(WAIT_SECONDS)  # another process is checking (see `is_held`)
        self.close()  # not worth failing a training

    def close(self) -> None:
        """Release the lock."""
        if self._file is not None:
            self._file.close()
            self._file = None


def is_held(path: Path) -> bool | None:
    """Return whether a living process holds the lock; None if that cannot be determined."""
    if sys.platform == "win32" or not path.exists():
        return None
    try:
        with path.open("rb") as file:
            return not try_lock(file, shared=True)
    except OSError:
        return None
