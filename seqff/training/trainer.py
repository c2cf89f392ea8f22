"""The only training loop: batches come in, each is a step, and callbacks do all that is not learning."""

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
    """A step that has just been taken, and what is to follow; callbacks add what they know and what they want.

    Args:
        step: its number, from 1.
        last: whether it is the last of the training.
        lr: its learning rate.
        rows: of its batch.
        trained: the learners that had a loss in it.

    Attributes:
        extra: what else is to stand in the line of the step, by name.
        log: its metrics are wanted.
        metrics: `layer/name` -> value, if they are wanted.
        alarms: sentences about layers that go wrong.
        save: a checkpoint follows.
        stop: the training ends after it, because of a signal.
        collapsed: the training ends after it, because of these layers.
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
    """What is done around the steps. Each method is called for all callbacks, in their order."""

    def before_step(self, step: int) -> None:
        """Before a step is taken; so many have been."""

    def after_step(self, report: StepReport) -> None:
        """After it: say whether its metrics are wanted, a checkpoint, or the end."""

    def on_metrics(self, report: StepReport) -> None:
        """After that, if the metrics are wanted: they are in the report."""

    def on_checkpoint(self, step: int) -> None:
        """When all processes write a checkpoint."""

    def close(self) -> None:
        """When the training has ended, in whatever way."""


class Trainer:
    """Takes the steps of a training, wherever its batches come from. A context manager: it closes the callbacks.

    Args:
        encoder: the net whose layers learn.
        learners: its layers, bottom to top.
        strategy: takes a step with them.
        callbacks: do the rest, in this order.
        steps: of the whole training; 0 for as many as there are batches.
        step: steps already taken.

    Attributes:
        step: steps taken so far.
        seconds: spent on the batches and steps of this process.
        metrics: the last that were wanted, `layer/name` -> value.
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
        """Take a step with each batch, until there are no more or all steps are taken.

        Args:
            batches: (N, C, H, W) frames, or what finished layers made of them, and the relations of their rows.

        Raises:
            RunError: a loss is not a finite number, or the run folder cannot be written.
            SeqffError: a layer has collapsed, and `on_collapse` is "stop"; or another process has failed.
            KeyboardInterrupt: SIGINT or SIGTERM came; the last step is finished and in a checkpoint.
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
        """Let all processes do the same after a step (see `seqff.distributed`); one process has nobody to ask."""

    def end_early(self, report: StepReport) -> None:
        """Raise if a layer has collapsed and the settings ask for it, or if a signal has come before the last step."""
        if report.collapsed:
            raise SeqffError(
                f"stopped after step {report.step}, with a checkpoint (on_collapse=stop): {report.collapsed}. "
                "The same command with --resume goes on nevertheless"
            )
        if report.stop and not report.last:
            log.warning("stopped after step %d of %d; the same command with --resume goes on", report.step, self.steps)
            raise KeyboardInterrupt

    def close(self) -> None:
        """Let all callbacks finish."""
        for callback in self.callbacks:
            callback.close()

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read_metrics(learners: Iterable[LayerLearner]) -> dict[str, float]:
    """Fetch the metrics of the last step from the device as `layer/name` -> value; not finite becomes an error.

    Raises:
        RunError: a loss is not a finite number.
    """
    metrics = {f"{one.name}/{name}": float(value) for one in learners for name, value in one.metrics.items()}
    broken = [name for name, value in metrics.items() if not math.isfinite(value)]
    if broken:
        raise RunError(f"{', '.join(broken)} is not a finite number: lower the learning rate (optim.lr)")
    return metrics
