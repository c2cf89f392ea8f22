"""Narrow nets with learners and a batch of two videos, for tests of training steps."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import torch

from seqff.config import EncoderConfig, ObjectiveConfig, TrainConfig
from seqff.nets import build_encoder
from seqff.pairs import FrameBatch, Relation
from seqff.pairs.mixtures import with_mixtures
from seqff.training import LayerLearner, build_learners
from seqff.training.checkpoint import Progress, complete, write_part
from seqff.transform import FrameTransform

CONFIG = TrainConfig(
    steps=600,
    precision="fp32",
    encoder=EncoderConfig(widths=(4, 6, 8), kernels=(3, 3, 3), strides=(2, 1, 1), pools=(1, 2, 1)),
    objective=ObjectiveConfig(head_out=6, grid=(2,)),
)


def small_config(*, norm: str = "layer", objective: str = "temporal_hinge", **changes: Any) -> TrainConfig:
    """Return settings of three narrow layers; `changes` are fields of TrainConfig."""
    return dataclasses.replace(
        CONFIG,
        encoder=dataclasses.replace(CONFIG.encoder, norm=norm),
        objective=dataclasses.replace(CONFIG.objective, terms=(objective,)),
        **changes,
    )


def small_learners(config: TrainConfig = CONFIG) -> list[LayerLearner]:
    """Return the layers' learners, determined by the settings."""
    encoder = build_encoder(config.encoder, FrameTransform(16, 16), seed=0)
    return build_learners(encoder, config, seed=0)


def small_batch(number: int = 0, *, mixtures: bool = False) -> tuple[torch.Tensor, Relation]:
    """Return noise as six frames each of two videos, optionally with mixtures, and the relation between the rows."""
    frames = torch.randn(12, 3, 16, 16, generator=torch.Generator().manual_seed(number))
    batch = FrameBatch(frames, torch.arange(12) // 6, torch.arange(12) % 6)
    relation = batch.relation(gap=1, far=3)
    if mixtures:
        batch, relation = with_mixtures(batch, relation, np.random.default_rng(number))
    return batch.frames, relation


def save_checkpoint(run: Path, step: int, learners: list[LayerLearner]) -> Path:
    """Write a checkpoint of all layers and return its folder."""
    return complete(run, Progress(step, step), write_part(run, step, learners))


def layer_weights(learners: list[LayerLearner]) -> list[torch.Tensor]:
    """Return copies of the weights of all layers, without the heads."""
    return [parameter.detach().clone() for learner in learners for parameter in learner.layer.parameters()]
