"""Number of cores available to this process; needs no torch, because decoding processes use it too."""

from __future__ import annotations

import math
import os
import time
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
SHORTEST_SECONDS = 0.5
"""The kernel counts CPU time in hundredths of a second; shorter intervals are unreliable."""


def usable_cores() -> int:
    """Return how many cores this process may use, from its affinity and the quota of its control group (Linux)."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.ceil(min(cores, _quota())))


def _quota() -> float:
    """Return the cores that the control groups of this process allow; infinity if unlimited."""
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
        group = next(line.removeprefix("0::/") for line in lines if line.startswith("0::/"))
        folders = [CGROUPS / group, *(CGROUPS / group).parents]
        files = [folder / "cpu.max" for folder in folders if folder.is_relative_to(CGROUPS)]
        limits = [file.read_text().split() for file in files if file.exists()]
        return min((int(most) / int(period) for most, period in limits if most != "max"), default=math.inf)
    except (OSError, ValueError, StopIteration):
        return math.inf


class FreeCores:
    """Measures how many cores other processes leave to this one, from construction on."""

    def __init__(self) -> None:
        self._began = self._now()

    def __call__(self) -> float:
        """Return the mean number of cores that were idle or used by this process; all it may use if unknown."""
        now, before, cores = self._now(), self._began, usable_cores()
        if now is None or before is None or now[0] - before[0] < SHORTEST_SECONDS:
            return cores
        seconds, busy, own = (b - a for a, b in zip(before, now, strict=True))
        return min(cores, max(0.0, (os.cpu_count() or 1) - (busy - own) / seconds))

    @staticmethod
    def _now() -> tuple[float, float, float] | None:
        """Return the time, and the CPU time of all processes and of this one, seconds."""
        try:
            words = Path("/proc/stat").read_text().split("\n", 1)[0].split()
            user, nice, system, _, _, *others = map(int, words[1:9])  # others: interrupts, and other virtual machines
        except (OSError, ValueError):
            return None
        return time.monotonic(), (user + nice + system + sum(others)) / os.sysconf("SC_CLK_TCK"), time.process_time()


def crowding(threads: int, free: float) -> str:
    """Return a one-line warning if there are more computing threads than free cores, else an empty string.

    Args:
        threads: computing threads of this process.
        free: cores that other processes leave to it.
    """
    if threads == 1 or threads <= free + 0.5:
        return ""
    fitting = max(1, round(free))
    return (
        f"{threads} threads compute, and other processes leave {free:.1f} of {usable_cores()} cores free: threads that "
        f"wait for each other make steps many times as slow. OMP_NUM_THREADS={fitting} avoids it (docs/costs.md)"
    )
