"""Confidence intervals of accuracies, by resampling whole videos."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

RESAMPLES, LEVEL = 2000, 0.95
CHUNK = 2_000_000


def accuracy_interval(hits: NDArray[np.floating], rows: NDArray[np.floating], *, seed: int) -> tuple[float, float]:
    """95 % percentile bootstrap interval of sum(hits) / sum(rows), resampling videos.

    Args:
        hits: (videos,) correct predictions among the rows of each video; for the difference of two classifiers, the
            correct predictions of one minus those of the other.
        rows: (videos,) rows of each video, above 0.
        seed: seed of the resampling.

    Returns:
        Lower and upper end.

    Reference: Efron 1979, doi:10.1214/aos/1176344552.
    """
    rng = np.random.default_rng(seed)
    # Resampling videos means drawing how often each (hits, rows) pair occurs; one row per video has 2 or 3 such pairs.
    kinds, counts = np.unique(np.stack([hits, rows], axis=1), axis=0, return_counts=True)
    means = []
    step = max(1, CHUNK // len(kinds))
    for start in range(0, RESAMPLES, step):
        drawn = rng.multinomial(len(hits), counts / len(hits), size=min(step, RESAMPLES - start))
        right, total = (drawn @ kinds).T
        means.append(right / total)
    low, high = np.quantile(np.concatenate(means), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
