"""Layer parallelism: a stage trains consecutive layers on the output of the previous stage."""

from __future__ import annotations

import copy
import itertools
import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

from torch import Tensor

from seqff.config import PairsConfig
from seqff.devices import clock
from seqff.distributed.p2p import Inbox, Outbox, block_bytes
from seqff.distributed.ranks import Ranks, StepOutcome
from seqff.relation import Relation
from seqff.training.batches import Examples, Source
from seqff.training.learner import LayerLearner
from seqff.training.setup import Setup
from seqff.training.strategies import LocalStrategy

TIMED = 3
"""Number of timed steps, after one for warm-up."""


@dataclass(frozen=True)
class Costs:
    """The measured costs of a step.

    Args:
        read: seconds to prepare one batch.
        layers: seconds of each layer's update.
        row_bytes: bytes of each layer's output per row.
        rows: maximum number of rows in the batches measured.
    """

    read: float
    layers: tuple[float, ...]
    row_bytes: tuple[int, ...]
    rows: int

    def to_dict(self) -> dict[str, Any]:
        """Return the costs as plain data."""
        return asdict(self)


def measure(learners: list[LayerLearner], examples: Examples, batches: int) -> Costs:
    """Time some steps on copies of the layers, and the preparation of some batches.

    Args:
        learners: all layers, bottom to top; not modified.
        examples: frames and the relations of their rows.
        batches: number of batches to prepare, at least one; a whole round, because costs vary within it.
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
    """Partition a sequence of layers into stages, minimizing the cost of the slowest stage.

    Args:
        costs: cost of each layer.
        stages: at most the number of layers.
        before: additional cost of the first stage.

    Returns:
        (stages + 1) boundaries: stage s has layers boundaries[s] to boundaries[s + 1].

    Raises:
        ValueError: more stages than layers.
    """
    if stages > len(costs):
        raise ValueError(f"{stages} stages for {len(costs)} layers: set stages to at most {len(costs)}")
    ends = list(itertools.accumulate(costs, initial=0.0))

    @cache
    def best(first: int, left: int) -> tuple[float, tuple[int, ...]]:
        """Cost of the slowest stage and the start of each, for layers from `first` on in `left` stages."""
        own = before if first == 0 else 0.0
        if left == 1:
            return ends[-1] - ends[first] + own, (first,)
        found = []
        for cut in range(first + 1, len(costs) - left + 2):
            rest, places = best(cut, left - 1)
            found.append((max(ends[cut] - ends[first] + own, rest), (first, *places)))
        return min(found)

    return [*best(0, stages)[1], len(costs)]


STOP, COLLAPSED = "stop", "collapsed"


class StageStrategy(LocalStrategy):
    """The local strategy for some consecutive layers.

    Attributes:
        learners: the layers trained by this process.
    """

    def __init__(self, setup: Setup, ranks: Ranks) -> None:
        config, learners = setup.config, setup.learners
        if ranks.is_main:
            examples = setup.source()(0)
            ranks.put("costs", measure(learners, examples, setup.stream.plan.batches_per_round).to_dict())
            examples.close()
        costs = Costs(**ranks.get("costs"))
        cuts = split(costs.layers, ranks.stages, before=costs.read)
        first, last = cuts[ranks.stage : ranks.stage + 2]
        super().__init__(learners[first:last], steps=config.steps, optim=config.optim)
        rows = most_rows(config.pairs) * (1 + setup.mixtures)
        gathered = rows * ranks.replicas if config.gather_negatives and ranks.replicas > 1 else 0

        def size(layer: int) -> int:
            return block_bytes(rows, costs.row_bytes[layer], gathered)

        self.ranks, self._asked, self._out = ranks, False, Tensor()
        self.inbox = Inbox(ranks, size(first - 1), setup.device) if first else None
        self.outbox = Outbox(ranks, size(last - 1), setup.device) if last < len(learners) else None

    def examples(self, source: Source, step: int) -> Examples:
        """Yield the batches from a step on: frames, or the previous stage's output."""
        return source(step) if self.inbox is None else self.inbox.examples(self.steps - step)

    def hand_on(self, h: Tensor) -> None:
        """Keep the output until the outcome of the step, which is sent with it, is known."""
        self._out = h

    def send(self, relation: Relation, outcome: StepOutcome) -> None:
        """Send the activations of the current step to the next stage, if there is one."""
        if self.outbox is not None:
            self.outbox.send(self._out, relation, outcome)

    def agree(self, mine: StepOutcome, why: str) -> StepOutcome:
        """Return what all processes do after the current step.

        The first stages of all replicas agree on it, and it is sent forward with the activations. Requests of later
        stages reach rank 0 through the store, and take effect a few steps later.
        """
        if self.inbox is not None:
            if mine.stop and not self._asked:
                self.ranks.put(STOP, True)
            if mine.collapsed and not self._asked:
                self.ranks.put(COLLAPSED, why)
            self._asked = self._asked or mine.stop or mine.collapsed
            return self.inbox.outcome
        if self.ranks.is_main:
            stop, collapsed = mine.stop or self.ranks.has(STOP), mine.collapsed or self.ranks.has(COLLAPSED)
            mine = StepOutcome(mine.save or stop or collapsed, stop, collapsed)
        return self.ranks.agree(mine)

    def close(self) -> None:
        """Wait until the next stage has received everything."""
        if self.outbox is not None:
            self.outbox.close()


def most_rows(pairs: PairsConfig) -> int:
    """Return the maximum number of rows in a batch."""
    return pairs.videos_per_batch * pairs.clips_per_video * pairs.clip_length
