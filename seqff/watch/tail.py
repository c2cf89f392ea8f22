"""What the lines of metrics.jsonl come to, read as they are written: each line once, however long the run."""

from __future__ import annotations

import re
from collections import deque
from pathlib import Path
from typing import Any

from seqff.metrics import METRICS, parse_line
from seqff.untrusted import open_plain

LINES = 20
"""Latest lines from which the speed is taken."""


class Tail:
    """Follows metrics.jsonl of a run.

    Args:
        run: the run folder; the file need not be there yet.

    Attributes:
        recent: the latest lines since the training was last resumed, at most `LINES`.
        layers: for each layer the latest value of every figure.
        alarms: step and sentence of each.
    """

    def __init__(self, run: Path) -> None:
        self.path = run / METRICS
        self._forget(0)

    def _forget(self, file: int) -> None:
        self._file, self._offset = file, 0
        self.recent: deque[dict[str, Any]] = deque(maxlen=LINES)
        self.layers: dict[str, dict[str, float]] = {}
        self.alarms: list[tuple[int, str]] = []

    def read(self) -> None:
        """Take in what has been written since.

        Raises:
            RunError: a line is not what a training writes.
        """
        if not self.path.exists():
            return
        with open_plain(self.path) as file:
            number = self.path.stat().st_ino
            if number != self._file:  # a resumed run writes the file anew, without the steps it takes again
                self._forget(number)
            file.seek(self._offset)
            whole, newline, _ = file.read().rpartition(b"\n")
        self._offset += len(whole) + len(newline)
        for text in whole.splitlines():
            line = parse_line(text, self.path)
            if line is not None:
                self._hear(line)

    def _hear(self, line: dict[str, Any]) -> None:
        line = {"seconds": 0.0, "frames": 0, **line}
        if self.recent and line["seconds"] < self.recent[-1]["seconds"]:  # the clock starts anew with each resumption
            self.recent.clear()
        self.recent.append(line)
        self.alarms += [(line["step"], str(text)) for text in line.get("alarms", ())]
        for key, value in line.items():
            layer, slash, name = key.partition("/")
            if slash:
                self.layers.setdefault(layer, {})[name] = value

    @property
    def step(self) -> int:
        """The last one that was logged; 0 if none was."""
        return int(self.recent[-1]["step"]) if self.recent else 0

    @property
    def names(self) -> list[str]:
        """The layers, bottom to top: by the number in their names, for the greedy trainer begins with the lowest."""
        return sorted(self.layers, key=lambda name: [int(number) for number in re.findall(r"\d+", name)])

    def steps_per_second(self) -> float | None:
        """Return the speed over the recent lines; None if they do not tell."""
        if len(self.recent) < 2:
            return None
        first, last = self.recent[0], self.recent[-1]
        seconds, steps = last["seconds"] - first["seconds"], last["step"] - first["step"]
        return steps / seconds if seconds > 0 and steps > 0 else None

    def seconds_apart(self) -> float:
        """Return the seconds between the last two lines."""
        return float(self.recent[-1]["seconds"] - self.recent[-2]["seconds"]) if len(self.recent) > 1 else 0.0
