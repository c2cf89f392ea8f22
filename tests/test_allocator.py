"""Freed memory is kept while it is needed, and returned afterwards."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys

import pytest

HOLD = """
import resource
import numpy as np
from seqff.allocator import freed_memory_kept

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()

before = resident()
with freed_memory_kept():
    blocks = [np.ones(3_000_000, np.uint8) for _ in range(8)]  # 24 MB
    del blocks
    kept = resident() - before
print(kept, resident() - before)
"""
pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux") or not hasattr(ctypes.CDLL(None), "mallopt"), reason="needs glibc"
)


def held(**variables: str) -> tuple[float, float]:
    """MB of 24 that a process holds after they were freed: in the block of code, and behind it."""
    free = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_TUNABLES"))}
    done = subprocess.run(
        [sys.executable, "-c", HOLD], capture_output=True, text=True, check=True, env={**free, **variables}
    )
    inside, after = (int(number) / 1e6 for number in done.stdout.split())
    return inside, after


def test_blocks_are_kept_and_given_back() -> None:
    """What was freed stays with the process for the next blocks; after the code it is the system's again."""
    inside, after = held()
    assert inside > 20
    assert after < 5


@pytest.mark.parametrize("variables", [{"MALLOC_TOP_PAD_": "0"}, {"GLIBC_TUNABLES": "glibc.malloc.top_pad=0"}])
def test_what_the_environment_says_stands(variables: dict[str, str]) -> None:
    """Somebody has chosen how glibc is to do it: blocks go back at once, as without seqff."""
    assert held(**variables)[0] < 5
