"""The steps of a training: batches in, metrics, checkpoints and the encoder out."""

from __future__ import annotations

import itertools
import logging
import time
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from seqff.allocator import freed_memory_kept
from seqff.config import TrainConfig
from seqff.devices import choose_precision
from seqff.nets import Encoder, load_encoder
from seqff.pairs import FrameBatch, PairStream, distances
from seqff.pairs.mixtures import with_mixtures
from seqff.training.activations import Example
from seqff.training.calibrate import calibrate
from seqff.training.check import LabelFreeCheck
from seqff.training.checkpoint import Place
from seqff.training.interrupt import stop_between_steps
from seqff.training.journal import Journal
from seqff.training.learner import LayerLearner
from seqff.training.parallel.everyone import relate_everyone
from seqff.training.parallel.ranks import ALONE, Decision, Ranks
from seqff.training.parallel.sharing import average_measured, broadcast, share
from seqff.training.parallel.stages import Stage
from seqff.training.saving import Saver
from seqff.training.steps import Steps
from seqff.training.trainers import Examples, Source, Trainer
from seqff.training.watch import Watch

log = logging.getLogger(__name__)
MIXTURES = 5  # what a random stream is for; plan and stream have the numbers below


@dataclass
class Run:
    """What a training left.

    Args:
        path: the run folder.
        encoder: the trained encoder, on the CPU in eval mode.
        figures: the last logged figures, `layer/name` -> value.
        seconds: spent on steps in this process.
        stream: of a training on a stream, what came and what was lost (the content of stream.json).
    """

    path: Path
    encoder: Encoder
    figures: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    stream: dict[str, Any] = field(default_factory=dict)


def take_steps(
    run: Path,
    encoder: Encoder,
    learners: list[LayerLearner],
    trainer: Trainer,
    stream: PairStream,
    config: TrainConfig,
    *,
    progress: bool,
    ranks: Ranks = ALONE,
) -> Run:
    """Take the steps that are left, with a checkpoint now and then, at the end, and when interrupted.

    Args:
        run: the run folder.
        encoder: the net whose layers learn.
        learners: its layers, bottom to top.
        trainer: takes the steps where all layers learn in this process.
        stream: gives the batches.
        config: settings of the training.
        progress: show a progress bar (on a terminal).
        ranks: this process among those that train together.

    Raises:
        RunError: no checkpoint is usable, the disk is full, or a loss is not a finite number.
        SeqffError: a layer has collapsed, and `on_collapse` is "stop"; or another process has failed.
        KeyboardInterrupt: SIGINT or SIGTERM came; the last step is finished and in a checkpoint.
    """
    mixtures = any(learner.objective.needs_mixtures for learner in learners)
    given = partial(batches, stream, config, next(encoder.parameters()).device, mixtures=mixtures)
    stage = Stage(learners, trainer, (partial(given, 0), stream.plan.batches_per_round, mixtures), config, ranks)
    watch = Watch(stage.own, config, looks=ranks.replica == 0)  # beside the layers as they are before any checkpoint
    saver = Saver(run, encoder, learners, stage.own, config, ranks)
    place = saver.resume()
    step, ahead = place.step, _position(place, stream, ranks) - place.step

    def source(number: int) -> Examples:
        return given(number + ahead, ranks=ranks)

    journal = Journal(run, watch, ranks, step=step, loggers=config.loggers)
    own = learners if ranks.stage == 0 else stage.own
    _prepare(own, source, config, ranks, fresh=step == 0)
    broadcast(learners, ranks)
    began, shown = time.monotonic(), progress and ranks.leads
    examples = stage.examples(source, step, config.steps - step)
    bar = tqdm(total=config.steps, initial=step, unit="step", desc="train", disable=None if shown else True)
    check = None
    if ranks.leads and ranks.stages == 1 and config.monitor_every:  # a stage has some of the layers alone
        untrained = load_encoder(run, untrained=True, like=encoder)
        held = LabelFreeCheck(stream, untrained, choose_precision(config.precision, next(encoder.parameters()).device))
        check = partial(held.figures, encoder)
    steps = Steps(stage, watch, saver, journal, config, ranks, bar, step=step, ahead=ahead, check=check)
    with bar, freed_memory_kept(), stop_between_steps() as stopping, closing(journal), closing(examples):
        for h, relation in itertools.islice(examples, config.steps - step):
            _end_early(steps.take(h, relation, stopping), steps)
    stage.close()
    ranks.meet(ranks.everyone)  # the encoder is there
    return Run(run, load_encoder(run, like=encoder), journal.figures, time.monotonic() - began)


def batches(
    stream: PairStream,
    config: TrainConfig,
    device: torch.device,
    start: int,
    *,
    mixtures: bool,
    ranks: Ranks = ALONE,
) -> Examples:
    """Yield frames on the device and the relations of their rows, from batch `start` on, without end.

    Args:
        stream: gives the batches.
        config: distances of positives and negatives, and where the partners of mixtures come from.
        device: to compute on.
        start: number of the first batch.
        mixtures: append to every row its mixture with a far frame, for objectives that need made-up negatives.
        ranks: the replicas; with `gather_negatives` a relation also says what the rows of all of them are.
    """
    gap, far, unit = distances(config.pairs)
    for number, batch in enumerate(stream.batches(start), start=start):
        key = [stream.seed, MIXTURES, number * stream.world + stream.rank]
        frames, relation = example(batch, config, device, np.random.default_rng(key) if mixtures else None)
        if config.gather_negatives and ranks.replicas > 1:
            relation = relate_everyone(batch, relation, ranks, gap=gap, far=far, unit=unit)
        yield frames, relation


def example(
    batch: FrameBatch, config: TrainConfig, device: torch.device, mixing: np.random.Generator | None
) -> Example:
    """Return the frames of a batch on the device, and the relation of their rows.

    Args:
        batch: on the CPU.
        config: distances of positives and negatives, and where the partners of mixtures come from.
        device: to compute on.
        mixing: append to every row its mixture with a far frame, drawn from here.
    """
    gap, far, unit = distances(config.pairs)
    relation = batch.relation(gap=gap, far=far, unit=unit).to(device)  # found on the CPU: its size depends on data
    moved = batch.to(device)
    if mixing is not None:
        moved, relation = with_mixtures(moved, relation, mixing, same_video=config.objective.same_video)
    return moved.frames, relation


def _position(place: Place, stream: PairStream, ranks: Ranks) -> int:
    """Return the number of the batch that every replica takes next."""
    if place.replicas == ranks.replicas or not place.step:
        return place.position
    each = stream.plan.batches_per_round
    rounds = -(-place.position * place.replicas // (each * ranks.replicas))
    if ranks.leads:
        log.warning(
            "resumed by %d processes with batches of their own, begun by %d: a step now learns from %g times the "
            "frames, and goes on with the next round of videos",
            ranks.replicas, place.replicas, ranks.replicas / place.replicas,
        )  # fmt: skip
    return rounds * each


def _prepare(
    learners: list[LayerLearner],
    source: Source,
    config: TrainConfig,
    ranks: Ranks,
    *,
    fresh: bool,
) -> None:
    """Join the layers with those of other processes, and measure what is to be measured before the first step."""
    share(learners, ranks, config)
    if fresh and ranks.stage == 0:
        with closing(source(0)) as first:
            calibrate(learners, first)
        average_measured(learners, ranks)


def _end_early(decision: Decision, steps: Steps) -> None:
    """Raise if a layer has collapsed and the settings ask for it, or if a signal has come before the last step."""
    step, total, ranks = steps.step, steps.config.steps, steps.ranks
    if not decision.collapsed and not (decision.stop and step < total):
        return
    ranks.meet(ranks.everyone)  # whoever ends first takes the others along: the checkpoint must be there
    if decision.collapsed:
        raise steps.collapsed()
    if ranks.leads:
        log.warning("stopped after step %d of %d; the same command with --resume goes on", step, total)
    raise KeyboardInterrupt
