"""Training examples: frames on the device and the relations between their rows."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator

import numpy as np
import torch
from torch import Tensor

from seqff.config import TrainConfig
from seqff.pairs import FrameBatch, PairStream, distances
from seqff.pairs.mixtures import with_mixtures
from seqff.random_streams import RandomStream
from seqff.relation import Relation

log = logging.getLogger(__name__)
Example = tuple[Tensor, Relation]
"""Input of a step: (N, C, H, W) frames, or outputs of frozen layers, and the relation between the rows."""
Examples = Generator[Example, None, None]
Source = Callable[[int], Examples]
"""Returns an endless iterator of batches from a given number on."""
Relate = Callable[[FrameBatch, Relation], Relation]
"""Extends the relation of a batch (on the CPU), for training in several processes."""


def batches(
    stream: PairStream,
    config: TrainConfig,
    device: torch.device,
    start: int,
    *,
    mixtures: bool,
    relate: Relate | None = None,
) -> Examples:
    """Yield frames on the device and the relations between their rows, endlessly from batch `start` on; see `example`.

    With `mixtures`, synthetic negatives are appended; `relate` extends the relation of each batch.
    """
    for number, batch in enumerate(stream.batches(start), start=start):
        mixing = RandomStream.MIXTURES.generator(stream.seed, number * stream.world + stream.rank)
        frames, relation = example(batch, config, device, mixing if mixtures else None)
        yield frames, relation if relate is None else relate(batch, relation)


def example(
    batch: FrameBatch, config: TrainConfig, device: torch.device, mixing: np.random.Generator | None
) -> Example:
    """Move the frames of a batch to the device, and return them with the relation between their rows.

    With `mixing`, a mixture of each row with a distant frame is appended, drawn from this generator.
    """
    gap, far, unit = distances(config.pairs)
    relation = batch.relation(gap=gap, far=far, unit=unit).to(device)  # computed on the CPU: its size depends on data
    moved = batch.to(device)
    if mixing is not None:
        moved, relation = with_mixtures(moved, relation, mixing, same_video=config.objective.same_video)
    return moved.frames, relation
