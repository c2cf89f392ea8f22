"""Child processes that end when their parent ends, whatever they are doing and however the parent ends."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time
from multiprocessing import resource_tracker
from multiprocessing.context import SpawnContext, SpawnProcess
from typing import Any

_SET_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG
_LOOK_SECONDS = 0.5


def end_with(parent: int, *, thread_lasts: bool = True) -> None:
    """Kill this process as soon as its parent has ended.

    On Linux the kernel does it, so that not even a decoder that hangs outlives its parent; elsewhere a thread does.

    Args:
        parent: process id of the parent, as the parent knows it.
        thread_lasts: the thread that started this process will live long enough; the kernel watches the thread.
    """
    if sys.platform == "win32":  # parent ids are unreliable there; broken pipes end the process
        return
    by_kernel = False
    if thread_lasts and sys.platform == "linux":
        by_kernel = ctypes.CDLL(None).prctl(_SET_DEATH_SIGNAL, int(signal.SIGKILL), 0, 0, 0) == 0
    if os.getppid() != parent:  # it has already ended
        os.kill(os.getpid(), signal.SIGKILL)
    if not by_kernel:
        threading.Thread(target=_look, args=(parent,), name="seqff parent", daemon=True).start()


def _look(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_LOOK_SECONDS)
    os._exit(1)


class Child(SpawnProcess):
    """A process that ends with its parent from the start, even before its imports are done."""

    def __reduce__(self) -> tuple[Any, ...]:
        by_main = threading.current_thread() is threading.main_thread()
        return _begin, (os.getpid(), by_main), self.__dict__  # the new process calls this before it unpickles the rest


def _begin(parent: int, by_main: bool) -> Child:
    end_with(parent, thread_lasts=by_main)
    return Child.__new__(Child)


class Children(SpawnContext):
    """A "spawn" context whose processes end with this one."""

    def __init__(self) -> None:
        if sys.platform != "win32":  # before anything in shared memory needs cleanup after a kill
            resource_tracker.ensure_running()

    Process = Child
