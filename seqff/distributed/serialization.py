"""What one stage hands to the next: one block of bytes that holds named tensors and a few numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from seqff.errors import RunError

DTYPES = (torch.float32, torch.bfloat16, torch.float16, torch.float64, torch.int64, torch.bool, torch.uint8)
ALIGN = 64
"""Bytes: as torch aligns what it allocates, so that kernels take the same way through it."""
DIMENSIONS = 4
_ENTRY = 3 + 2 * DIMENSIONS  # is there one, dtype, dimensions, sizes, strides


def padded(size: int) -> int:
    """Round a number of bytes up to where the next tensor may begin."""
    return -(-size // ALIGN) * ALIGN


class Layout:
    """Where things lie in a message.

    Args:
        names: of the tensors it may hold, the same for sender and receiver.
        numbers: whole numbers it holds besides.
    """

    def __init__(self, names: Sequence[str], numbers: int) -> None:
        self.names, self.numbers = list(names), numbers
        self.head = padded(8 * (numbers + _ENTRY * len(self.names)))

    def pack(self, tensors: Mapping[str, Tensor | None], numbers: Sequence[int], block: Tensor) -> None:
        """Write a message.

        Args:
            tensors: by name, each without gaps in memory (in whatever order); a name may be missing or None.
            numbers: as many as agreed.
            block: (bytes,) uint8, where to.

        Raises:
            RunError: it does not fit.
        """
        head, place = list(numbers), self.head
        for name in self.names:
            x = tensors.get(name)
            if x is None:
                head += [0] * _ENTRY
                continue
            x = x.detach()
            flat = x.as_strided((x.numel(),), (1,)) if _dense(x) else x.contiguous().flatten()
            size, stride = list(x.shape), list(x.stride() if _dense(x) else x.contiguous().stride())
            rest = [0] * (DIMENSIONS - x.ndim)
            head += [1, DTYPES.index(x.dtype), x.ndim, *size, *rest, *stride, *rest]
            count = flat.numel() * flat.element_size()
            if place + count > len(block):
                raise RunError(f"a batch of {tuple(x.shape)} ({name}) is larger than the stages agreed on")
            block[place : place + count].copy_(flat.view(torch.uint8) if count else flat.to(torch.uint8))
            place = padded(place + count)
        block[: 8 * len(head)].copy_(torch.tensor(head, dtype=torch.int64).view(torch.uint8))

    def unpack(self, block: Tensor) -> tuple[dict[str, Tensor], list[int]]:
        """Read a message; the tensors are views of the block, laid out as they were."""
        count = self.numbers + _ENTRY * len(self.names)
        head = block[: 8 * count].cpu().view(torch.int64).tolist()
        numbers, entries, place = head[: self.numbers], head[self.numbers :], self.head
        found: dict[str, Tensor] = {}
        for number, name in enumerate(self.names):
            there, kind, ndim, *shape = entries[_ENTRY * number : _ENTRY * (number + 1)]
            if not there:
                continue
            size, stride, dtype = shape[:ndim], shape[DIMENSIONS : DIMENSIONS + ndim], DTYPES[kind]
            span = math.prod(size) * dtype.itemsize
            found[name] = (
                block[place : place + span].view(dtype).as_strided(size, stride) if span else _empty(size, dtype, block)
            )
            place = padded(place + span)
        return found, numbers


def _dense(x: Tensor) -> bool:
    """Whether the tensor's memory has no gaps, in whatever order its dimensions lie."""
    expected = 1
    for stride, size in sorted(zip(x.stride(), x.shape, strict=True)):
        if size != 1 and stride != expected:
            return False
        expected *= size
    return x.numel() > 0


def _empty(size: list[int], dtype: torch.dtype, block: Tensor) -> Tensor:
    return torch.empty(size, dtype=dtype, device=block.device)
