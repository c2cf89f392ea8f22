"""Layer parallel: which layers go to which stage, by what each of them costs."""

from __future__ import annotations

import copy
import itertools
import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

from seqff.devices import clock
from seqff.training.batches import Examples
from seqff.training.learner import LayerLearner

TIMED = 3
"""Steps that are timed, after one that warms up."""


@dataclass(frozen=True)
class Costs:
    """What a step consists of.

    Args:
        read: seconds to make one batch ready.
        layers: seconds of every layer's update.
        row_bytes: what every layer hands on for one row.
        rows: of the batches measured, the most.
    """

    read: float
    layers: tuple[float, ...]
    row_bytes: tuple[int, ...]
    rows: int

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)


def measure(learners: list[LayerLearner], examples: Examples, batches: int) -> Costs:
    """Time some steps on copies of the layers, and the reading of some batches.

    Args:
        learners: all layers, bottom to top; they stay as they are.
        examples: frames and the relations of their rows.
        batches: to read, at least one; a whole round of them, to find the mean of uneven costs.
    """
    copies = copy.deepcopy(learners)
    seconds: list[list[float]] = [[] for _ in learners]
    row_bytes = [0] * len(learners)
    read, rows, began = 0.0, 0, time.perf_counter()
    for number, (h, relation) in enumerate(itertools.islice(examples, batches)):
        read, rows = read + time.perf_counter() - began, max(rows, len(h))
        for place, learner in enumerate(copies if number <= TIMED else []):
            start = clock(h.device)
            h = learner.update(h, relation)
            seconds[place].append(clock(h.device) - start)
            row_bytes[place] = h[0].numel() * h.element_size()
        began = time.perf_counter()
    layers = tuple(statistics.median(found[1:] or found) for found in seconds)
    return Costs(read / batches, layers, tuple(row_bytes), rows)


def split(costs: Sequence[float], stages: int, *, before: float = 0.0) -> list[int]:
    """Cut a row of layers into stages so that the slowest is as fast as can be.

    Args:
        costs: of every layer.
        stages: at most as many as there are layers.
        before: cost of the first stage besides.

    Returns:
        (stages + 1) places: stage s has the layers from place s to place s + 1.

    Raises:
        ValueError: more stages than layers.
    """
    if stages > len(costs):
        raise ValueError(f"{stages} stages for {len(costs)} layers: set stages to at most {len(costs)}")
    ends = list(itertools.accumulate(costs, initial=0.0))

    @cache
    def best(first: int, left: int) -> tuple[float, tuple[int, ...]]:
        """The slowest stage and where each begins, of `left` stages for the layers from `first` on."""
        own = before if first == 0 else 0.0
        if left == 1:
            return ends[-1] - ends[first] + own, (first,)
        found = []
        for cut in range(first + 1, len(costs) - left + 2):
            rest, places = best(cut, left - 1)
            found.append((max(ends[cut] - ends[first] + own, rest), (first, *places)))
        return min(found)

    return [*best(0, stages)[1], len(costs)]
