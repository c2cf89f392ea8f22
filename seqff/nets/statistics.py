"""Running statistics of a net that has learnt nothing yet."""

from __future__ import annotations

import copy
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from seqff.nets.encoder import Encoder


@torch.no_grad()
def with_statistics(encoder: Encoder, frames: Iterable[Tensor]) -> Encoder:
    """Return the encoder with the statistics of its batch norms measured on some frames.

    Fresh statistics, mean 0 and variance 1, are nobody's: in evaluation a net with them does not normalise at all, and
    as the untrained baseline it would be worse than it is. Weights stay as they are.

    Args:
        encoder: left as it is; it is returned itself where it has no batch norm.
        frames: (N, 3, H, W) float32 each; the mean over these batches is taken.

    Returns:
        A copy with statistics.
    """
    if not any(isinstance(part, nn.BatchNorm2d) for part in encoder.modules()):
        return encoder
    measured = copy.deepcopy(encoder)
    norms = [part for part in measured.modules() if isinstance(part, nn.BatchNorm2d)]
    before = [(part.momentum, part.training) for part in norms]
    for part in norms:
        part.reset_running_stats()
        part.momentum = None  # the plain mean of all batches
        part.train()
    for batch in frames:
        measured(batch, layers=[-1])
    for part, (momentum, training) in zip(norms, before, strict=True):
        part.momentum = momentum
        part.train(training)
    return measured
