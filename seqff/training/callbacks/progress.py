"""The progress bar: how far a training is, its losses and its speed."""

from __future__ import annotations

import time
from collections.abc import Sequence

from tqdm import tqdm

from seqff.training.trainer import Callback, StepReport

SHOWN = 6
"""Layers whose losses the bar shows one by one."""


class ProgressBar(Callback):
    """Shows a bar on a terminal.

    Args:
        steps: of the whole training; 0 if nobody knows.
        step: steps already taken.
        shown: whether there is one at all.
        title: stands before the bar.
        replicas: processes that learn from batches as large.
    """

    def __init__(self, steps: int, *, step: int, shown: bool, title: str = "train", replicas: int = 1) -> None:
        disable = None if shown else True
        self.bar = tqdm(total=steps or None, initial=step, unit="step", desc=title, disable=disable)
        self.replicas, self._rows, self._began = replicas, 0, time.monotonic()

    def after_step(self, report: StepReport) -> None:
        """See `Callback`."""
        self.bar.update()
        self._rows += report.rows

    def on_metrics(self, report: StepReport) -> None:
        """See `Callback`."""
        losses = [report.metrics[f"{learner.name}/loss"] for learner in report.trained]
        speed = self.replicas * self._rows / max(time.monotonic() - self._began, 0.001)
        self.bar.set_postfix_str(f"loss {fold(losses)}, {speed:.0f} frames/s")

    def close(self) -> None:
        """See `Callback`."""
        self.bar.close()


def fold(losses: Sequence[float]) -> str:
    """Write the losses of a few layers one by one, bottom to top; of many the lowest, the highest and their mean."""
    if len(losses) <= SHOWN:
        return " ".join(f"{loss:.2f}" for loss in losses)
    mean = sum(losses) / len(losses)
    return f"{mean:.2f} ({min(losses):.2f} to {max(losses):.2f} in {len(losses)} layers)"
