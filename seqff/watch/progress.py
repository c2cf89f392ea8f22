"""Read the progress of a run from its folder, without torch or the training process."""

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
"""Number of recent lines from which the speed is computed."""
SILENCE_SECONDS = 60.0
"""If the lock does not show whether a training is alive, it counts as dead after this much silence, or five times the
interval of the last lines if that is longer."""


@dataclass(frozen=True)
class Progress:
    """The progress of a run.

    Args:
        run: the run folder.
        state: starting (no step logged yet), running, finished, or stopped before the end.
        step: the last step logged, or that of the latest checkpoint.
        steps: number of steps of the whole training; 0 for a stream without a limit.
        frames_per_second: mean over the recent lines, summed over all replicas; None if unknown.
        seconds_left: estimated remaining time; None if unknown or not running.
        layers: for each layer, bottom to top, the latest value of every metric, by its name in metrics.jsonl.
        alarms: step and message of each.
        checkpoint: step of the latest checkpoint; None if there is none.
        command: the command that resumes the run.
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
        """Whether the run is finished or stopped."""
        return self.state in ("finished", "stopped")

    def to_dict(self) -> dict[str, Any]:
        """Return the progress as plain data."""
        return asdict(self)


def watch(run: str | os.PathLike[str], *, once: bool = False, every_seconds: float = 2.0) -> Iterator[Progress]:
    """Yield the progress of a run now, and again after each advance until it ends.

    It only reads the run folder, so any number of watchers may run, also on other machines that share the folder.

    Args:
        run: a folder that `seqff.train` writes or has written.
        once: yield once.
        every_seconds: polling interval.

    Yields:
        The progress; the last one tells whether the run has finished.

    Raises:
        RunError: the folder is not a run, or is damaged.
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
    """Read the progress of a run.

    Args:
        run: the run folder.
        tail: reader of its metrics.

    Raises:
        RunError: the folder is not a run, or is damaged.
    """
    settings = read_run_config(run)
    if type(settings.get("steps", 0)) is not int:
        raise RunError(f"{run / CONFIG}: damaged (steps is no whole number)")
    if settings.get("supervised"):
        raise RunError(f"{run}: the supervised twin of an evaluation writes no figures; there is nothing to watch")
    running = lives(run, tail)  # before reading: a run that ends in between has already written everything
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
    """Whether a training is still writing to the run."""
    held = is_held(run / LOCK)
    if held is not None:
        return held
    sign = tail.path if tail.path.exists() else run / CONFIG  # the scan runs before there are metrics
    return time.time() - sign.stat().st_mtime < max(SILENCE_SECONDS, 5 * tail.seconds_apart())


def last_checkpoint(run: Path) -> tuple[int | None, int]:
    """Return the step of the latest checkpoint, None if there is none, and the number of replicas that wrote it."""
    found = [path.name[5:] for path in (run / "checkpoints").glob("step_*") if path.name[5:].isdigit()]
    if not found:
        return None, 1
    latest = max(found, key=int)
    try:
        state = read_json(run / "checkpoints" / f"step_{latest}" / STATE)
    except RunError:  # damaged, or being replaced
        state = {}
    replicas = state.get("replicas", 1)
    return int(latest), replicas if type(replicas) is int else 1


def resume_command(run: Path, settings: Mapping[str, Any]) -> str:
    """Return the command that resumes a run; the user must fill in its stream or initial encoder."""
    source = [str(manifest_in(run))] if manifest_in(run).exists() else ["--stream", "SOURCE"]
    words = ["seqff", "train", *source, "--out", str(run), "--config", str(run / CONFIG)]
    words += ["--init", "ENCODER"] if "init" in settings else []
    return shlex.join([*words, "--resume"])


class MetricsTail:
    """Reads a run's metrics.jsonl incrementally.

    Args:
        run: the run folder; the file may not exist yet.

    Attributes:
        recent: the latest lines since the training was last resumed, at most `LINES`.
        layers: for each layer, the latest value of every metric.
        alarms: step and message of each.
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
        """Read the lines written since the last call.

        Raises:
            RunError: a line was not written by a training.
        """
        if not self.path.exists():
            return
        with open_plain(self.path) as file:
            number = self.path.stat().st_ino
            if number != self._file:  # a resumed run replaces the file, without the steps it repeats
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
        if self.recent and line["seconds"] < self.recent[-1]["seconds"]:  # resuming restarts the clock
            self.recent.clear()
        self.recent.append(line)
        self.alarms += [(line["step"], str(text)) for text in line.get("alarms", ())]
        for key, value in line.items():
            layer, slash, name = key.partition("/")
            if slash:
                self.layers.setdefault(layer, {})[name] = value

    @property
    def step(self) -> int:
        """The last step logged; 0 if there is none."""
        return int(self.recent[-1]["step"]) if self.recent else 0

    @property
    def names(self) -> list[str]:
        """The layers, bottom to top, sorted by number because the greedy trainer logs them one after the other."""
        return sorted(self.layers, key=lambda name: [int(number) for number in re.findall(r"\d+", name)])

    def steps_per_second(self) -> float | None:
        """Return the speed over the recent lines; None if there are too few."""
        if len(self.recent) < 2:
            return None
        first, last = self.recent[0], self.recent[-1]
        seconds, steps = last["seconds"] - first["seconds"], last["step"] - first["step"]
        return steps / seconds if seconds > 0 and steps > 0 else None

    def seconds_apart(self) -> float:
        """Return the interval between the last two lines, seconds."""
        return float(self.recent[-1]["seconds"] - self.recent[-2]["seconds"]) if len(self.recent) > 1 else 0.0
