"""The only training loop: each batch is a step, and callbacks do everything else."""

from __future__ import annotations

import itertools
import logging
import math
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from seqff.errors import RunError, SeqffError
from seqff.nets import Encoder
from seqff.relation import Relation
from seqff.training.batches import Example
from seqff.training.learner import LayerLearner
from seqff.training.strategies import Strategy

log = logging.getLogger(__name__)
Self = TypeVar("Self", bound="Trainer")


@dataclass
class StepReport:
    """Report of a step, and the actions to follow; callbacks add to both.

    Args:
        step: number of the step, from 1.
        last: whether it is the last step of the training.
        lr: learning rate of the step.
        rows: number of rows in the batch.
        trained: learners trained in this step.

    Attributes:
        extra: additional values for the line of the step, by name.
        log: metrics are requested.
        metrics: `layer/name` -> value, if requested.
        alarms: messages about failing layers.
        save: a checkpoint is requested.
        stop: the training ends after this step because of a signal.
        collapsed: the training ends after this step because of these layers.
    """

    step: int
    last: bool
    lr: float
    rows: int
    trained: Sequence[LayerLearner]
    extra: dict[str, float] = field(default_factory=dict)
    log: bool = False
    metrics: Mapping[str, float] = field(default_factory=dict)
    alarms: list[str] = field(default_factory=list)
    save: bool = False
    stop: bool = False
    collapsed: str = ""


class Callback:
    """Hooks around the steps. Each method is called on all callbacks, in order."""

    def before_step(self, step: int) -> None:
        """Called before a step; `step` steps have been taken."""

    def after_step(self, report: StepReport) -> None:
        """Called after a step, to request its metrics, a checkpoint, or the end."""

    def on_metrics(self, report: StepReport) -> None:
        """Called after `after_step` if metrics were requested; the report contains them."""

    def on_checkpoint(self, step: int) -> None:
        """Called when all processes write a checkpoint."""

    def close(self) -> None:
        """Called when the training has ended for any reason."""


class Trainer:
    """Runs the steps of a training on any source of batches. A context manager: it closes the callbacks.

    Args:
        encoder: the net whose layers learn.
        learners: its layers, bottom to top.
        strategy: takes a step with them.
        callbacks: called in this order.
        steps: steps of the whole training; 0 for as many as there are batches.
        step: steps already taken.

    Attributes:
        step: steps taken so far.
        seconds: spent on the batches and steps of this process.
        metrics: the last requested metrics, `layer/name` -> value.
    """

    def __init__(
        self,
        encoder: Encoder,
        learners: list[LayerLearner],
        strategy: Strategy,
        callbacks: Sequence[Callback] = (),
        *,
        steps: int,
        step: int = 0,
    ) -> None:
        self.encoder, self.learners, self.strategy, self.callbacks = encoder, learners, strategy, callbacks
        self.steps, self.step, self.seconds = steps, step, 0.0
        self.metrics: Mapping[str, float] = {}

    def fit(self, batches: Iterable[Example]) -> None:
        """Take a step with each batch, until the batches or the steps end.

        Args:
            batches: (N, C, H, W) frames, or outputs of frozen layers, and the relations between their rows.

        Raises:
            RunError: a loss is not a finite number, or the run folder cannot be written.
            SeqffError: a layer has collapsed, and `on_collapse` is "stop"; or another process has failed.
            KeyboardInterrupt: SIGINT or SIGTERM arrived; the last step is finished and in a checkpoint.
        """
        began = time.monotonic()
        for h, relation in itertools.islice(batches, self.steps - self.step if self.steps else None):
            for callback in self.callbacks:
                callback.before_step(self.step)
            rate = self.strategy.rate(self.step)
            trained = self.strategy.step(self.step, h, relation)
            self.step += 1
            report = StepReport(self.step, self.step == self.steps, rate, len(h), trained)
            for callback in self.callbacks:
                callback.after_step(report)
            if report.log:
                self.metrics = report.metrics = read_metrics(trained)
                for callback in self.callbacks:
                    callback.on_metrics(report)
            report.save = report.save or report.stop or bool(report.collapsed)
            self.agree(report, relation)
            if report.save:
                for callback in self.callbacks:
                    callback.on_checkpoint(self.step)
            self.end_early(report)
        self.seconds += time.monotonic() - began

    def agree(self, report: StepReport, relation: Relation) -> None:
        """Agree with all processes on the actions after a step (see `seqff.distributed`); no-op in one process."""

    def end_early(self, report: StepReport) -> None:
        """Raise if a layer has collapsed and `on_collapse` is "stop", or if a signal arrived before the last step."""
        if report.collapsed:
            raise SeqffError(
                f"stopped after step {report.step}, with a checkpoint (on_collapse=stop): {report.collapsed}. "
                "The same command with --resume continues anyway"
            )
        if report.stop and not report.last:
            log.warning(
                "stopped after step %d of %d; the same command with --resume continues", report.step, self.steps
            )
            raise KeyboardInterrupt

    def close(self) -> None:
        """Close all callbacks."""
        for callback in self.callbacks:
            callback.close()

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read_metrics(learners: Iterable[LayerLearner]) -> dict[str, float]:
    """Fetch the metrics of the last step from the device as `layer/name` -> value.

    Raises:
        RunError: a loss is not a finite number.
    """
    metrics = {f"{one.name}/{name}": float(value) for one in learners for name, value in one.metrics.items()}
    broken = [name for name, value in metrics.items() if not math.isfinite(value)]
    if broken:
        raise RunError(f"{', '.join(broken)} is not a finite number: lower the learning rate (optim.lr)")
    return metrics
