"""Layer parallelism: send activations from stage to stage; nothing is sent back."""

from __future__ import annotations

import math
from dataclasses import fields

import torch
import torch.distributed as dist
from torch import Tensor

from seqff.distributed.data_parallel import GatheredRelation
from seqff.distributed.ranks import Ranks, StepOutcome
from seqff.errors import RunError
from seqff.relation import Relation
from seqff.training.batches import Examples

DTYPES = (torch.float32, torch.bfloat16, torch.float16, torch.float64, torch.int64, torch.bool, torch.uint8)
ALIGN = 64
"""Bytes; torch's alignment, so that kernels use the same code path."""
DEPTH = 2
"""Batches in flight between two stages; more would even out uneven steps, but keep more activations in memory."""
DIMENSIONS = 4
RELATION = [field.name for field in fields(Relation)]
TENSORS = ["h", *RELATION, *(f"gathered/{name}" for name in RELATION), "counts"]
"""The tensors that a block may contain, in order."""
ENTRY = 3 + 2 * DIMENSIONS
"""Number of integers in the header of each tensor: presence, dtype, dimensions, sizes, strides."""
OUTCOME = len(StepOutcome._fields)


def padded(size: int) -> int:
    """Round a number of bytes up to the alignment."""
    return -(-size // ALIGN) * ALIGN


HEADER_BYTES = padded(8 * (OUTCOME + ENTRY * len(TENSORS)))


def block_bytes(rows: int, row_bytes: int, gathered: int) -> int:
    """Return the size of the largest block.

    Args:
        rows: maximum rows in a batch.
        row_bytes: bytes of one row's activations.
        gathered: maximum rows in the batches of all replicas; 0 if their relation is not sent.
    """
    # for N rows: two masks (and space for as many positives), a flag and a video per row
    relations = sum(2 * n * n + 8 * n * n + 9 * n for n in (rows, gathered))
    return padded(HEADER_BYTES + rows * row_bytes + relations + ALIGN * len(TENSORS))


def pack(h: Tensor, relation: Relation, outcome: StepOutcome, block: Tensor) -> None:
    """Write a batch, and the outcome of its step, into a block.

    Args:
        h: (N, C, H, W) activations.
        relation: relation of the rows.
        outcome: what all processes do after the step.
        block: (bytes,) uint8, the destination.

    Raises:
        RunError: the block is too small.
    """
    tensors: dict[str, Tensor | None] = {"h": h, **{name: getattr(relation, name) for name in RELATION}}
    if isinstance(relation, GatheredRelation):
        tensors |= {f"gathered/{name}": getattr(relation.gathered, name) for name in RELATION}
        tensors["counts"] = torch.tensor(relation.counts)
    header, end = list(map(int, outcome)), HEADER_BYTES
    for name in TENSORS:
        x = tensors.get(name)
        if x is None:
            header += [0] * ENTRY
            continue
        x = x.detach() if _without_gaps(x) else x.detach().contiguous()
        rest = [0] * (DIMENSIONS - x.ndim)
        header += [1, DTYPES.index(x.dtype), x.ndim, *x.shape, *rest, *x.stride(), *rest]
        size = x.numel() * x.element_size()
        if end + size > len(block):
            raise RunError(f"a batch of {tuple(x.shape)} ({name}) is larger than the stages agreed on")
        if size:
            block[end : end + size].copy_(x.as_strided((x.numel(),), (1,)).view(torch.uint8))
        end = padded(end + size)
    block[: 8 * len(header)].copy_(torch.tensor(header, dtype=torch.int64).view(torch.uint8))


def unpack(block: Tensor) -> tuple[Tensor, Relation, StepOutcome]:
    """Read the content written by `pack`; the tensors are views of the block with their original strides."""
    header = block[: 8 * (OUTCOME + ENTRY * len(TENSORS))].cpu().view(torch.int64).tolist()
    found: dict[str, Tensor] = {}
    end = HEADER_BYTES
    for number, name in enumerate(TENSORS):
        there, kind, ndim, *shape = header[OUTCOME + ENTRY * number : OUTCOME + ENTRY * (number + 1)]
        if not there:
            continue
        shape, stride, dtype = shape[:ndim], shape[DIMENSIONS : DIMENSIONS + ndim], DTYPES[kind]
        size = math.prod(shape) * dtype.itemsize
        if size:
            found[name] = block[end : end + size].view(dtype).as_strided(shape, stride)
        else:
            found[name] = torch.empty(shape, dtype=dtype, device=block.device)
        end = padded(end + size)
    relation, gathered = (
        Relation(**{name: found.get(prefix + name) for name in RELATION})  # type: ignore[arg-type]
        for prefix in ("", "gathered/")
    )
    if "counts" in found:
        counts = tuple(found["counts"].tolist())
        relation = GatheredRelation(**vars(relation), gathered=gathered, counts=counts)
    return found["h"], relation, StepOutcome(*map(bool, header[:OUTCOME]))


def _without_gaps(x: Tensor) -> bool:
    """Whether the tensor's memory is dense, for any order of dimensions."""
    expected = 1
    for stride, size in sorted(zip(x.stride(), x.shape, strict=True)):
        if size != 1 and stride != expected:
            return False
        expected *= size
    return x.numel() > 0


class Outbox:
    """Sends batches to the next stage."""

    def __init__(self, ranks: Ranks, size: int, device: torch.device) -> None:
        self.ranks, self.sent = ranks, 0
        self.blocks = [torch.empty(size, dtype=torch.uint8, device=device) for _ in range(DEPTH)]
        self.works: list[dist.Work | None] = [None] * DEPTH

    def send(self, h: Tensor, relation: Relation, outcome: StepOutcome) -> None:
        """Send a batch and the outcome of its step; blocks while the next stage is `DEPTH` batches behind."""
        place = self.sent % DEPTH
        self._wait(place)
        pack(h, relation, outcome, self.blocks[place])
        with self.ranks.comm_errors():
            self.works[place] = dist.isend(self.blocks[place], self.ranks.rank + 1)
        self.sent += 1

    def close(self) -> None:
        """Wait until all batches are delivered."""
        for place in range(DEPTH):
            self._wait(place)

    def _wait(self, place: int) -> None:
        work, self.works[place] = self.works[place], None
        if work is not None:
            with self.ranks.comm_errors():
                work.wait()


class Inbox:
    """Receives batches from the previous stage.

    Attributes:
        outcome: outcome of the step of the last batch received.
    """

    def __init__(self, ranks: Ranks, size: int, device: torch.device) -> None:
        self.ranks, self.outcome = ranks, StepOutcome()
        self.blocks = [torch.empty(size, dtype=torch.uint8, device=device) for _ in range(DEPTH)]

    def examples(self, count: int) -> Examples:
        """Yield `count` batches; each is valid until the next one is requested."""
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
        assert work is not None  # because this rank is in the group
        return work
