"""What steps learn from: frames on the device, and the relations of their rows."""

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
"""What a step learns from: (N, C, H, W), frames or what finished layers made of them, and the relation of its rows."""
Examples = Generator[Example, None, None]
Source = Callable[[int], Examples]
"""Batches of frames from a number on, without end."""
Relate = Callable[[FrameBatch, Relation], Relation]
"""Says of the rows of a batch, on the CPU, what else is known of them; for several processes."""


def batches(
    stream: PairStream,
    config: TrainConfig,
    device: torch.device,
    start: int,
    *,
    mixtures: bool,
    relate: Relate | None = None,
) -> Examples:
    """Yield frames on the device and the relations of their rows, from batch `start` on, without end; see `example`.

    With `mixtures` objectives get synthetic negatives; `relate` adds to the relation of each batch.
    """
    for number, batch in enumerate(stream.batches(start), start=start):
        mixing = RandomStream.MIXTURES.generator(stream.seed, number * stream.world + stream.rank)
        frames, relation = example(batch, config, device, mixing if mixtures else None)
        yield frames, relation if relate is None else relate(batch, relation)


def example(
    batch: FrameBatch, config: TrainConfig, device: torch.device, mixing: np.random.Generator | None
) -> Example:
    """Return the frames of a batch, which is on the CPU, on the device, and the relation of their rows.

    With `mixing`, every row's mixture with a far frame is appended, drawn from there.
    """
    gap, far, unit = distances(config.pairs)
    relation = batch.relation(gap=gap, far=far, unit=unit).to(device)  # found on the CPU: its size depends on data
    moved = batch.to(device)
    if mixing is not None:
        moved, relation = with_mixtures(moved, relation, mixing, same_video=config.objective.same_video)
    return moved.frames, relation
