"""How far an accuracy could be off: intervals by resampling whole videos."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

RESAMPLES, LEVEL = 2000, 0.95
CHUNK = 2_000_000


def accuracy_interval(hits: NDArray[np.floating], rows: NDArray[np.floating], *, seed: int) -> tuple[float, float]:
    """95 % percentile bootstrap interval of sum(hits) / sum(rows), the video being the unit that is drawn.

    Args:
        hits: (videos,) right answers among the rows of each video; for a difference of two classifiers, the right
            answers of the one minus those of the other.
        rows: (videos,) rows of each video, above 0.
        seed: of the draws.

    Returns:
        Lower and upper end.

    Reference: Efron 1979, doi:10.1214/aos/1176344552.
    """
    rng = np.random.default_rng(seed)
    # Drawing videos is drawing how often each kind of video occurs; with a row a video there are two or three kinds.
    kinds, counts = np.unique(np.stack([hits, rows], axis=1), axis=0, return_counts=True)
    means = []
    step = max(1, CHUNK // len(kinds))
    for start in range(0, RESAMPLES, step):
        drawn = rng.multinomial(len(hits), counts / len(hits), size=min(step, RESAMPLES - start))
        right, total = (drawn @ kinds).T
        means.append(right / total)
    low, high = np.quantile(np.concatenate(means), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
