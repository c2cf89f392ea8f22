"""The process group: how processes start, their ranks, and what they exchange besides tensors."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous

from seqff.config import TrainConfig
from seqff.devices import restarts, world_size
from seqff.errors import SeqffError

TIMEOUT = timedelta(minutes=10)
"""A process that blocks the others for longer is considered hung, and they stop."""
FAILED = "failed"
POLL_SECONDS = 0.02


class StepOutcome(NamedTuple):
    """What all processes do after the current step.

    Args:
        save: write a checkpoint.
        stop: stop, because of a signal.
        collapsed: stop, because a layer has collapsed.
    """

    save: bool = False
    stop: bool = False
    collapsed: bool = False


@dataclass(frozen=True)
class Ranks:
    """Position of this process in the grid of replicas, each of which is split into stages of layers.

    Rank r has stage r % stages of replica r // stages. The first stage of each replica decodes; only rank 0 logs and
    writes the run folder.

    Args:
        rank: rank of this process, from 0.
        world: number of processes.
        stages: number of stages per replica.
        store: key-value store shared by all processes; None for a single process.
        group: process group of this stage in all replicas; None if there is one replica.
        chain: process group of all stages of this replica; None if there is one stage.
        all_ranks: group of all processes; None for a single process.
    """

    rank: int = 0
    world: int = 1
    stages: int = 1
    store: Store | None = None
    group: dist.ProcessGroup | None = None
    chain: dist.ProcessGroup | None = None
    all_ranks: dist.ProcessGroup | None = None

    def __deepcopy__(self, memo: dict[int, Any]) -> Ranks:
        return self  # copies of a layer communicate with the same ranks

    @property
    def is_main(self) -> bool:
        """Whether this is rank 0."""
        return self.rank == 0

    @property
    def stage(self) -> int:
        """Index of this process's stage; 0 is the lowest."""
        return self.rank % self.stages

    @property
    def replica(self) -> int:
        """Index of this process's replica."""
        return self.rank // self.stages

    @property
    def replicas(self) -> int:
        """Number of replicas, each with its own batches."""
        return self.world // self.stages

    def put(self, key: str, value: Any) -> None:
        """Store a JSON value for `get`."""
        if self.store is not None:
            with self.comm_errors():
                self.store.set(key, json.dumps(value))

    def has(self, *keys: str) -> bool:
        """Whether all of these keys exist; does not block."""
        if self.store is None:
            return False
        with self.comm_errors():
            return bool(self.store.check(list(keys)))

    def get(self, key: str) -> Any:
        """Wait, without a timeout, for a value that another rank stores.

        This does not detect a dead rank; `meet`, which runs between steps, does.

        Raises:
            SeqffError: another rank has failed.
        """
        assert self.store is not None  # a single process never waits
        with self.comm_errors():
            while not self.store.check([key]):
                if self.store.check([FAILED]):
                    raise SeqffError(self.cause())
                time.sleep(POLL_SECONDS)
            return json.loads(self.store.get(key))

    def take(self, key: str) -> Any:
        """Get a value that only this rank reads, and delete it from the store."""
        value = self.get(key)
        assert self.store is not None
        with self.comm_errors():
            self.store.delete_key(key)
        return value

    def agree(self, mine: StepOutcome) -> StepOutcome:
        """Return the union of what all replicas want; called by the same stage of each."""
        if self.group is None:
            return mine
        wanted = torch.tensor(mine, dtype=torch.int64)
        with self.comm_errors():
            dist.all_reduce(wanted, op=dist.ReduceOp.MAX, group=self.group)
        return StepOutcome(*(bool(value) for value in wanted))

    def gather(self, x: Tensor, counts: list[int]) -> list[Tensor]:
        """All-gather tensors that may differ in their first dimension.

        Args:
            x: (counts[replica], ...).
            counts: length of the first dimension on each replica.
        """
        padded = x.new_zeros((max(counts), *x.shape[1:]))
        padded[: len(x)] = x
        found = [torch.empty_like(padded) for _ in counts]
        with self.comm_errors():
            dist.all_gather(found, padded, group=self.group)
        return [part[:count] for part, count in zip(found, counts, strict=True)]

    def meet(self, group: dist.ProcessGroup | None) -> None:
        """Barrier for a process group; None is a group of one."""
        if group is not None:
            with self.comm_errors():
                dist.all_reduce(torch.zeros(1), group=group)

    @contextmanager
    def main_first(self, what: str) -> Iterator[None]:
        """Run the block on rank 0 before it runs on the other ranks."""
        if not self.is_main:
            self.get(what)
        yield
        if self.is_main:
            self.put(what, True)

    @contextmanager
    def comm_errors(self) -> Iterator[None]:
        """Convert torch's communication errors to one that says that another process is gone.

        Raises:
            SeqffError: another process is gone.
        """
        try:
            yield
        except RuntimeError as error:
            raise SeqffError(self.cause(error)) from error

    def cause(self, error: Exception | None = None) -> str:
        """Explain why this rank cannot continue without the others."""
        try:
            if self.store is not None and self.store.check([FAILED]):
                return f"rank {self.rank} stops: {json.loads(self.store.get(FAILED))}"
        except RuntimeError:  # the process that hosts the store is gone, too
            pass
        lost = " ".join(str(error).split())[:200]
        return f"rank {self.rank} stops: another process was killed, hangs, or its machine is gone ({lost})"

    def report_failure(self, error: BaseException) -> None:
        """Record why this rank fails, unless another rank failed before."""
        if self.store is None:
            return
        text = " ".join(str(error).split()) or type(error).__name__
        if not text.startswith(f"rank {self.rank} "):
            text = f"rank {self.rank} failed: {text}"
        try:
            if not self.store.check([FAILED]):
                self.store.set(FAILED, json.dumps(text))
        except RuntimeError:  # the store is gone
            pass


ALONE = Ranks()


EXAMPLE = "torchrun --nproc-per-node=2 -m seqff train VIDEOS --out RUN"


def count_stages(config: TrainConfig, world: int) -> int:
    """Return the number of stages per replica.

    Raises:
        ValueError: settings that contradict each other or the number of processes.
    """
    if config.stages > 1 and world == 1:
        raise ValueError(f"stages={config.stages} needs several processes: {EXAMPLE} ...")
    if config.stages < 1 or world % config.stages:
        raise ValueError(f"stages={config.stages} must be above 0 and divide {world} processes")
    if world == 1:
        return 1
    if config.trainer.startswith("end_to_end"):
        raise ValueError(f"trainer={config.trainer!r} is there to be compared with, and runs in one process")
    if config.stages > 1 and config.trainer != "local":
        raise ValueError(f"stages={config.stages} is for trainer='local', got trainer={config.trainer!r}")
    return config.stages


def own_device(device: torch.device) -> torch.device:
    """Return this process's device: if there are several processes on a machine, each has its own CUDA device."""
    if device.type == "cuda" and device.index is None and world_size() > 1:
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(device)
    return device


@contextmanager
def process_group(config: TrainConfig, device: torch.device) -> Iterator[Ranks]:
    """Join the process group given by the environment (set by torchrun); does nothing for a single process.

    Args:
        config: how the processes share the work.
        device: device of this process; tensors are sent by gloo from a CPU and by NCCL from CUDA.

    Yields:
        The position of this process. If it fails in this block, the other processes are told why.

    Raises:
        ValueError: settings that contradict each other or the number of processes.
    """
    world = world_size()
    stages = count_stages(config, world)
    if world == 1:
        yield ALONE
        return
    store, rank, _ = next(rendezvous("env://", timeout=TIMEOUT))
    # torchrun's store survives a restart of the processes, so keys of the previous attempt need another prefix
    store = PrefixStore(f"start {restarts()} of {world}", store)
    backend = "gloo" if device.type == "cpu" else "cpu:gloo,cuda:nccl"
    dist.init_process_group(backend, store=PrefixStore("groups", store), rank=rank, world_size=world, timeout=TIMEOUT)
    # new_group is collective: all processes create all groups, in the same order, including those they are not in
    groups = [_group(list(range(stage, world, stages))) for stage in range(stages)]
    chains = [_group(list(range(first, first + stages))) for first in range(0, world, stages)]
    ranks = Ranks(
        rank=rank,
        world=world,
        stages=stages,
        store=PrefixStore("words", store),
        group=groups[rank % stages],
        chain=chains[rank // stages],
        all_ranks=dist.group.WORLD,
    )
    try:
        yield ranks
    except BaseException as error:
        ranks.report_failure(error)
        raise
    dist.destroy_process_group()


def _group(members: list[int]) -> dist.ProcessGroup | None:
    """Create a process group of some ranks; None for a single one."""
    group = dist.new_group(members) if len(members) > 1 else None
    return group if isinstance(group, dist.ProcessGroup) else None


@contextmanager
def quiet_unless_main(ranks: Ranks) -> Iterator[None]:
    """Suppress warnings inside a `with` block on all ranks but rank 0."""
    log = logging.getLogger("seqff")
    before = log.level
    if not ranks.is_main:
        log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(before)
