"""What is written down of a training: metrics, alarms, the progress bar; by the first rank, for all stages."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from seqff.errors import RunError
from seqff.metrics import METRICS, MetricsLog, read_metrics
from seqff.training.alarms import Alarm
from seqff.training.learner import LayerLearner
from seqff.training.loggers import Logger, build_loggers
from seqff.training.parallel.ranks import Ranks
from seqff.training.watch import Watch

SHOWN = 6
"""Layers whose losses the progress bar shows one by one."""


class Journal:
    """Notes the figures of steps; stages above the first send theirs to it, and the lines are put together there.

    Args:
        run: the run folder.
        watch: monitors and alarms of this process's layers.
        ranks: this process among the others.
        step: steps already taken.
        loggers: names of those that are given the lines as well.

    Attributes:
        figures: of the last line that was written, `layer/name` -> value.
        collapsed: what was said of layers that the training is to stop for.
    """

    def __init__(self, run: Path, watch: Watch, ranks: Ranks, *, step: int, loggers: Sequence[str] = ()) -> None:
        self.watch, self.ranks = watch, ranks
        self.metrics = MetricsLog(run, step=step) if ranks.leads else None
        self._loggers: list[Logger] = build_loggers(loggers, run, step=step) if ranks.leads else []
        known = read_metrics(run / METRICS, step=step) if self.metrics is None else self.metrics.kept
        watch.recall(known)
        self.figures: dict[str, float] = {}
        self.collapsed: list[str] = []
        self._open: list[dict[str, Any]] = []
        self._began, self._seen = time.monotonic(), 0

    def count(self, rows: int) -> None:
        """Count the rows of a step, for the speed."""
        self._seen += rows

    def note(self, line: dict[str, Any], trained: list[LayerLearner], bar: tqdm[Any]) -> list[Alarm]:
        """Write down the figures of the step just taken, and return what is alarming in them.

        Args:
            line: `step` and what else is known of it.
            trained: the learners that had a loss in it.
            bar: shows losses and speed.

        Raises:
            RunError: a loss is not a finite number.
        """
        figures = read_figures(trained)
        alarms = self.watch.hear({**line, **figures})
        stop = self.watch.must_stop(alarms)
        said = {"figures": figures, "alarms": [alarm.text for alarm in alarms], "collapsed": [stop] if stop else []}
        if not self.ranks.leads:
            self.collapsed += said["collapsed"]
            self.ranks.put(f"line {line['step']} {self.ranks.stage}", said)
            return alarms
        elapsed = round(time.monotonic() - self._began, 3) or 0.001
        self._open.append({"line": {**line, "seconds": elapsed}, "said": [said]})
        bar.set_postfix_str(summary(trained, figures, self.ranks.replicas * self._seen / elapsed))
        self.flush(wait=False)
        return alarms

    def flush(self, *, wait: bool = True) -> None:
        """Write the lines for which the figures of all stages are there; or wait for those that are not."""
        while self._open and self.metrics is not None:
            line, said = self._open[0]["line"], self._open[0]["said"]
            keys = [f"line {line['step']} {stage}" for stage in range(1, self.ranks.stages)]
            if keys and not wait and not self.ranks.has(*keys):
                return
            said += [self.ranks.take(key) for key in keys]
            self.figures = {name: value for part in said for name, value in part["figures"].items()}
            alarms = [text for part in said for text in part["alarms"]]
            self.collapsed += [text for part in said for text in part["collapsed"]]
            whole = {**line, **self.figures, **({"alarms": alarms} if alarms else {})}
            self.metrics.write(whole)
            for logger in self._loggers:
                logger.write(whole)
            del self._open[0]

    def close(self) -> None:
        """Let the loggers finish."""
        for logger in self._loggers:
            logger.close()


def read_figures(learners: list[LayerLearner]) -> dict[str, float]:
    """Fetch the figures of the last step from the device as `layer/name` -> value; not finite becomes an error.

    Raises:
        RunError: a loss is not a finite number.
    """
    figures = {
        f"{learner.name}/{name}": float(value) for learner in learners for name, value in learner.figures.items()
    }
    broken = [name for name, value in figures.items() if not math.isfinite(value)]
    if broken:
        raise RunError(f"{', '.join(broken)} is not a finite number: lower the learning rate (optim.lr)")
    return figures


def summary(learners: list[LayerLearner], figures: dict[str, float], frames_per_second: float) -> str:
    """Say the losses of the layers and the speed in a few characters, for the progress bar."""
    losses = [figures[f"{learner.name}/loss"] for learner in learners]
    return f"loss {fold(losses)}, {frames_per_second:.0f} frames/s"


def fold(losses: Sequence[float]) -> str:
    """Write the losses of a few layers one by one, bottom to top; of many the lowest, the highest and their mean."""
    if len(losses) <= SHOWN:
        return " ".join(f"{loss:.2f}" for loss in losses)
    mean = sum(losses) / len(losses)
    return f"{mean:.2f} ({min(losses):.2f} to {max(losses):.2f} in {len(losses)} layers)"
