"""Tell glibc's allocator to keep freed memory while large blocks of the same size are allocated again and again."""

from __future__ import annotations

import ctypes
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of mallopt(3)
_KEEP = 2**30
_LARGEST = 2**25  # glibc before 2.35 refuses a higher threshold
# the limit of glibc's own dynamic threshold
_AFTERWARDS = {_MMAP_THRESHOLD: _LARGEST, _TRIM_THRESHOLD: 2**26}
_lock = threading.Lock()
_inside = 0


@contextmanager
def freed_memory_kept() -> Iterator[None]:
    """Keep freed memory for reuse inside a `with` block, and return it to the system afterwards.

    glibc may return large blocks to the system at once, depending on the state of the heap. Every page is then
    requested and cleared again at each batch, which takes up to a sixth of the CPU time of an extraction or a training.
    On other systems, and where the environment configures malloc, nothing is changed.
    """
    global _inside
    libc = _glibc()
    if libc is None:
        yield
        return
    with _lock:
        _inside += 1
        keep_freed_memory()
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if not _inside:
                for option, value in _AFTERWARDS.items():
                    libc.mallopt(option, value)
                libc.malloc_trim(0)


def keep_freed_memory() -> None:
    """Keep freed memory until the process ends; for the processes that decode."""
    libc = _glibc()
    if libc is not None:
        if not libc.mallopt(_MMAP_THRESHOLD, _KEEP):
            libc.mallopt(_MMAP_THRESHOLD, _LARGEST)
        libc.mallopt(_TRIM_THRESHOLD, _KEEP)


def _glibc() -> ctypes.CDLL | None:
    told = any(name.startswith("MALLOC_") for name in os.environ) or "glibc.malloc" in os.environ.get(
        "GLIBC_TUNABLES", ""
    )
    if told or not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None)
    return libc if hasattr(libc, "mallopt") and hasattr(libc, "malloc_trim") else None
