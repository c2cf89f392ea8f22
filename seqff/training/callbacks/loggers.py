"""Figures of a training to where people look at them: TensorBoard, Weights & Biases; names as in metrics.jsonl."""

from __future__ import annotations

import importlib
import os
import secrets
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import yaml

from seqff.config import TrainConfig
from seqff.errors import ConfigError, RunError
from seqff.files import write_atomically

WANDB_ID = "wandb_id.txt"
PROJECT = "seqff"


class Logger(Protocol):
    """Takes the lines of metrics.jsonl as they are written."""

    def write(self, line: dict[str, Any]) -> None:
        """Take a line: `step`, figures by name, and perhaps `alarms`."""

    def close(self) -> None:
        """Write what is still held back."""


class TensorBoardLogger:
    """Writes event files into RUN/tensorboard.

    Args:
        run: the run folder.
        step: steps already taken; TensorBoard then hides what an interrupted run had written of later ones.
    """

    def __init__(self, run: Path, *, step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.writer: Any = SummaryWriter(str(run / "tensorboard"), purge_step=step + 1 if step else None)

    def write(self, line: dict[str, Any]) -> None:
        """See `Logger`."""
        for name, value in figures_of(line).items():
            self.writer.add_scalar(name, value, line["step"])
        for text in line.get("alarms", ()):
            self.writer.add_text("alarms", text, line["step"])

    def close(self) -> None:
        """See `Logger`."""
        self.writer.close()


class WandbLogger:
    """Logs to Weights & Biases, project seqff, under the name of the run folder.

    wandb's own variables hold: WANDB_MODE=offline writes into RUN/wandb and needs neither network nor account, and
    WANDB_PROJECT names another project. A resumed run goes on under the same id; wandb takes no figure of a step that
    it has already.

    Args:
        run: the run folder.

    Raises:
        RunError: wandb cannot start (it says why).
    """

    def __init__(self, run: Path) -> None:
        wandb = importlib.import_module("wandb")
        file = run / WANDB_ID
        if not file.exists():
            write_atomically(file, secrets.token_hex(4))
        settings = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))
        try:
            self.run: Any = wandb.init(
                project=os.environ.get("WANDB_PROJECT", PROJECT),
                dir=str(run),
                name=run.resolve().name,
                id=file.read_text(encoding="utf-8").strip(),
                resume="allow",
                config=settings,
            )
        except Exception as error:  # wandb has a dozen kinds of its own
            words = " ".join(str(error).split())
            raise RunError(f"wandb does not start: {words}. WANDB_MODE=offline needs no account") from error

    def write(self, line: dict[str, Any]) -> None:
        """See `Logger`."""
        self.run.log(figures_of(line), step=line["step"])
        for text in line.get("alarms", ()):
            self.run.alert(title=f"step {line['step']}", text=text)

    def close(self) -> None:
        """See `Logger`."""
        self.run.finish()


def figures_of(line: dict[str, Any]) -> dict[str, float]:
    """Return the numbers of a line, but for the step that they are of."""
    return {name: value for name, value in line.items() if name != "step" and isinstance(value, (int, float))}


def check_loggers(config: TrainConfig) -> None:
    """Raise unless what the settings ask for is installed.

    Raises:
        ConfigError: a name that is none, or a package that is missing.
    """
    for name in config.loggers:
        if name not in ("tensorboard", "wandb"):
            raise ConfigError(f"loggers: there is no {name!r}; choose from tensorboard, wandb")
        if find_spec(name) is None:
            raise ConfigError(f"loggers: {name} is not installed: pip install 'seqff[{name}]', or leave it out")


def build_loggers(names: Sequence[str], run: Path, *, step: int) -> list[Logger]:
    """Start the loggers of a run.

    Args:
        names: which.
        run: the run folder.
        step: steps already taken.
    """
    return [TensorBoardLogger(run, step=step) if name == "tensorboard" else WandbLogger(run) for name in names]
