"""A sign of life that goes out with the process: a file that is locked for as long as its holder lives."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import BinaryIO

ATTEMPTS, WAIT_SECONDS = 20, 0.02


class Held:
    """Holds a lock until `close`, or until this process ends in whatever way; where there are no locks, does nothing.

    Args:
        path: the file, made if need be; it stays, and means nothing when nobody holds it.
    """

    def __init__(self, path: Path) -> None:
        self._file: BinaryIO | None = None
        if sys.platform == "win32":
            return
        import fcntl

        self._file = path.open("ab")
        for _ in range(ATTEMPTS):
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:  # somebody looks just now (see `is_held`)
                time.sleep(WAIT_SECONDS)
            except OSError:  # a disk without locks
                break
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
    import fcntl

    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return False
    except BlockingIOError:
        return True
    except OSError:
        return None
