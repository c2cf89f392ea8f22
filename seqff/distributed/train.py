"""Training in one of several processes; compare `seqff.train` and `seqff.training.setup`."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from seqff.allocator import freed_memory_kept
from seqff.config import TrainConfig
from seqff.devices import restarts
from seqff.distributed.data_parallel import (
    average_measured,
    broadcast,
    check_data_parallel,
    gather_relation,
    synchronize,
)
from seqff.distributed.ranks import Ranks, own_device, process_group, quiet_unless_main
from seqff.distributed.stages import StageStrategy
from seqff.distributed.trainer import DistributedTrainer, GatheredMetrics, SentMetrics, StageCheckpointer
from seqff.errors import RunError
from seqff.files import manifest_in
from seqff.metrics import METRICS, read_metrics
from seqff.nets import Encoder, load_encoder
from seqff.pairs import distances
from seqff.training.batches import Examples
from seqff.training.calibrate import calibrate
from seqff.training.callbacks.alarms import CollapseMonitor
from seqff.training.callbacks.interrupt import Interrupt, stop_between_steps
from seqff.training.callbacks.progress import ProgressBar
from seqff.training.checkpoint import next_batch
from seqff.training.run_folder import Run, claim_run, recorded_steps
from seqff.training.setup import Setup, build, label_free_check, open_training
from seqff.training.trainer import Callback
from seqff.video import Manifest


def train_together(
    run: Path,
    videos: Any,
    settings: dict[str, Any],
    config: TrainConfig,
    given: Encoder | None,
    *,
    seed: int,
    device: torch.device,
    max_bad: float,
    progress: bool,
    **options: bool,
) -> Run:
    """Train with the processes started by torchrun; see `seqff.train` and `open_training`.

    Rank 0 creates the run folder; the other ranks then build their parts from it.

    Raises:
        SeqffError: as in `seqff.train`; or another process has failed, or does not see the run folder.
        ValueError: settings that contradict each other, the videos or the number of processes.
    """
    device = own_device(device)
    with process_group(config, device) as ranks, ExitStack() as claims:
        progress = progress and ranks.is_main

        def build_setup(manifest: Manifest, config: TrainConfig) -> Setup:
            cache = run / (f"cache_{ranks.rank}" if ranks.rank else "cache")
            part = {"max_bad": max_bad, "rank": ranks.replica, "world": ranks.replicas}
            setup = build(manifest, config, given, seed=seed, cache=cache, device=device, **part)
            if ranks.replicas > 1:
                check_data_parallel(setup.learners, setup.config)
            return setup

        with ranks.main_first("start"), quiet_unless_main(ranks):
            if ranks.is_main:
                claims.enter_context(claim_run(run, restarted=restarts() > 0))
                ways = {**options, "max_bad": max_bad, "progress": progress}
                setup = open_training(run, videos, settings, config, build_setup, **ways)  # type: ignore[arg-type]
            else:
                if not manifest_in(run).exists():
                    raise RunError(f"{run}: rank {ranks.rank} does not see it: give a folder on a disk that all share")
                setup = build_setup(Manifest.load(manifest_in(run)), replace(config, steps=recorded_steps(run)))
                if ranks.stage == 0:
                    setup.stream.fill_cache(progress=False)
        with freed_memory_kept(), stop_between_steps() as stopping:
            trainer, batches = assemble_together(run, setup, stopping, progress=progress, ranks=ranks)
            with trainer, closing(batches):
                trainer.fit(batches)
        return Run(run, load_encoder(run, like=setup.encoder), dict(trainer.metrics), trainer.seconds)


def assemble_together(
    run: Path, setup: Setup, stopping: Callable[[], bool], *, progress: bool, ranks: Ranks
) -> tuple[DistributedTrainer, Examples]:
    """Build this process's trainer, from the last checkpoint if there is one; called by all processes.

    Returns:
        The trainer, and the batches to fit it to; close both.

    Raises:
        SeqffError: no checkpoint is usable, or another process has failed.
    """
    config, learners = setup.config, setup.learners
    strategy = StageStrategy(setup, ranks) if ranks.stages > 1 else setup.strategy
    own = strategy.learners if isinstance(strategy, StageStrategy) else learners
    monitors = [] if ranks.replica else [CollapseMonitor(own, config)]  # replicas are equal, so one suffices
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
        callbacks += label_free_check(run, setup) if ranks.stages == 1 else []  # a stage has only some of the layers
        checkpointer.metrics = GatheredMetrics(run, ranks, every=config.log_every, step=step, loggers=config.loggers)
        callbacks += [
            checkpointer.metrics,
            ProgressBar(run, config.steps, step=step, shown=progress, replicas=ranks.replicas),
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
