"""Stop between steps: Ctrl-C or SIGTERM in the middle of a step would leave half of the layers updated."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from seqff.training.trainer import Callback, StepReport


@contextmanager
def stop_between_steps() -> Iterator[Callable[[], bool]]:
    """Defer the first SIGINT or SIGTERM.

    Yields:
        A function that returns whether a signal has arrived; the caller then finishes its step and stops. A second
        signal interrupts at once. Outside the main thread, where Python delivers no signals, it always returns False.
    """
    came: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        if came:
            raise KeyboardInterrupt
        came.append(number)

    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(came)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Interrupt(Callback):
    """Ends the training after the current step if a signal has arrived."""

    def __init__(self, stopping: Callable[[], bool]) -> None:
        self.stopping = stopping

    def after_step(self, report: StepReport) -> None:
        report.stop = report.stop or self.stopping()
