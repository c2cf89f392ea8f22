"""The progress of a run, read from its folder; neither torch nor the training process is needed."""

from __future__ import annotations

import os
import re
import shlex
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from seqff.config_io import CONFIG, read_run_config
from seqff.errors import RunError
from seqff.files import manifest_in, read_json
from seqff.locks import is_held
from seqff.metrics import LOCK, METRICS, parse_line
from seqff.untrusted import open_plain

State = Literal["starting", "running", "finished", "stopped"]
STATE = "state.json"
LINES = 20
"""Latest lines from which the speed is taken."""
SILENCE_SECONDS = 60.0
"""Before the first line, and where a lock does not tell whether a training lives: silence for longer than this, and
than five times what the last lines are apart, means that it does not."""


@dataclass(frozen=True)
class Progress:
    """How far a run has come.

    Args:
        run: the run folder.
        state: starting (no step has been logged yet), running, finished, or stopped before the end.
        step: the last one that was logged, or that the latest checkpoint is of.
        steps: of the whole training; 0 for one on a stream that goes on for as long as frames come.
        frames_per_second: over the last lines, of all processes that learn from batches of their own; None if unknown.
        seconds_left: None if unknown, or nothing runs.
        layers: for each layer, bottom to top, the latest value of every figure, by the names of metrics.jsonl.
        alarms: step and sentence of each.
        checkpoint: step of the latest checkpoint; None if there is none.
        command: how the run goes on if it has stopped.
    """

    run: str
    state: State
    step: int
    steps: int
    frames_per_second: float | None
    seconds_left: float | None
    layers: Mapping[str, Mapping[str, float]]
    alarms: Sequence[tuple[int, str]]
    checkpoint: int | None
    command: str

    @property
    def ended(self) -> bool:
        """Whether nothing more will come."""
        return self.state in ("finished", "stopped")

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)


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
    folder, tail = Path(run), MetricsTail(Path(run))
    before: Progress | None = None
    while True:
        now = read_progress(folder, tail)
        if now != before:
            yield now
        if once or now.ended:
            return
        before = now
        time.sleep(every_seconds)


def read_progress(run: Path, tail: MetricsTail) -> Progress:
    """Read how far a run has come.

    Args:
        run: the run folder.
        tail: follows its figures.

    Raises:
        RunError: the folder is no run, or damaged.
    """
    settings = read_run_config(run)
    if type(settings.get("steps", 0)) is not int:
        raise RunError(f"{run / CONFIG}: damaged (steps is no whole number)")
    if settings.get("supervised"):
        raise RunError(f"{run}: the supervised twin of an evaluation writes no figures; there is nothing to watch")
    running = lives(run, tail)  # asked before the files are read: what ends in between has written them all
    tail.read()
    steps = int(settings.get("steps", 0))
    checkpoint, replicas = last_checkpoint(run)
    state: State = "running" if tail.recent else "starting"
    if checkpoint is not None and checkpoint >= (steps or tail.step) and not running:
        state = "finished"
    elif not running:
        state = "stopped"
    rate = tail.steps_per_second()
    frames = sum(line["frames"] for line in tail.recent) / max(1, len(tail.recent))
    return Progress(
        str(run),
        state,
        max(tail.step, checkpoint or 0),
        steps,
        None if rate is None else rate * frames * replicas,
        None if rate is None or not steps or state != "running" else (steps - tail.step) / rate,
        {name: dict(tail.layers[name]) for name in tail.names},
        list(tail.alarms),
        checkpoint,
        resume_command(run, settings),
    )


def lives(run: Path, tail: MetricsTail) -> bool:
    """Say whether a training still writes the run."""
    held = is_held(run / LOCK)
    if held is not None:
        return held
    sign = tail.path if tail.path.exists() else run / CONFIG  # videos are read before the lock is there
    return time.time() - sign.stat().st_mtime < max(SILENCE_SECONDS, 5 * tail.seconds_apart())


def last_checkpoint(run: Path) -> tuple[int | None, int]:
    """Return the step of the latest checkpoint, None if there is none, and how many replicas wrote it."""
    found = [path.name[5:] for path in (run / "checkpoints").glob("step_*") if path.name[5:].isdigit()]
    if not found:
        return None, 1
    latest = max(found, key=int)
    try:
        state = read_json(run / "checkpoints" / f"step_{latest}" / STATE)
    except RunError:  # damaged, or just being replaced
        state = {}
    replicas = state.get("replicas", 1)
    return int(latest), replicas if type(replicas) is int else 1


def resume_command(run: Path, settings: Mapping[str, Any]) -> str:
    """Return the command with which a run goes on; the user must name its stream, or the encoder that it began with."""
    source = [str(manifest_in(run))] if manifest_in(run).exists() else ["--stream", "SOURCE"]
    words = ["seqff", "train", *source, "--out", str(run), "--config", str(run / CONFIG)]
    words += ["--init", "ENCODER"] if "init" in settings else []
    return shlex.join([*words, "--resume"])


class MetricsTail:
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
                self._take(line)

    def _take(self, line: dict[str, Any]) -> None:
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
