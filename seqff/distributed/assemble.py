"""One process's part of a training by several; compare `seqff.training.assemble`."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

from seqff.distributed.callbacks import GatheredMetrics, SentMetrics, StageCheckpointer
from seqff.distributed.data_parallel import average_measured, broadcast, synchronize
from seqff.distributed.gather import gather_relation
from seqff.distributed.process_group import quiet_unless_main
from seqff.distributed.ranks import Ranks
from seqff.distributed.stages import StageStrategy
from seqff.distributed.trainer import DistributedTrainer
from seqff.metrics import METRICS, read_metrics
from seqff.pairs import distances
from seqff.training.assemble import label_free_check
from seqff.training.batches import Examples
from seqff.training.calibrate import calibrate
from seqff.training.callbacks.collapse import CollapseMonitor
from seqff.training.callbacks.interrupt import Interrupt
from seqff.training.callbacks.progress import ProgressBar
from seqff.training.checkpoint import next_batch
from seqff.training.setup import Setup
from seqff.training.trainer import Callback


def assemble_together(
    run: Path, setup: Setup, stopping: Callable[[], bool], *, progress: bool, ranks: Ranks
) -> tuple[DistributedTrainer, Examples]:
    """Put this process's part together, from the last checkpoint on if there is one; called by all of them.

    Args:
        run: the run folder, which all see.
        setup: all layers, and the batches of this process's replica.
        stopping: says whether a signal has come to this process.
        progress: show a progress bar (on a terminal).
        ranks: this process among the others.

    Returns:
        The trainer, and the batches to fit it to; close both.

    Raises:
        SeqffError: no checkpoint is usable; or another process has failed.
    """
    config, learners = setup.config, setup.learners
    strategy = StageStrategy(setup, ranks) if ranks.stages > 1 else setup.strategy
    own = strategy.learners if isinstance(strategy, StageStrategy) else learners
    monitors = [] if ranks.replica else [CollapseMonitor(own, config)]  # of several replicas one is enough
    checkpointer = StageCheckpointer(run, setup.encoder, learners, config, own=own, ranks=ranks)
    done = checkpointer.resume()
    with quiet_unless_main(ranks):
        step, position = done.step, next_batch(done, ranks.replicas, setup.stream.plan.batches_per_round)
    checkpointer.ahead = position - step
    for monitor in monitors:
        monitor.recall(read_metrics(run / METRICS, step=step))
    relate = None
    if config.gather_negatives and ranks.replicas > 1:
        gap, far, unit = distances(config.pairs)
        relate = partial(gather_relation, ranks=ranks, gap=gap, far=far, unit=unit)
    source = setup.source(relate)
    synchronize(learners if ranks.stage == 0 else own, ranks, config)
    if not step and ranks.stage == 0:
        with closing(source(0)) as first:
            calibrate(learners, first)
        average_measured(learners, ranks)
    broadcast(learners, ranks)
    callbacks: list[Callback] = [*monitors]
    if ranks.is_main:
        callbacks += label_free_check(run, setup) if ranks.stages == 1 else []  # a stage has some of the layers alone
        checkpointer.metrics = GatheredMetrics(run, ranks, every=config.log_every, step=step, loggers=config.loggers)
        callbacks += [
            checkpointer.metrics,
            ProgressBar(config.steps, step=step, shown=progress, replicas=ranks.replicas),
        ]
    elif not ranks.replica:
        callbacks.append(SentMetrics(ranks, every=config.log_every))
    callbacks += [Interrupt(stopping), checkpointer]
    trainer = DistributedTrainer(
        setup.encoder,
        learners,
        strategy,
        callbacks,
        steps=config.steps,
        step=step,
        ranks=ranks,
        gathered=checkpointer.metrics,
    )
    return trainer, strategy.examples(lambda number: source(number + position - step), step)
