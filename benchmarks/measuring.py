"""Utilities of the benchmarks: time and memory of a process, alternating runs, arguments and results."""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from benchmarks.records import machine

Key = TypeVar("Key", bound=Hashable)
Found = TypeVar("Found")
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
MAXRSS_BYTES = 1 if sys.platform == "darwin" else 1024


def memory_mb(field: str = "VmRSS") -> float:
    """Return the memory of this process as counted by the kernel, MB (Linux).

    Args:
        field: VmRSS, resident now; VmHWM, peak resident; VmSize, virtual.
    """
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith(f"{field}:")).split()[1]) / 1e6


def forget_peak() -> None:
    """Reset VmHWM to the current memory (Linux)."""
    Path("/proc/self/clear_refs").write_text("5")


def peak_mb(who: int = resource.RUSAGE_SELF) -> float:
    """Return the peak memory of this process, or of the largest of its finished children, MB."""
    return resource.getrusage(who).ru_maxrss * MAXRSS_BYTES / 1e6


def cpu_seconds(who: int = resource.RUSAGE_SELF) -> float:
    """Return the CPU seconds used so far by this process or by its finished children."""
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime


def seconds_of(work: Callable[[], object]) -> tuple[float, float]:
    """Run something and return its wall and CPU seconds in this process."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


@dataclass(frozen=True)
class Used:
    """Resources of a command: CPU seconds including children, and the peak memory of any of them, MB."""

    cpu_seconds: float
    peak_mb: float


def command(words: Sequence[object], *, environment: Mapping[str, str] | None = None, cwd: Path | None = None) -> Used:
    """Run a command on one thread and return its resources.

    Raises:
        SystemExit: it failed; the message contains its last output.
    """
    every = {**os.environ, **ONE_THREAD, **(environment or {})}
    with subprocess.Popen(
        [*map(str, words)], env=every, cwd=cwd, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        said = process.stderr.read()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(map(str, words))} failed:\n{said[-2000:]}")
    return Used(used.ru_utime + used.ru_stime, used.ru_maxrss * MAXRSS_BYTES / 1e6)


def take_turns(
    ways: Mapping[Key, Callable[[int], Found]], repeats: int, *, warm_up: bool = False
) -> dict[Key, list[Found]]:
    """Run all variants alternately, so that other load on the machine affects them equally.

    Args:
        ways: functions of the turn's number that return a measurement. Every turn starts with a different one.
        repeats: number of measured turns.
        warm_up: run one unmeasured turn first.
    """
    found: dict[Key, list[Found]] = {name: [] for name in ways}
    names = list(ways)
    for turn in range(repeats + warm_up):
        first = turn % len(names) if names else 0
        for name in names[first:] + names[:first]:
            measured = ways[name](turn)
            if turn >= warm_up:
                found[name].append(measured)
        print(f"turn {turn + 1} of {repeats + warm_up} done", file=sys.stderr)
    return found


def arguments(text: str | None, *, json: bool = True) -> argparse.ArgumentParser:
    """Return a parser with the docstring of a benchmark as help, and --json if it writes results."""
    spec = sys.modules["__main__"].__spec__
    program = f"python -m {spec.name}" if spec else None
    parser = argparse.ArgumentParser(
        prog=program, description=text, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    if json:
        parser.add_argument("--json", type=Path, default=None, metavar="FILE", help="write all results here")
    return parser


def write(path: Path | None, found: Mapping[str, Any]) -> None:
    """Write the results and the machine, if a file is given."""
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({**machine(), **found}, indent=1, default=str) + "\n")
