"""How much the picture changes from frame to frame: shot cuts and frames shown twice."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from seqff.video.info import Frames

STILL = 0.05
"""Two frames whose grey thumbnails differ by less than this mean (of 255) are the same frame twice."""
CUT = 12.0
CUT_FACTOR = 4.0
"""A shot cut changes more than CUT levels, and CUT_FACTOR times as much as the frames around it usually do."""
_SIDE = 64


def changes(frames: Iterable[Frames]) -> NDArray[np.float64]:
    """Measures the change of each frame to the one before on a coarse grid, mean absolute grey levels; 0 for the first.

    Args:
        frames: each uint8 (H, W, 3).

    Returns:
        float64 (frames,).
    """
    levels, before = [], None
    for frame in frames:
        down, right = max(1, frame.shape[0] // _SIDE), max(1, frame.shape[1] // _SIDE)
        grey = frame[::down, ::right].mean(axis=2, dtype=np.float32)
        same_size = before is not None and before.shape == grey.shape
        levels.append(float(np.abs(grey - before).mean()) if same_size else 0.0)
        before = grey
    return np.asarray(levels, dtype=np.float64)


def shot_cuts(change: NDArray[np.float64]) -> list[int]:
    """Finds sudden changes of the picture.

    Args:
        change: (frames,), of each frame to the one before, mean absolute grey levels of 255.

    Returns:
        Each n with a cut between the frames n and n + 1.
    """
    cuts = []
    for index in np.flatnonzero(change > CUT).tolist():
        around = np.concatenate([change[max(1, index - 6) : index], change[index + 1 : index + 7]])
        if not len(around) or change[index] > CUT_FACTOR * float(np.median(around)):
            cuts.append(index - 1)
    return cuts


def still_pairs(change: NDArray[np.float64]) -> list[int]:
    """Finds each n with the frames n and n + 1 the same; see `shot_cuts` for the argument."""
    still: list[int] = np.flatnonzero(change[1:] < STILL).tolist()
    return still
