"""Layer parallel: what stages of layers hand on; activations go forward, nothing comes back."""

from __future__ import annotations

from dataclasses import fields

import torch
import torch.distributed as dist
from torch import Tensor

from seqff.distributed.gather import GatheredRelation
from seqff.distributed.ranks import Ranks, StepOutcome
from seqff.distributed.serialization import ALIGN, Layout, padded
from seqff.relation import Relation
from seqff.training.batches import Examples

DEPTH = 2
"""Batches between two stages; with more, uneven steps are evened out, and as many more activations are held."""
_OWN = [field.name for field in fields(Relation)]
_NAMES = ["h", *_OWN, *(f"everyone/{name}" for name in _OWN), "counts"]
LAYOUT = Layout(_NAMES, len(StepOutcome._fields))


def message_bytes(rows: int, row_bytes: int, everyone: int) -> int:
    """Return the size of the largest message.

    Args:
        rows: most rows in a batch.
        row_bytes: of one row's activations.
        everyone: most rows in the batches of all replicas, 0 if their relation does not travel.
    """
    # of N rows: two masks (and room for as many positives), a flag and a video for every row
    relations = sum(2 * n * n + 8 * n * n + 9 * n for n in (rows, everyone))
    return padded(LAYOUT.head + rows * row_bytes + relations + ALIGN * len(_NAMES))


def pack(h: Tensor, relation: Relation, outcome: StepOutcome, block: Tensor) -> None:
    """Write a batch into a block of bytes.

    Raises:
        RunError: the block is too small.
    """
    tensors: dict[str, Tensor | None] = {"h": h, **{name: getattr(relation, name) for name in _OWN}}
    if isinstance(relation, GatheredRelation):
        tensors |= {f"everyone/{name}": getattr(relation.everyone, name) for name in _OWN}
        tensors["counts"] = torch.tensor(relation.counts)
    LAYOUT.pack(tensors, outcome, block)


def unpack(block: Tensor) -> tuple[Tensor, Relation, StepOutcome]:
    """Read a batch from a block; the activations are a view of it."""
    tensors, numbers = LAYOUT.unpack(block)
    return tensors.pop("h"), _relation(tensors), StepOutcome(*map(bool, numbers))


def _relation(tensors: dict[str, Tensor]) -> Relation:
    own = Relation(**{name: tensors.get(name) for name in _OWN})  # type: ignore[arg-type]
    if "counts" not in tensors:
        return own
    everyone = Relation(**{name: tensors.get(f"everyone/{name}") for name in _OWN})  # type: ignore[arg-type]
    return GatheredRelation(**vars(own), everyone=everyone, counts=tuple(tensors["counts"].tolist()))


class Outbox:
    """The way to the next stage.

    Args:
        ranks: this process among the others.
        size: of a message, bytes.
        device: where the activations are.
    """

    def __init__(self, ranks: Ranks, size: int, device: torch.device) -> None:
        self.ranks, self.sent = ranks, 0
        self.blocks = [torch.empty(size, dtype=torch.uint8, device=device) for _ in range(DEPTH)]
        self.works: list[dist.Work | None] = [None] * DEPTH

    def send(self, h: Tensor, relation: Relation, outcome: StepOutcome) -> None:
        """Hand a batch on, with what is to be done after it; waits while the next stage is `DEPTH` batches behind."""
        place = self.sent % DEPTH
        self._wait(place)
        pack(h, relation, outcome, self.blocks[place])
        with self.ranks.comm_errors():
            self.works[place] = dist.isend(self.blocks[place], self.ranks.rank + 1)
        self.sent += 1

    def close(self) -> None:
        """Wait until everything has arrived."""
        for place in range(DEPTH):
            self._wait(place)

    def _wait(self, place: int) -> None:
        work, self.works[place] = self.works[place], None
        if work is not None:
            with self.ranks.comm_errors():
                work.wait()


class Inbox:
    """The way from the stage before.

    Args:
        ranks: this process among the others.
        size: of a message, bytes.
        device: where the activations go.

    Attributes:
        outcome: what is to be done after the last batch that was read.
    """

    def __init__(self, ranks: Ranks, size: int, device: torch.device) -> None:
        self.ranks, self.outcome = ranks, StepOutcome()
        self.blocks = [torch.empty(size, dtype=torch.uint8, device=device) for _ in range(DEPTH)]

    def examples(self, count: int) -> Examples:
        """Yield `count` batches; each is gone when the next one is asked for."""
        works = [self._ask(number) for number in range(min(DEPTH, count))]
        for number in range(count):
            place = number % DEPTH
            with self.ranks.comm_errors():
                works[place].wait()
            h, relation, self.outcome = unpack(self.blocks[place])
            yield h, relation
            if number + DEPTH < count:
                works[place] = self._ask(number + DEPTH)

    def _ask(self, number: int) -> dist.Work:
        with self.ranks.comm_errors():
            work = dist.irecv(self.blocks[number % DEPTH], self.ranks.rank - 1)
        assert work is not None  # this rank is part of the group
        return work
