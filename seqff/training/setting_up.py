"""What every training on videos begins with: its length, batches, an encoder that fits, and the run folder's start."""

from __future__ import annotations

import dataclasses
import itertools
from contextlib import closing
from pathlib import Path
from typing import Any

import torch

from seqff.config import TrainConfig
from seqff.nets import Encoder, build_encoder, save_encoder, with_statistics
from seqff.pairs import PairStream
from seqff.training.build import build_trainer
from seqff.training.calibrate import BATCHES
from seqff.training.checkpoint import list_checkpoints
from seqff.training.learner import LayerLearner, build_learners
from seqff.training.parallel.ranks import ALONE, Ranks
from seqff.training.run import MANIFEST, create_run
from seqff.training.trainers import Trainer
from seqff.transform import fit_transform
from seqff.video import Manifest

FEWEST_STEPS, MOST_STEPS, STEPS_PER_VIDEO = 600, 3000, 3
"""How long a training is whose settings do not say it (docs/defaults.md)."""


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
    max_bad: float,
    ranks: Ranks = ALONE,
) -> tuple[Encoder, PairStream]:
    """Build the encoder and the stream of its batches; nothing is read or written yet.

    Args:
        manifest: of the videos.
        config: all settings.
        given: the encoder to begin with; None for a fresh one.
        seed: of weights, batches and augmentation.
        device: to compute on.
        max_bad: largest share of the videos that may turn out unreadable.
        ranks: this process among those that train together.

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
        rank=ranks.replica,
        world=ranks.replicas,
    )
    encoder = given or build_encoder(config.encoder, transform, seed=seed)
    return encoder.to(device, memory_format=torch.channels_last), stream  # type: ignore[call-overload]


def build(
    manifest: Manifest,
    config: TrainConfig,
    given: Encoder | None,
    *,
    seed: int,
    device: torch.device,
    max_bad: float = 0.05,
    ranks: Ranks = ALONE,
    run: Path | None = None,
) -> tuple[Encoder, list[LayerLearner], Trainer, PairStream]:
    """Build what learns and what it learns from; nothing is read or written yet.

    Args:
        manifest: of the videos.
        config: all settings.
        given: the encoder to begin with; None for a fresh one.
        seed: of weights, batches and augmentation.
        device: to compute on.
        max_bad: largest share of the videos that may turn out unreadable.
        ranks: this process among those that train together.
        run: the run folder, for the greedy trainer's cache.

    Raises:
        ValueError: settings that do not fit each other or the videos.
    """
    encoder, stream = prepare(manifest, config, given, seed=seed, device=device, max_bad=max_bad, ranks=ranks)
    learners = build_learners(encoder, config, seed=seed)
    cache = None if run is None else run / (f"cache_{ranks.rank}" if ranks.rank else "cache")
    return encoder, learners, build_trainer(learners, config, cache=cache), stream


def open_run(
    run: Path,
    settings: dict[str, Any],
    manifest: Manifest,
    encoder: Encoder,
    stream: PairStream,
    *,
    device: torch.device,
    going_on: bool,
) -> None:
    """Write what a run folder has before the first step: settings, manifest, the untrained encoder.

    Args:
        run: the folder.
        settings: of the run.
        manifest: of its videos.
        encoder: that has learnt nothing yet; the statistics of batch norms are measured on the first batches.
        stream: of the batches.
        device: where the encoder is.
        going_on: the folder is there already, though a kill may have come between any two files.
    """
    if not going_on:
        create_run(run, settings)
    known = run / MANIFEST
    if not known.exists():
        manifest.save(known)
    if not list_checkpoints(run):
        with closing(stream.batches()) as batches:  # type: ignore[type-var]  # a generator
            first = (batch.to(device).frames for batch in itertools.islice(batches, BATCHES))
            save_encoder(with_statistics(encoder, first), run, untrained=True)
