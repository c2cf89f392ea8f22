"""The metrics of a training: metrics.jsonl, TensorBoard and Weights & Biases, under the same names."""

from __future__ import annotations

import importlib
import os
import secrets
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from seqff.config import TrainConfig
from seqff.config_io import read_run_config
from seqff.errors import ConfigError, RunError
from seqff.files import write_atomically, writing
from seqff.metrics import MetricsLog
from seqff.training.trainer import Callback, StepReport

WANDB_ID = "wandb_id.txt"
PROJECT = "seqff"


class Logger(Protocol):
    """Receives the lines of metrics.jsonl as they are written."""

    def write(self, line: dict[str, Any]) -> None:
        """Log a line: `step`, metrics by name, and optionally `alarms`."""

    def close(self) -> None:
        """Flush and close."""


class TensorBoardLogger:
    """Writes event files into RUN/tensorboard.

    Raises:
        WriteError: they cannot be written; `write` and `close` raise it too.
    """

    def __init__(self, run: Path, *, step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.folder = run / "tensorboard"
        with writing(self.folder):
            self.writer: Any = SummaryWriter(str(self.folder), purge_step=step + 1 if step else None)

    def write(self, line: dict[str, Any]) -> None:
        with writing(self.folder):
            for name, value in metrics_of(line).items():
                self.writer.add_scalar(name, value, line["step"])
            for text in line.get("alarms", ()):
                self.writer.add_text("alarms", text, line["step"])
            self.writer.flush()  # its thread writes asynchronously, and would report errors late

    def close(self) -> None:
        with writing(self.folder):
            self.writer.close()


class WandbLogger:
    """Logs to Weights & Biases, in project seqff, under the name of the run folder.

    wandb's environment variables apply: WANDB_MODE=offline writes into RUN/wandb and needs neither network nor account,
        and WANDB_PROJECT selects another project. A resumed run keeps its id; wandb ignores metrics of steps that it
        already has.

    Raises:
        RunError: wandb cannot start; the message gives the reason.
    """

    def __init__(self, run: Path) -> None:
        wandb = importlib.import_module("wandb")
        file = run / WANDB_ID
        if not file.exists():
            write_atomically(file, secrets.token_hex(4))
        settings = read_run_config(run)
        try:
            self.run: Any = wandb.init(
                project=os.environ.get("WANDB_PROJECT", PROJECT),
                dir=str(run),
                name=run.resolve().name,
                id=file.read_text(encoding="utf-8").strip(),
                resume="allow",
                config=settings,
            )
        except Exception as error:  # wandb has a dozen exception classes
            words = " ".join(str(error).split())
            raise RunError(f"wandb does not start: {words}. WANDB_MODE=offline needs no account") from error

    def write(self, line: dict[str, Any]) -> None:
        self.run.log(metrics_of(line), step=line["step"])
        for text in line.get("alarms", ()):
            self.run.alert(title=f"step {line['step']}", text=text)

    def close(self) -> None:
        self.run.finish()


def metrics_of(line: dict[str, Any]) -> dict[str, float]:
    """Return the numbers of a line, except the step."""
    return {name: value for name, value in line.items() if name != "step" and isinstance(value, (int, float))}


def check_loggers(config: TrainConfig) -> None:
    """Raise unless the packages of the requested loggers are installed.

    Raises:
        ConfigError: an unknown name, or a missing package.
    """
    for name in config.loggers:
        if name not in ("tensorboard", "wandb"):
            raise ConfigError(f"loggers: there is no {name!r}; choose from tensorboard, wandb")
        if find_spec(name) is None:
            raise ConfigError(f"loggers: {name} is not installed: pip install 'seqff[{name}]', or leave it out")


def build_loggers(names: Sequence[str], run: Path, *, step: int) -> list[Logger]:
    """Start the loggers of a run."""
    return [TensorBoardLogger(run, step=step) if name == "tensorboard" else WandbLogger(run) for name in names]


class MetricsWriter(Callback):
    """Writes the lines of metrics.jsonl, also to the loggers.

    Attributes:
        kept: existing lines that are kept on resuming.
        metrics: metrics of the last line written, `layer/name` -> value.
    """

    def __init__(self, run: Path, *, every: int, step: int, loggers: Sequence[str] = ()) -> None:
        self.every, self.metrics = every, dict[str, float]()
        self._log = MetricsLog(run, step=step)
        self._loggers: list[Logger] = build_loggers(loggers, run, step=step)
        self.kept, self._began = self._log.kept, time.monotonic()

    def after_step(self, report: StepReport) -> None:
        report.log = report.log or report.step % self.every == 0 or report.last

    def on_metrics(self, report: StepReport) -> None:
        self.write(self.line(report), report.metrics, report.alarms)

    def line(self, report: StepReport) -> dict[str, Any]:
        """Return the fields of a line before the metrics of the layers."""
        seconds = round(time.monotonic() - self._began, 3) or 0.001
        return {"step": report.step, "lr": report.lr, "frames": report.rows, **report.extra, "seconds": seconds}

    def write(self, line: dict[str, Any], metrics: Any, alarms: list[str]) -> None:
        """Write a line."""
        self.metrics = dict(metrics)
        whole = {**line, **self.metrics, **({"alarms": alarms} if alarms else {})}
        self._log.write(whole)
        for logger in self._loggers:
            logger.write(whole)

    def close(self) -> None:
        """Close the loggers."""
        for logger in self._loggers:
            logger.close()
