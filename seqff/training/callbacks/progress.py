"""Progress, losses and speed of a training: a bar on a terminal, otherwise a line once in a while."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tqdm.auto import tqdm

from seqff.terminal import printable
from seqff.training.trainer import Callback, StepReport

SHOWN = 6
"""Most layers whose losses are shown individually."""
LINE_SECONDS = 60.0
"""Seconds between two lines."""


class ProgressBar(Callback):
    """Shows the progress of a training on stderr, and once the command to watch it from elsewhere.

    Args:
        run: the run folder.
        steps: steps of the whole training; 0 if unknown.
        step: steps already taken.
        shown: whether to show anything.
        replicas: number of data-parallel processes.
    """

    def __init__(self, run: Path, steps: int, *, step: int, shown: bool, replicas: int = 1) -> None:
        self.bar = tqdm(total=steps or None, initial=step, unit="step", desc="train", disable=None if shown else True)
        self.steps, self.replicas, self.lines = steps, replicas, shown and self.bar.disable
        self._taken, self._rows, self._began, self._said = 0, 0, time.monotonic(), -LINE_SECONDS
        if shown:
            tqdm.write(printable(f"seqff watch {shlex.quote(str(run))} shows how it goes"), file=sys.stderr)

    def after_step(self, report: StepReport) -> None:
        self.bar.update()
        self._taken, self._rows = self._taken + 1, self._rows + report.rows

    def on_metrics(self, report: StepReport) -> None:
        losses = [report.metrics[f"{learner.name}/loss"] for learner in report.trained]
        passed = max(time.monotonic() - self._began, 0.001)
        text = f"loss {fold(losses)}, {self.replicas * self._rows / passed:.0f} frames/s"
        self.bar.set_postfix_str(text)
        if self.lines and (report.last or passed - self._said >= LINE_SECONDS):
            self._said = passed
            seconds = passed / self._taken * (self.steps - report.step)
            of, left = (f" of {self.steps}", f", {tqdm.format_interval(seconds)} left") if self.steps else ("", "")
            sys.stderr.write(f"step {report.step}{of}: {text}{left}\n")

    def close(self) -> None:
        self.bar.close()


def fold(losses: Sequence[float]) -> str:
    """Format the losses of a few layers one by one, bottom to top; of many the mean, lowest and highest."""
    if len(losses) <= SHOWN:
        return " ".join(f"{loss:.2f}" for loss in losses)
    mean = sum(losses) / len(losses)
    return f"{mean:.2f} ({min(losses):.2f} to {max(losses):.2f} in {len(losses)} layers)"
