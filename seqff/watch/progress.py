"""How far a run has come, by what lies in its folder; neither torch nor the training is needed for that."""

from __future__ import annotations

import shlex
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from seqff.errors import RunError
from seqff.files import read_json
from seqff.locks import is_held
from seqff.metrics import LOCK
from seqff.untrusted import MOST_YAML_BYTES, check_plain, parse_yaml, read_plain
from seqff.watch.tail import Tail

State = Literal["starting", "running", "finished", "stopped"]
CONFIG, MANIFEST, STATE = "config.yaml", "manifest.json", "state.json"
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


def read_progress(run: Path, tail: Tail) -> Progress:
    """Read how far a run has come.

    Args:
        run: the run folder.
        tail: follows its figures.

    Raises:
        RunError: the folder is no run, or damaged.
    """
    settings = read_settings(run)
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


def read_settings(run: Path) -> dict[str, Any]:
    """Read config.yaml of a run.

    Raises:
        RunError: there is none, or it is damaged.
    """
    file = run / CONFIG
    if not file.is_file():
        raise RunError(f"{run}: no {CONFIG} there; a run folder is what `seqff train --out` writes")
    check_plain(run)
    try:
        settings = parse_yaml(read_plain(file, MOST_YAML_BYTES).decode())
    except (OSError, ValueError) as error:
        raise RunError(f"{file}: damaged ({' '.join(str(error).split())})") from error
    if not isinstance(settings, dict) or type(settings.get("steps", 0)) is not int:
        raise RunError(f"{file}: damaged (it holds no settings)")
    if settings.get("supervised"):
        raise RunError(f"{run}: the supervised twin of an evaluation writes no figures; there is nothing to watch")
    return settings


def lives(run: Path, tail: Tail) -> bool:
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
    source = [str(run / MANIFEST)] if (run / MANIFEST).exists() else ["--stream", "SOURCE"]
    words = ["seqff", "train", *source, "--out", str(run), "--config", str(run / CONFIG)]
    words += ["--init", "ENCODER"] if "init" in settings else []
    return shlex.join([*words, "--resume"])
