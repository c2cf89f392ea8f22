"""Following a run until it ends."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

from seqff.watch.progress import Progress, read_progress
from seqff.watch.tail import Tail


def watch(run: str | os.PathLike[str], *, once: bool = False, every_seconds: float = 2.0) -> Iterator[Progress]:
    """Look at a run, in progress or not, and again whenever it has come further, until it ends.

    It reads the run folder only; any number may watch, also from another machine that sees the folder.

    Args:
        run: folder that `seqff.train` writes, or has written.
        once: look once.
        every_seconds: time between two looks.

    Yields:
        How far it has come; the last one says whether it has finished.

    Raises:
        RunError: the folder is no run, or damaged.
        ValueError: `every_seconds` is not above 0.
    """
    if every_seconds <= 0:
        raise ValueError(f"every_seconds must be above 0, got {every_seconds}")
    folder, tail = Path(run), Tail(Path(run))
    before: Progress | None = None
    while True:
        now = read_progress(folder, tail)
        if now != before:
            yield now
        if once or now.ended:
            return
        before = now
        time.sleep(every_seconds)
