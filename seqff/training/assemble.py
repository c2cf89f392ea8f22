"""A training put together: the trainer, its callbacks, and its batches from where a run was left."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from seqff.devices import choose_precision
from seqff.nets import load_encoder
from seqff.training.batches import Examples
from seqff.training.calibrate import calibrate
from seqff.training.callbacks.check import LabelFreeCheck
from seqff.training.callbacks.checkpoints import Checkpointer
from seqff.training.callbacks.collapse import CollapseMonitor
from seqff.training.callbacks.interrupt import Interrupt
from seqff.training.callbacks.metrics import MetricsWriter
from seqff.training.callbacks.progress import ProgressBar
from seqff.training.checkpoint import next_batch
from seqff.training.setup import Setup
from seqff.training.trainer import Callback, Trainer


def assemble(run: Path, setup: Setup, stopping: Callable[[], bool], *, progress: bool) -> tuple[Trainer, Examples]:
    """Put a training on videos together, from the last checkpoint on if there is one.

    Args:
        run: the run folder.
        setup: what learns, and what it learns from.
        stopping: says whether a signal has come.
        progress: show a progress bar (on a terminal).

    Returns:
        The trainer, and the batches to fit it to; close both.

    Raises:
        RunError: no checkpoint is usable.
    """
    config, learners = setup.config, setup.learners
    monitor = CollapseMonitor(learners, config)  # beside the layers as they are before any checkpoint
    checkpointer = Checkpointer(run, setup.encoder, learners, config)
    done = checkpointer.resume()
    step, position = done.step, next_batch(done, 1, setup.stream.plan.batches_per_round)
    checkpointer.ahead = position - step
    metrics = MetricsWriter(run, every=config.log_every, step=step, loggers=config.loggers)
    monitor.recall(metrics.kept)
    source = setup.source()
    if not step:
        with closing(source(0)) as first:
            calibrate(learners, first)
    bar = ProgressBar(config.steps, step=step, shown=progress)
    callbacks = [monitor, *label_free_check(run, setup), metrics, bar, Interrupt(stopping), checkpointer]
    trainer = Trainer(setup.encoder, learners, setup.strategy, callbacks, steps=config.steps, step=step)
    return trainer, setup.strategy.examples(lambda number: source(number + position - step), step)


def label_free_check(run: Path, setup: Setup) -> list[Callback]:
    """Return the check without labels, if the settings ask for looks at the layers."""
    if not setup.config.monitor_every:
        return []
    untrained = load_encoder(run, untrained=True, like=setup.encoder)
    precision = choose_precision(setup.config.precision, setup.device)
    return [LabelFreeCheck(setup.stream, setup.encoder, untrained, precision, steps=setup.config.steps)]
