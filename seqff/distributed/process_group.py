"""Joining the processes that torchrun has started, and leaving them."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous

from seqff.config import TrainConfig
from seqff.devices import world_size
from seqff.distributed.ranks import ALONE, TIMEOUT, Ranks, restarts

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
def joined(config: TrainConfig, device: torch.device) -> Iterator[Ranks]:
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
        everyone=dist.group.WORLD,
    )
    try:
        yield ranks
    except BaseException as error:
        ranks.tell(error)
        raise
    dist.destroy_process_group()


def _group(members: list[int]) -> dist.ProcessGroup | None:
    """Make a group of some ranks, if it is more than one."""
    group = dist.new_group(members) if len(members) > 1 else None
    return group if isinstance(group, dist.ProcessGroup) else None


@contextmanager
def quiet_unless_main(ranks: Ranks) -> Iterator[None]:
    """Hold back warnings in this block that the first rank gives, too."""
    log = logging.getLogger("seqff")
    before = log.level
    if not ranks.is_main:
        log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(before)
