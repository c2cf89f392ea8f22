"""Stored results: benchmarks/results/NAME.json, lists of records from which the docs' tables are generated."""

from __future__ import annotations

import fcntl
import json
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

import seqff

FOLDER = Path(__file__).parent / "results"
Record = dict[str, Any]


class Records:
    """The records of one benchmark; several processes may add to them.

    Args:
        path: the file, which need not exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def of(cls, benchmark: str) -> Records:
        """Return the committed records of a benchmark."""
        return cls(FOLDER / f"{benchmark}.json")

    def read(self) -> list[Record]:
        """Return all records; empty if there is no such file."""
        return json.loads(self.path.read_text()) if self.path.exists() else []

    def find(self, **wanted: Any) -> Record | None:
        """Return the record with these values, if there is one."""
        found = (record for record in self.read() if all(record.get(name) == value for name, value in wanted.items()))
        return next(found, None)

    def keep(self, record: Record, *, by: tuple[str, ...]) -> Record:
        """Add a record, replacing the one with the same values of `by`, and return it."""
        with self._alone():
            others = [known for known in self.read() if any(known.get(name) != record[name] for name in by)]
            ordered = sorted([*others, record], key=lambda known: [str(known.get(name)) for name in by])
            lines = ",\n".join(json.dumps(known) for known in ordered)  # one line each, for readable diffs
            self.path.write_text(f"[\n{lines}\n]\n")
        return record

    @contextmanager
    def _alone(self) -> Iterator[None]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def machine() -> Record:
    """Return what results depend on besides the code: processor, threads, versions."""
    return {
        "processor": processor(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "seqff": seqff.__version__,
    }


def processor() -> str:
    """Return the name of the processor and its vector extensions."""
    path = Path("/proc/cpuinfo")
    text = path.read_text() if path.exists() else ""
    names = [line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("model name")]
    kinds = [kind for kind in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if f" {kind} " in f"{text} "]
    return f"{names[0] if names else platform.processor() or platform.machine()} ({', '.join(kinds)})"
