"""The steps of a training: batches in, metrics, checkpoints and the encoder out."""

from __future__ import annotations

import itertools
import logging
import math
import time
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from seqff.config import TrainConfig
from seqff.errors import RunError
from seqff.nets import Encoder, load_encoder, save_encoder
from seqff.pairs import PairStream, distances
from seqff.pairs.mixtures import with_mixtures
from seqff.training.alarms import Alarm
from seqff.training.average import averaged
from seqff.training.calibrate import calibrate
from seqff.training.checkpoint import list_checkpoints, load_checkpoint, save_checkpoint
from seqff.training.interrupt import stop_between_steps
from seqff.training.learner import LayerLearner
from seqff.training.run import METRICS, MetricsLog
from seqff.training.trainers import Examples, Trainer
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
    """

    path: Path
    encoder: Encoder
    figures: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0


def take_steps(
    run: Path,
    encoder: Encoder,
    learners: list[LayerLearner],
    trainer: Trainer,
    stream: PairStream,
    config: TrainConfig,
    *,
    progress: bool,
) -> Run:
    """Take the steps that are left, with a checkpoint now and then, at the end, and when interrupted.

    Args:
        run: the run folder.
        encoder: the net whose layers learn.
        learners: its layers, bottom to top.
        trainer: takes the steps.
        stream: gives the batches.
        config: settings of the training.
        progress: show a progress bar (on a terminal).

    Raises:
        RunError: a damaged checkpoint, or a loss that is not a finite number.
        SeqffError: a layer has collapsed, and `on_collapse` is "stop".
        KeyboardInterrupt: SIGINT or SIGTERM came; the last step is finished and in a checkpoint.
    """
    watch = Watch(learners, config)
    step = _resume(run, encoder, learners)
    metrics = MetricsLog(run / METRICS, step=step)
    watch.recall(metrics.kept)
    device = next(encoder.parameters()).device
    mixtures = any(learner.objective.needs_mixtures for learner in learners)
    figures: dict[str, float] = {}
    began, seen = time.monotonic(), 0
    source = partial(batches, stream, config, device, mixtures=mixtures)
    if step == 0:
        with closing(source(0)) as first:
            calibrate(learners, first)
    examples = trainer.examples(source, step)
    bar = tqdm(total=config.steps, initial=step, unit="step", desc="train", disable=None if progress else True)
    with bar, stop_between_steps() as stopping, closing(examples):
        for h, relation in itertools.islice(examples, config.steps - step):
            rate = trainer.rate(step)
            watch.before(step)
            trained = trainer.step(step, h, relation)
            step, seen = step + 1, seen + len(h)
            bar.update()
            alarms: list[Alarm] = []
            if step % config.log_every == 0 or step == config.steps or watch.looked(trained):
                figures = read_figures(trained)
                elapsed = round(time.monotonic() - began, 3) or 0.001
                alarms = watch.write(
                    {"step": step, "lr": rate, "frames": len(h), "seconds": elapsed, **figures}, metrics
                )
                bar.set_postfix_str(summary(trained, figures, seen / elapsed))
            stop = stopping()
            if step % config.checkpoint_every == 0 or step == config.steps or stop or watch.must_save(alarms):
                save_checkpoint(run, step, learners)
                _save_encoder(run, encoder, learners)
            watch.stop(alarms, step)
            if stop and step < config.steps:
                log.warning("stopped after step %d of %d; the same command with --resume goes on", step, config.steps)
                raise KeyboardInterrupt
    return Run(run, load_encoder(run), figures, time.monotonic() - began)


def batches(stream: PairStream, config: TrainConfig, device: torch.device, start: int, *, mixtures: bool) -> Examples:
    """Yield frames on the device and the relations of their rows, from batch `start` on, without end.

    Args:
        stream: gives the batches.
        config: distances of positives and negatives, and where the partners of mixtures come from.
        device: to compute on.
        start: number of the first batch.
        mixtures: append to every row its mixture with a far frame, for objectives that need made-up negatives.
    """
    gap, far, unit = distances(config.pairs)
    for number, batch in enumerate(stream.batches(start), start=start):
        relation = batch.relation(gap=gap, far=far, unit=unit).to(device)  # found on the CPU: its size depends on data
        moved = batch.to(device)
        if mixtures:
            random = np.random.default_rng([stream.seed, MIXTURES, number])
            moved, relation = with_mixtures(moved, relation, random, same_video=config.objective.same_video)
        yield moved.frames, relation


def _resume(run: Path, encoder: Encoder, learners: list[LayerLearner]) -> int:
    """Put everything where the last checkpoint left it, and return the steps taken so far."""
    checkpoints = list_checkpoints(run)
    if not checkpoints:
        return 0
    step = load_checkpoint(checkpoints[-1], learners)
    _save_encoder(run, encoder, learners)  # a kill may have come after the checkpoint and before the encoder
    return step


def _save_encoder(run: Path, encoder: Encoder, learners: list[LayerLearner]) -> None:
    """Write the encoder, with the averages of its weights where there are any."""
    with averaged(learner.average for learner in learners):
        save_encoder(encoder, run)


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
    losses = " ".join(f"{figures[f'{learner.name}/loss']:.2f}" for learner in learners)
    return f"loss {losses}, {frames_per_second:.0f} frames/s"
