"""Processes that train together, started as torchrun starts them, but out of one that has imported everything."""

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
"""The first two are what torch imports when it is first asked to join processes and to take a step; the third is what
the modules of tests import."""


def context() -> Any:
    """A way to start processes that costs next to nothing from the second time on."""
    made = multiprocessing.get_context("forkserver")
    made.set_forkserver_preload(PRELOAD)
    return made


def free_port() -> int:
    """A port that nobody listens on, below those that systems give to connections, so that no other takes it."""
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
        os._exit(1)  # the host of the others' store goes away at once, as a failed process does


class Together:
    """Processes under way.

    Args:
        world: how many.
        function: what each calls; of a module that can be imported.
        arguments: for it.
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
        """What each gave, or the exception it raised; None for one that was killed. Fails if one hangs."""
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
    """Call a function in several processes and return what each of them gave."""
    found = Together(world, function, *arguments).results()
    for one in found:
        if isinstance(one, BaseException):
            raise one
    return found
