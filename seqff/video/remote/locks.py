"""Locks on files, between processes and threads; the system lets go of them when a process is killed."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

if sys.platform != "win32":
    import fcntl

_EVERY_SECONDS = 0.05


def lock_shared(file: IO[Any]) -> None:
    """Says that an open file is being read. On Windows nothing is needed: an open file cannot be removed there."""
    if sys.platform != "win32":
        fcntl.flock(file, fcntl.LOCK_SH)


def try_exclusive(file: IO[Any]) -> bool:
    """Takes an open file for oneself, if nobody else has a lock on it; closing the file gives it back."""
    if sys.platform != "win32":
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


@contextmanager
def alone(path: Path, beat: Callable[[], None]) -> Iterator[None]:
    """Waits until no other process or thread is in such a block with this file.

    Args:
        path: made if it is not there; never to be removed.
        beat: called while waiting; may raise to give up.
    """
    with path.open("a+b") as file:
        while not try_exclusive(file):
            beat()
            time.sleep(_EVERY_SECONDS)
        yield
