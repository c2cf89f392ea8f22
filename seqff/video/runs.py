"""Long lists of whole numbers kept short: presentation times and key frames mostly advance by equal steps."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

Runs = tuple[tuple[int, int], ...]
"""Pairs (step, how often): the numbers are the running sum of the steps, starting from 0."""


def pack(numbers: Iterable[int]) -> Runs:
    """Packs whole numbers into runs of equal steps.

    Args:
        numbers: any whole numbers in any order.

    Returns:
        The runs; `unpack` gives the numbers back.
    """
    values = np.fromiter(numbers, dtype=np.int64)
    steps = np.diff(values, prepend=0).tolist()
    return tuple((step, len(list(same))) for step, same in groupby(steps))


def unpack(runs: Runs) -> NDArray[np.int64]:
    """Gives back the numbers `pack` was given, int64 (count,)."""
    table = np.asarray(runs, dtype=np.int64).reshape(-1, 2)
    return np.cumsum(np.repeat(table[:, 0], table[:, 1]), dtype=np.int64)
