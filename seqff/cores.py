"""How many cores there are for this process; without torch, since processes that only decode ask as well."""

from __future__ import annotations

import math
import os
import time
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
SHORTEST_SECONDS = 0.5
"""The kernel counts work in hundredths of a second: less time than this says little."""


def usable_cores() -> int:
    """Return how many cores this process may use, by its affinity and by the quota of its control group (Linux)."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.ceil(min(cores, _quota())))


def _quota() -> float:
    """Return the cores that the control groups of this process allow; infinity where they do not say."""
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
    """Measures, from now on, how many cores other processes leave to this one."""

    def __init__(self) -> None:
        self._began = self._now()

    def __call__(self) -> float:
        """Return the cores that were free or used by this process, in the mean; all it may use where nobody knows."""
        now, before, cores = self._now(), self._began, usable_cores()
        if now is None or before is None or now[0] - before[0] < SHORTEST_SECONDS:
            return cores
        seconds, busy, own = (b - a for a, b in zip(before, now, strict=True))
        return min(cores, max(0.0, (os.cpu_count() or 1) - (busy - own) / seconds))

    @staticmethod
    def _now() -> tuple[float, float, float] | None:
        """Return the time, what all processes have worked so far, and what this one has; seconds."""
        try:
            words = Path("/proc/stat").read_text().split("\n", 1)[0].split()
            user, nice, system, _, _, *others = map(int, words[1:9])  # others: interrupts, and other machines' work
        except (OSError, ValueError):
            return None
        return time.monotonic(), (user + nice + system + sum(others)) / os.sysconf("SC_CLK_TCK"), time.process_time()


def crowding(threads: int, free: float) -> str:
    """Say in a line that more threads compute than cores are free; nothing where that is not so.

    Args:
        threads: of this process.
        free: cores that other processes leave to it.
    """
    if threads == 1 or threads <= free + 0.5:
        return ""
    fitting = max(1, round(free))
    return (
        f"{threads} threads compute, and other processes leave {free:.1f} of {usable_cores()} cores free: threads that "
        f"wait for each other make steps many times as slow. OMP_NUM_THREADS={fitting} avoids it (docs/costs.md)"
    )
