"""Commands that are ended by a signal report it in one line, as for Ctrl-C."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
GOES_ON = {
    "scan": "; results are kept: the same command continues",
    "extract": "; finished videos are kept: --resume continues",
    "evaluate": "; finished parts are kept: --resume continues",
}
"""What these commands keep when they are stopped, and how to resume."""


@contextmanager
def stoppable() -> Iterator[list[str]]:
    """Convert signals that would end this process silently to a KeyboardInterrupt.

    Yields:
        Names of the signals received; empty outside the main thread, where Python delivers none.
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
    """Return the line that a stopped command prints."""
    return f"seqff {name}: {f'stopped by {came[0]}' if came else 'interrupted'}{GOES_ON.get(name, '')}"
