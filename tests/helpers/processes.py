"""Processes of a distributed training, started like torchrun's, but forked from one with all imports done."""

from __future__ import annotations

import multiprocessing
import os
import secrets
import socket
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

PRELOAD = ["torch._dynamo", "torch.distributed.tensor", "pytest", "seqff.train"]
"""The first two are torch's late imports for process groups and optimizer steps; tests import the third."""


def context() -> Any:
    """Return a start method that costs next to nothing after the first process."""
    made = multiprocessing.get_context("forkserver")
    made.set_forkserver_preload(PRELOAD)
    return made


def free_port() -> int:
    """Return an unused port below the range of ephemeral ports, so that no connection takes it."""
    while True:
        port = 20_000 + secrets.randbelow(10_000)
        with socket.socket() as found, suppress(OSError):
            found.bind(("127.0.0.1", port))
            return port


def _enter(
    rank: int, world: int, port: int, answer: Connection, function: Callable[..., Any], arguments: tuple[Any, ...]
) -> None:
    import torch

    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(world)}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    try:
        answer.send(function(*arguments))
    except (Exception, KeyboardInterrupt) as error:
        answer.send(error)
        os._exit(1)  # the host of the others' store exits at once, like a failed process


class Together:
    """Running processes.

    Args:
        world: number of processes.
        function: function that each calls, from an importable module.
        arguments: its arguments.
    """

    def __init__(self, world: int, function: Callable[..., Any], *arguments: Any) -> None:
        made, port = context(), free_port()
        self.ends, self.processes = list[Connection](), list[BaseProcess]()
        for rank in range(world):
            mine, theirs = made.Pipe()
            process = made.Process(target=_enter, args=(rank, world, port, theirs, function, arguments), daemon=True)
            process.start()
            theirs.close()
            self.ends.append(mine)
            self.processes.append(process)

    def results(self, seconds: float = 300.0) -> list[Any]:
        """Return the result or exception of each; None for a killed one. Fails if one hangs."""
        found: list[Any] = []
        for end, process in zip(self.ends, self.processes, strict=True):
            assert end.poll(seconds), f"{process.name} hangs"
            try:
                found.append(end.recv())
            except EOFError:
                found.append(None)
            process.join(seconds)
            assert process.exitcode is not None, f"{process.name} does not end"
        return found


def together(world: int, function: Callable[..., Any], *arguments: Any) -> list[Any]:
    """Call a function in several processes and return the result of each."""
    found = Together(world, function, *arguments).results()
    for one in found:
        if isinstance(one, BaseException):
            raise one
    return found
