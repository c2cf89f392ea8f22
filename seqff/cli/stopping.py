"""Signals that ask a command to end are answered by a line, as Ctrl-C is."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
GOES_ON = {
    "scan": "; what was found is kept: the same command goes on",
    "extract": "; finished videos are kept: --resume goes on",
    "evaluate": "; what is finished is kept: --resume goes on",
}
"""What is left of commands that were stopped."""


@contextmanager
def stoppable() -> Iterator[list[str]]:
    """Turn what would end this process without a word into a KeyboardInterrupt.

    Yields:
        Names of the signals that have come. Outside the main thread, where Python hands out no signals, none do.
    """
    came: list[str] = []

    def note(number: int, frame: FrameType | None) -> None:
        came.append(signal.Signals(number).name)
        raise KeyboardInterrupt

    main = threading.current_thread() is threading.main_thread()
    ours = [number for number in SIGNALS if main and signal.getsignal(number) is signal.SIG_DFL]  # not under nohup
    for number in ours:
        signal.signal(number, note)
    try:
        yield came
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)


def stopped(name: str, came: list[str]) -> str:
    """Return the line for a command that was stopped, and what is left of it."""
    return f"seqff {name}: {f'stopped by {came[0]}' if came else 'interrupted'}{GOES_ON.get(name, '')}"
