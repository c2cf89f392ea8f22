"""The metrics of a run on disk, and to whatever else takes them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from seqff.metrics import MetricsLog
from seqff.training.callbacks.loggers import Logger, build_loggers
from seqff.training.trainer import Callback, StepReport


class MetricsWriter(Callback):
    """Writes the lines of metrics.jsonl; the loggers get them, too.

    Args:
        run: the run folder.
        every: steps between lines.
        step: steps already taken.
        loggers: names of those that are given the lines as well.

    Attributes:
        kept: the lines that were there and stay.
        metrics: of the last line that was written, `layer/name` -> value.
    """

    def __init__(self, run: Path, *, every: int, step: int, loggers: Sequence[str] = ()) -> None:
        self.every, self.metrics = every, dict[str, float]()
        self._log = MetricsLog(run, step=step)
        self._loggers: list[Logger] = build_loggers(loggers, run, step=step)
        self.kept, self._began = self._log.kept, time.monotonic()

    def after_step(self, report: StepReport) -> None:
        """See `Callback`."""
        report.log = report.log or report.step % self.every == 0 or report.last

    def on_metrics(self, report: StepReport) -> None:
        """See `Callback`."""
        self.write(self.line(report), report.metrics, report.alarms)

    def line(self, report: StepReport) -> dict[str, Any]:
        """Return what stands in a line before the metrics of the layers."""
        seconds = round(time.monotonic() - self._began, 3) or 0.001
        return {"step": report.step, "lr": report.lr, "frames": report.rows, **report.facts, "seconds": seconds}

    def write(self, line: dict[str, Any], metrics: Any, alarms: list[str]) -> None:
        """Write a line."""
        self.metrics = dict(metrics)
        whole = {**line, **self.metrics, **({"alarms": alarms} if alarms else {})}
        self._log.write(whole)
        for logger in self._loggers:
            logger.write(whole)

    def close(self) -> None:
        """Let the loggers finish."""
        for logger in self._loggers:
            logger.close()
