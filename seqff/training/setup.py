"""Set up a training on videos: encoder, length, batches, run folder, trainer."""

from __future__ import annotations

import copy
import dataclasses
import itertools
import os
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from seqff.config import EncoderConfig, TrainConfig
from seqff.config_io import to_dict
from seqff.devices import choose_precision
from seqff.files import manifest_in
from seqff.nets import Encoder, build_encoder, load_encoder, save_encoder, with_statistics
from seqff.pairs import PairStream
from seqff.training.batches import Examples, Relate, Source, batches
from seqff.training.calibrate import BATCHES, calibrate
from seqff.training.callbacks.alarms import CollapseMonitor, check_monitors
from seqff.training.callbacks.check import LabelFreeCheck
from seqff.training.callbacks.checkpoints import Checkpointer, check_saving
from seqff.training.callbacks.crowding import Crowding
from seqff.training.callbacks.interrupt import Interrupt
from seqff.training.callbacks.metrics import MetricsWriter, check_loggers
from seqff.training.callbacks.progress import ProgressBar
from seqff.training.checkpoint import Progress, list_checkpoints, next_batch
from seqff.training.learner import LayerLearner, build_learners
from seqff.training.run_folder import check_run, create_run, lengthen, recorded_steps
from seqff.training.strategies import Strategy, build_strategy
from seqff.training.trainer import Callback, Trainer
from seqff.transform import fit_transform
from seqff.video import Manifest, scan
from seqff.video.rows import shapes

FEWEST_STEPS, MOST_STEPS, STEPS_PER_VIDEO = 600, 3000, 3
"""Default length of a training (docs/defaults.md)."""


@dataclass(frozen=True)
class Setup:
    """The model and the data of a training.

    Args:
        config: all settings, including the number of steps.
        encoder: the net.
        learners: learners of its layers, bottom to top.
        strategy: the strategy that takes the steps.
        stream: source of the batches.
    """

    config: TrainConfig
    encoder: Encoder
    learners: list[LayerLearner]
    strategy: Strategy
    stream: PairStream

    @property
    def device(self) -> torch.device:
        """The device of the training."""
        return next(self.encoder.parameters()).device

    @property
    def mixtures(self) -> bool:
        """Whether an objective needs synthetic negatives in the batches."""
        return any(learner.objective.needs_mixtures for learner in self.learners)

    def source(self, relate: Relate | None = None) -> Source:
        """Return the source of batches (see `batches`)."""
        return partial(batches, self.stream, self.config, self.device, mixtures=self.mixtures, relate=relate)


def begin_with(
    init: str | os.PathLike[str] | Encoder | None, config: TrainConfig
) -> tuple[TrainConfig, Encoder | None]:
    """Check the settings of the callbacks, and load the initial encoder, if one is given.

    Args:
        init: the encoder or its folder; None for fresh weights.
        config: settings of the training; `encoder` must be the default, or match the given encoder.

    Returns:
        The settings, updated with those of the encoder, and a copy of the encoder in training mode, or None.

    Raises:
        ValueError: a setting out of range, or encoder settings that differ from the given encoder.
        RunError: the folder holds no encoder.
    """
    check_loggers(config)
    check_saving(config)
    check_monitors(config)
    if init is None:
        return config, None
    encoder = copy.deepcopy(init) if isinstance(init, Encoder) else load_encoder(init)
    if config.encoder not in (EncoderConfig(), encoder.config):
        raise ValueError("init provides an encoder with its own settings: leave those of encoder out")
    return dataclasses.replace(config, encoder=encoder.config), encoder.train().requires_grad_(True)


def run_settings(config: TrainConfig, given: Encoder | None, **others: Any) -> dict[str, Any]:
    """Return the content of a run's config.yaml: all settings, and everything else that the results depend on."""
    return {**others, **({} if given is None else {"init": given.hash()}), **to_dict(config)}


def with_steps(config: TrainConfig, manifest: Manifest) -> TrainConfig:
    """Return the settings with a number of steps: the given one or, if it is 0, one that fits the number of videos."""
    fitting = min(MOST_STEPS, max(FEWEST_STEPS, STEPS_PER_VIDEO * len(manifest.usable)))
    return dataclasses.replace(config, steps=config.steps or fitting)


def prepare(
    manifest: Manifest, config: TrainConfig, given: Encoder | None, *, seed: int, device: torch.device, **options: Any
) -> tuple[Encoder, PairStream]:
    """Build the encoder, unless given, and its stream of batches (with `options`), without reading any video."""
    fitted = fit_transform(config.pairs.size_px, shapes(manifest.usable), fit=config.pairs.fit)
    transform = fitted if given is None else given.transform
    stream = PairStream(manifest, transform, config.pairs, seed=seed, workers=config.workers, device=device, **options)
    encoder = given or build_encoder(config.encoder, transform, seed=seed)
    return encoder.to(device, memory_format=torch.channels_last), stream  # type: ignore[call-overload]


def build(
    manifest: Manifest, config: TrainConfig, given: Encoder | None, *, seed: int, cache: Path | None = None, **rest: Any
) -> Setup:
    """Build the model and the data of a training, without reading or writing files.

    Raises:
        ValueError: settings that do not fit each other or the videos.
    """
    encoder, stream = prepare(manifest, config, given, seed=seed, **rest)
    learners = build_learners(encoder, config, seed=seed)
    return Setup(config, encoder, learners, build_strategy(learners, config, cache=cache), stream)


def open_training(
    run: Path,
    videos: Any,
    settings: dict[str, Any],
    config: TrainConfig,
    build_setup: Callable[[Manifest, TrainConfig], Setup],
    *,
    resume: bool,
    overwrite: bool,
    max_bad: float,
    progress: bool,
) -> Setup:
    """Build the training, and write the initial run folder: settings, manifest, untrained encoder.

    Args:
        run: the run folder, already locked. Its content is checked before any video is read.
        videos: see `seqff.train`; a resumed run uses its own manifest.
        settings: result of `run_settings`.
        config: the same settings; steps=0 means the number of the resumed run, or one that fits the videos.
        build_setup: builds the setup from the manifest and the settings with their number of steps.
        resume: continue the existing run, which a kill may have interrupted between any two files.
        overwrite: the existing run may be deleted.
        max_bad: largest share of the videos that may be unreadable.
        progress: show progress bars (on a terminal).

    Raises:
        SeqffError: the videos or the run folder cannot be used.
        ValueError: settings that do not fit each other or the videos.
    """
    if resume:  # its settings hold the number of steps
        config = dataclasses.replace(config, steps=config.steps or recorded_steps(run))
    settings = {**settings, "steps": config.steps}
    going_on, known = check_run(run, settings, resume=resume, overwrite=overwrite), manifest_in(run)
    manifest = scan(known if going_on and known.exists() else videos, max_bad=max_bad, progress=progress)
    setup = build_setup(manifest, with_steps(config, manifest))
    setup.stream.fill_cache(progress=progress)
    settings["steps"] = setup.config.steps
    if going_on:
        lengthen(run, settings)
    else:
        create_run(run, settings, videos=manifest.totals)
    if not manifest_in(run).exists():
        manifest.save(manifest_in(run))
        setup.stream.read_from(manifest_in(run))
    if not list_checkpoints(run):
        with closing(setup.stream.batches()) as first:  # type: ignore[type-var]  # a generator
            frames = (batch.to(setup.device).frames for batch in itertools.islice(first, BATCHES))
            save_encoder(with_statistics(setup.encoder, frames), run, untrained=True)
    return setup


def assemble(run: Path, setup: Setup, stopping: Callable[[], bool], *, progress: bool) -> tuple[Trainer, Examples]:
    """Assemble a training on videos, from the last checkpoint if there is one.

    Returns:
        The trainer and its batches; close both.

    Raises:
        RunError: no checkpoint is usable.
    """
    between = [*label_free_check(run, setup), Interrupt(stopping)]
    trainer, checkpointer, done = build_trainer(
        run, setup.encoder, setup.learners, setup.strategy, setup.config, between, progress=progress
    )
    checkpointer.ahead = next_batch(done, 1, setup.stream.plan.batches_per_round) - done.step
    source = setup.source()
    if not done.step:
        with closing(source(0)) as first:
            calibrate(setup.learners, first)
    return trainer, setup.strategy.examples(lambda number: source(number + checkpointer.ahead), done.step)


def build_trainer(
    run: Path,
    encoder: Encoder,
    learners: list[LayerLearner],
    strategy: Strategy,
    config: TrainConfig,
    callbacks: Sequence[Callback],
    *,
    progress: bool,
) -> tuple[Trainer, Checkpointer, Progress]:
    """Build a trainer with monitors, metrics, progress and checkpoints around the given callbacks, restored from the
    last checkpoint if there is one. Also return the progress."""
    monitor = CollapseMonitor(learners, config)  # copies the layers before a checkpoint is loaded
    checkpointer = Checkpointer(run, encoder, learners, config)
    done = checkpointer.resume()
    metrics = MetricsWriter(run, every=config.log_every, step=done.step, loggers=config.loggers)
    monitor.recall(metrics.kept)
    bar = ProgressBar(run, config.steps, step=done.step, shown=progress)
    around = [monitor, *callbacks, metrics, bar, Crowding(), checkpointer]
    return Trainer(encoder, learners, strategy, around, steps=config.steps, step=done.step), checkpointer, done


def label_free_check(run: Path, setup: Setup) -> list[Callback]:
    """Return the check without labels, if the settings enable monitoring."""
    if not setup.config.monitor_every:
        return []
    untrained = load_encoder(run, untrained=True, like=setup.encoder)
    precision = choose_precision(setup.config.precision, setup.device)
    return [LabelFreeCheck(setup.stream, setup.encoder, untrained, precision, steps=setup.config.steps)]
