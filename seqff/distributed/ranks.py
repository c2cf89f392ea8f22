"""The processes that train together: how they start, who is who, and what they tell each other besides tensors."""

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
"""A process that keeps the others waiting for longer hangs: they stop."""
FAILED = "failed"
POLL_SECONDS = 0.02


class StepOutcome(NamedTuple):
    """What all do after the step that they have just taken.

    Args:
        save: write a checkpoint.
        stop: end here, because of a signal.
        collapsed: end here, because a layer has collapsed.
    """

    save: bool = False
    stop: bool = False
    collapsed: bool = False


@dataclass(frozen=True)
class Ranks:
    """Where this process stands in the grid: replicas of the net, each of them cut into stages of layers.

    Rank r has stage r % stages of replica r // stages. The first rank decodes, as the first stage of every replica
    does, and it alone logs and writes the run folder.

    Args:
        rank: number of this process, from 0.
        world: how many there are.
        stages: how many share the layers of one replica.
        store: of strings that all can read; None for a process by itself.
        group: the replicas of this stage, if there are several.
        chain: the stages of this replica, if there are several.
        all_ranks: all of them, if there are several.
    """

    rank: int = 0
    world: int = 1
    stages: int = 1
    store: Store | None = None
    group: dist.ProcessGroup | None = None
    chain: dist.ProcessGroup | None = None
    all_ranks: dist.ProcessGroup | None = None

    def __deepcopy__(self, memo: dict[int, Any]) -> Ranks:
        return self  # copies of a layer talk to the same others

    @property
    def is_main(self) -> bool:
        """Whether this is the first rank."""
        return self.rank == 0

    @property
    def stage(self) -> int:
        """Which layers: 0 is the lowest stage."""
        return self.rank % self.stages

    @property
    def replica(self) -> int:
        """Which batches."""
        return self.rank // self.stages

    @property
    def replicas(self) -> int:
        """How many learn from batches of their own."""
        return self.world // self.stages

    def put(self, key: str, value: Any) -> None:
        """Store a JSON value for `get`."""
        if self.store is not None:
            with self.comm_errors():
                self.store.set(key, json.dumps(value))

    def has(self, *keys: str) -> bool:
        """Say whether all of these have been put; never waits."""
        if self.store is None:
            return False
        with self.comm_errors():
            return bool(self.store.check(list(keys)))

    def get(self, key: str) -> Any:
        """Wait for a value that another rank stores, however long it takes.

        A rank that has died is not noticed here, but by `meet`, which comes between steps.

        Raises:
            SeqffError: another rank has failed.
        """
        assert self.store is not None  # one process waits for nobody
        with self.comm_errors():
            while not self.store.check([key]):
                if self.store.check([FAILED]):
                    raise SeqffError(self.cause())
                time.sleep(POLL_SECONDS)
            return json.loads(self.store.get(key))

    def take(self, key: str) -> Any:
        """Get a value that only this rank needs, and remove it from the store."""
        value = self.get(key)
        assert self.store is not None
        with self.comm_errors():
            self.store.delete_key(key)
        return value

    def agree(self, mine: StepOutcome) -> StepOutcome:
        """Return what any of the replicas wants; called by the same stage of all of them."""
        if self.group is None:
            return mine
        wanted = torch.tensor(mine, dtype=torch.int64)
        with self.comm_errors():
            dist.all_reduce(wanted, op=dist.ReduceOp.MAX, group=self.group)
        return StepOutcome(*(bool(value) for value in wanted))

    def gather(self, x: Tensor, counts: list[int]) -> list[Tensor]:
        """Return what every replica gives: tensors that differ in their first dimension alone.

        Args:
            x: (counts[replica], ...).
            counts: length of the first dimension in every replica.
        """
        padded = x.new_zeros((max(counts), *x.shape[1:]))
        padded[: len(x)] = x
        found = [torch.empty_like(padded) for _ in counts]
        with self.comm_errors():
            dist.all_gather(found, padded, group=self.group)
        return [part[:count] for part, count in zip(found, counts, strict=True)]

    def meet(self, group: dist.ProcessGroup | None) -> None:
        """Wait until all processes of a group get here; None stands for a group of one."""
        if group is not None:
            with self.comm_errors():
                dist.all_reduce(torch.zeros(1), group=group)

    @contextmanager
    def main_first(self, what: str) -> Iterator[None]:
        """Let the first rank do something before the others do it, too."""
        if not self.is_main:
            self.get(what)
        yield
        if self.is_main:
            self.put(what, True)

    @contextmanager
    def comm_errors(self) -> Iterator[None]:
        """Turn torch's communication errors into one that says that another process is gone.

        Raises:
            SeqffError: another process is gone.
        """
        try:
            yield
        except RuntimeError as error:
            raise SeqffError(self.cause(error)) from error

    def cause(self, error: Exception | None = None) -> str:
        """Say why this rank cannot go on without the others."""
        try:
            if self.store is not None and self.store.check([FAILED]):
                return f"rank {self.rank} stops: {json.loads(self.store.get(FAILED))}"
        except RuntimeError:  # whoever held the store is gone, too
            pass
        lost = " ".join(str(error).split())[:200]
        return f"rank {self.rank} stops: another process was killed, hangs, or its machine is gone ({lost})"

    def report_failure(self, error: BaseException) -> None:
        """Record why this rank fails, unless another one has failed before."""
        if self.store is None:
            return
        text = " ".join(str(error).split()) or type(error).__name__
        if not text.startswith(f"rank {self.rank} "):
            text = f"rank {self.rank} failed: {text}"
        try:
            if not self.store.check([FAILED]):
                self.store.set(FAILED, json.dumps(text))
        except RuntimeError:  # nobody is left to tell
            pass


ALONE = Ranks()


EXAMPLE = "torchrun --nproc-per-node=2 -m seqff train VIDEOS --out RUN"


def count_stages(config: TrainConfig, world: int) -> int:
    """Return how many processes share the layers of one replica of the net.

    Raises:
        ValueError: settings that do not fit each other or the number of processes.
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
    """Return the device of this process: with several on a machine, each CUDA device is for one of them."""
    if device.type == "cuda" and device.index is None and world_size() > 1:
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(device)
    return device


@contextmanager
def process_group(config: TrainConfig, device: torch.device) -> Iterator[Ranks]:
    """Join the processes that the environment names (torchrun sets it); one alone joins nobody.

    Args:
        config: how they share the work.
        device: where this process computes: tensors travel by gloo from a CPU and by NCCL from CUDA.

    Yields:
        Where this process stands. If it fails in this block, the others learn why.

    Raises:
        ValueError: settings that do not fit each other or the number of processes.
    """
    world = world_size()
    stages = count_stages(config, world)
    if world == 1:
        yield ALONE
        return
    store, rank, _ = next(rendezvous("env://", timeout=TIMEOUT))
    # torchrun's store outlives the processes it starts anew: what the killed ones left in it is not for these
    store = PrefixStore(f"start {restarts()} of {world}", store)
    backend = "gloo" if device.type == "cpu" else "cpu:gloo,cuda:nccl"
    dist.init_process_group(backend, store=PrefixStore("groups", store), rank=rank, world_size=world, timeout=TIMEOUT)
    # all processes must make all groups, in the same order; one that is not in a group gets something else in its place
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
    """Make a group of some ranks, if it is more than one."""
    group = dist.new_group(members) if len(members) > 1 else None
    return group if isinstance(group, dist.ProcessGroup) else None


@contextmanager
def quiet_unless_main(ranks: Ranks) -> Iterator[None]:
    """Suppress warnings inside a `with` block on all ranks but the first."""
    log = logging.getLogger("seqff")
    before = log.level
    if not ranks.is_main:
        log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(before)
