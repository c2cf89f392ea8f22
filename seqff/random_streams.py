"""Random streams of a training, one for each purpose, so that no draw depends on another."""

from __future__ import annotations

from enum import IntEnum

import numpy as np
import torch
from torch import Tensor


class RandomStream(IntEnum):
    """Purpose of a random stream: the second part of its key, after the seed. Resumed runs depend on the numbers."""

    ORDER = 0
    """Videos of an epoch."""
    VISIT = 1
    """Clips of a visit."""
    DEAL = 2
    """Assignment of visits to batches."""
    SPARE = 3
    """Replacement of an unreadable video."""
    AUGMENTATION = 4
    """Crops, mirroring and colors of a batch."""
    MIXTURES = 5
    """Synthetic negatives of a batch."""
    RESERVOIR = 6
    """Reservoir of a stream."""
    STREAM_BATCH = 7
    """Sampling from the reservoir, and augmentation."""

    def generator(self, seed: int, *key: int) -> np.random.Generator:
        """Return the generator of a seed and a key; the same arguments give the same numbers."""
        return np.random.default_rng([seed, self, *key])


def hash_integers(first: Tensor, count: int) -> Tensor:
    """Hash the integers first, first + 1, ...: random numbers on any device whose only state is a count.

    Args:
        first: scalar int64; never synchronized with the host.
        count: how many.

    Returns:
        (count,) int64, spread evenly over all 64-bit integers.

    Reference: the finalizer of SplitMix64, Steele, Lea, Flood 2014, doi:10.1145/2660193.2660195.
    """
    x = first + torch.arange(count, device=first.device)
    for shift, factor in ((30, -4658895280553007687), (27, -7723592293110705685)):
        x = (x ^ (x >> shift & (1 << 64 - shift) - 1)) * factor
    return x ^ (x >> 31 & (1 << 33) - 1)
