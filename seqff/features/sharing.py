"""Several processes at one store: who does which videos, and one at a time at what concerns all."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch

from seqff.locks import exclusive

T = TypeVar("T")


@dataclass(frozen=True)
class Share:
    """What one of several processes does.

    Args:
        rank: of this process, from 0.
        world_size: how many there are.
    """

    rank: int = 0
    world_size: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.rank < self.world_size:
            raise ValueError(f"rank is {self.rank} of {self.world_size}; it must be 0 to {self.world_size - 1}")

    @classmethod
    def of(cls, rank: int | None, world_size: int | None) -> Share:
        """The share asked for; where nothing is asked for, that of torchrun's RANK and WORLD_SIZE, else all.

        Raises:
            ValueError: only one of the two was given, or they do not fit.
        """
        if (rank is None) != (world_size is None):
            raise ValueError(f"rank is {rank} and world_size {world_size}; give both or neither")
        if rank is not None and world_size is not None:
            return cls(rank, world_size)
        try:
            return cls(int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1)))
        except ValueError as error:
            raise ValueError(f"RANK or WORLD_SIZE in the environment: {error}") from error

    def part(self, items: Sequence[T]) -> Sequence[T]:
        """Every world_size-th item, from the rank-th on."""
        return items[self.rank :: self.world_size]

    def device(self, device: torch.device) -> torch.device:
        """Of several CUDA devices each process that torchrun has started takes its own."""
        local = os.environ.get("LOCAL_RANK", "")
        if device.type != "cuda" or device.index is not None or not local.isdigit():
            return device
        return torch.device("cuda", int(local) % torch.cuda.device_count())

    def alone(self, file: Path) -> AbstractContextManager[object]:
        """Wait until no other process is in such a block; one that is killed in it does not count.

        Args:
            file: one that all share and none replaces.
        """
        return exclusive(file) if self.world_size > 1 else nullcontext()
