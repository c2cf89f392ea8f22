"""Freed memory is kept while it is wanted again, and given back afterwards."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys

import pytest

COUNT = """
import resource, sys, threading
import numpy as np
from seqff.allocator import freed_memory_kept

def faults(rounds):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(rounds):
        blocks = [np.ones(3_000_000, np.uint8) for _ in range(8)]  # 24 MB, 5860 pages
        del blocks
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()

before = resident()
with freed_memory_kept():
    faults(2)
    kept = faults(20)
print(kept, resident() - before)
"""


@pytest.mark.skipif(
    not sys.platform.startswith("linux") or not hasattr(ctypes.CDLL(None), "mallopt"), reason="needs glibc"
)
def test_blocks_are_had_again_and_given_back() -> None:
    """Twenty rounds of 24 MB touch hardly a fresh page; after the block the memory is the system's again."""
    done = subprocess.run([sys.executable, "-c", COUNT], capture_output=True, text=True, check=True)
    faults, left = map(int, done.stdout.split())
    assert faults < 1000
    assert left < 5e6


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs glibc")
@pytest.mark.parametrize(("name", "value"), [("MALLOC_ARENA_MAX", "2"), ("GLIBC_TUNABLES", "glibc.malloc.check=0")])
def test_what_the_environment_says_stands(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody has chosen: nothing is changed."""
    from seqff import allocator

    for known in [known for known in os.environ if known.startswith(("MALLOC_", "GLIBC_TUNABLES"))]:
        monkeypatch.delenv(known)
    assert allocator._glibc() is not None or not hasattr(ctypes.CDLL(None), "mallopt")
    monkeypatch.setenv(name, value)
    assert allocator._glibc() is None
