"""How much the picture changes from frame to frame: shot cuts and frames shown twice."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from seqff.video.info import Frames

STILL = 0.05
"""Two frames whose grey thumbnails differ by less than this mean (of 255) are the same frame twice."""
CUT = 12.0
CUT_FACTOR = 4.0
"""A shot cut changes more than CUT levels, and CUT_FACTOR times as much as the frames around it usually do."""
AROUND = 6
"""Frames before a change, and after it, that it is compared with."""
_SIDE = 64


class Change:
    """Measures on a coarse grid how much each frame it is given differs from the one before."""

    def __init__(self) -> None:
        self._before: NDArray[np.float32] | None = None

    def __call__(self, frame: Frames | NDArray[np.uint16]) -> float:
        """Returns the mean absolute difference in grey levels, of 255 or 65535; 0 at first and at new sizes."""
        down, right = max(1, frame.shape[0] // _SIDE), max(1, frame.shape[1] // _SIDE)
        grey = frame[::down, ::right].mean(axis=2, dtype=np.float32)
        before, self._before = self._before, grey
        return 0.0 if before is None or before.shape != grey.shape else float(np.abs(grey - before).mean())


def shot_cuts(change: NDArray[np.float64]) -> list[int]:
    """Finds sudden changes of the picture.

    Args:
        change: (frames,), of each frame to the one before, mean absolute grey levels of 255.

    Returns:
        Each n with a cut between the frames n and n + 1.
    """
    cuts = []
    for index in np.flatnonzero(change > CUT).tolist():
        around = np.concatenate([change[max(1, index - AROUND) : index], change[index + 1 : index + 1 + AROUND]])
        if is_cut(float(change[index]), around):
            cuts.append(index - 1)
    return cuts


def is_cut(change: float, around: NDArray[np.float64]) -> bool:
    """Says whether a change is a shot cut, among the changes of the frames around it."""
    return change > CUT and (not len(around) or change > CUT_FACTOR * float(np.median(around)))


def still_pairs(change: NDArray[np.float64]) -> list[int]:
    """Finds each n with the frames n and n + 1 the same; see `shot_cuts` for the argument."""
    still: list[int] = np.flatnonzero(change[1:] < STILL).tolist()
    return still
