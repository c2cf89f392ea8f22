"""What every training on videos begins with: its encoder, its length, its batches, and the run folder's start."""

from __future__ import annotations

import copy
import dataclasses
import itertools
import os
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from seqff.config import EncoderConfig, TrainConfig
from seqff.nets import Encoder, build_encoder, load_encoder, save_encoder, with_statistics
from seqff.pairs import PairStream
from seqff.training.batches import Relate, Source, batches
from seqff.training.calibrate import BATCHES
from seqff.training.checkpoint import list_checkpoints
from seqff.training.learner import LayerLearner, build_learners
from seqff.training.run_folder import MANIFEST, create_run, lengthen
from seqff.training.strategies import Strategy, build_strategy
from seqff.transform import fit_transform
from seqff.video import Manifest

FEWEST_STEPS, MOST_STEPS, STEPS_PER_VIDEO = 600, 3000, 3
"""How long a training is whose settings do not say it (docs/defaults.md)."""


@dataclass(frozen=True)
class Setup:
    """What learns, and what it learns from.

    Args:
        config: all settings, with the number of steps.
        encoder: the net.
        learners: of its layers, bottom to top.
        strategy: takes the steps.
        stream: of the batches.
    """

    config: TrainConfig
    encoder: Encoder
    learners: list[LayerLearner]
    strategy: Strategy
    stream: PairStream

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return next(self.encoder.parameters()).device

    @property
    def mixtures(self) -> bool:
        """Whether an objective needs made-up negatives in the batches."""
        return any(learner.objective.needs_mixtures for learner in self.learners)

    def source(self, relate: Relate | None = None) -> Source:
        """Return what gives the batches from a number on (see `batches`)."""
        return partial(batches, self.stream, self.config, self.device, mixtures=self.mixtures, relate=relate)


def begin_with(
    init: str | os.PathLike[str] | Encoder | None, config: TrainConfig
) -> tuple[TrainConfig, Encoder | None]:
    """Take up the encoder that a training begins with, if one is given.

    Args:
        init: the encoder, or the folder of one; None for fresh weights.
        config: settings of the training; `encoder` must be as by default, or that of the encoder given.

    Returns:
        The settings with those of the encoder, and a copy of it in training mode; or the settings and None.

    Raises:
        ValueError: the settings speak of another encoder.
        RunError: the folder holds none.
    """
    if init is None:
        return config, None
    encoder = copy.deepcopy(init) if isinstance(init, Encoder) else load_encoder(init)
    if config.encoder not in (EncoderConfig(), encoder.config):
        raise ValueError("init brings an encoder with its own settings: leave those of encoder out")
    return dataclasses.replace(config, encoder=encoder.config), encoder.train().requires_grad_(True)


def with_steps(config: TrainConfig, manifest: Manifest) -> TrainConfig:
    """Return the settings with a number of steps: their own or, if that is 0, as many as fit the videos."""
    fitting = min(MOST_STEPS, max(FEWEST_STEPS, STEPS_PER_VIDEO * len(manifest.usable)))
    return dataclasses.replace(config, steps=config.steps or fitting)


def prepare(
    manifest: Manifest,
    config: TrainConfig,
    given: Encoder | None,
    *,
    seed: int,
    device: torch.device,
    max_bad: float = 0.05,
    rank: int = 0,
    world: int = 1,
) -> tuple[Encoder, PairStream]:
    """Build the encoder and the stream of its batches; nothing is read or written yet.

    Args:
        manifest: of the videos.
        config: all settings.
        given: the encoder to begin with; None for a fresh one.
        seed: of weights, batches and augmentation.
        device: to compute on.
        max_bad: largest share of the videos that may turn out unreadable.
        rank: which batches of those that are dealt to several streams.
        world: how many streams there are.

    Raises:
        ValueError: settings that do not fit the videos.
    """
    shapes = [(entry.height, entry.width) for entry in manifest.usable]
    fitted = fit_transform(config.pairs.size_px, shapes, fit=config.pairs.fit)
    transform = fitted if given is None else given.transform
    stream = PairStream(
        manifest,
        transform,
        config.pairs,
        seed=seed,
        workers=config.workers,
        max_bad=max_bad,
        rank=rank,
        world=world,
    )
    encoder = given or build_encoder(config.encoder, transform, seed=seed)
    return encoder.to(device, memory_format=torch.channels_last), stream  # type: ignore[call-overload]


def build(
    manifest: Manifest, config: TrainConfig, given: Encoder | None, *, seed: int, cache: Path | None = None, **rest: Any
) -> Setup:
    """Build what learns and what it learns from; nothing is read or written yet.

    Args:
        manifest: of the videos.
        config: all settings.
        given: the encoder to begin with; None for a fresh one.
        seed: of weights, batches and augmentation.
        cache: folder for the greedy strategy's cache, if the settings ask for one.
        rest: what else `prepare` takes.

    Raises:
        ValueError: settings that do not fit each other or the videos.
    """
    encoder, stream = prepare(manifest, config, given, seed=seed, **rest)
    learners = build_learners(encoder, config, seed=seed)
    return Setup(config, encoder, learners, build_strategy(learners, config, cache=cache), stream)


def open_run(
    run: Path,
    settings: dict[str, Any],
    manifest: Manifest,
    setup: Setup,
    *,
    going_on: bool,
) -> None:
    """Write what a run folder has before the first step: settings, manifest, the untrained encoder.

    Args:
        run: the folder.
        settings: of the run.
        manifest: of its videos.
        setup: of an encoder that has learnt nothing yet; statistics of batch norms are measured on the first batches.
        going_on: the folder is there already, though a kill may have come between any two files.
    """
    if going_on:
        lengthen(run, settings)
    else:
        create_run(run, settings)
    known = run / MANIFEST
    if not known.exists():
        manifest.save(known)
    if not list_checkpoints(run):
        with closing(setup.stream.batches()) as batches:  # type: ignore[type-var]  # a generator
            first = (batch.to(setup.device).frames for batch in itertools.islice(batches, BATCHES))
            save_encoder(with_statistics(setup.encoder, first), run, untrained=True)
