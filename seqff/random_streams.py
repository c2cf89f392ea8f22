"""What random numbers of a training are for: each purpose draws from streams of its own."""

from __future__ import annotations

from enum import IntEnum

import numpy as np


class RandomStream(IntEnum):
    """Second part of the key of a random stream, behind the seed. Numbers stay: runs are resumed by them."""

    ORDER = 0
    """Videos of an epoch."""
    VISIT = 1
    """Clips of a visit."""
    DEAL = 2
    """Which visits feed which batch."""
    SPARE = 3
    """A video in place of one that cannot be read."""
    AUGMENTATION = 4
    """Crops, mirroring and colors of a batch."""
    MIXTURES = 5
    """Made-up negatives of a batch."""
    RESERVOIR = 6
    """What of a stream is held."""
    STREAM_BATCH = 7
    """Which of it is in a batch, and its augmentation."""

    def generator(self, seed: int, *key: int) -> np.random.Generator:
        """Return the stream of a seed and a key: the same numbers whenever it is asked for."""
        return np.random.default_rng([seed, self, *key])
