"""What an endless source is."""

from __future__ import annotations

import threading
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from seqff.video.reader import Frames


@dataclass(eq=False)
class Arrival:
    """A frame that has come.

    Args:
        image: uint8 (height, width, 3), RGB.
        seconds: when it is shown, by the clock of its connection; None if that has none.
        skipped: frames that are known to be missing between it and the one before.
        cut: it does not go on from the frame before: that was of another connection or file.
    """

    image: Frames
    seconds: float | None = None
    skipped: int = 0
    cut: bool = False


class StreamSource(Protocol):
    """Something that frames come from; used by one thread.

    Attributes:
        name: for logs and files, without passwords.
        drops: frames that nobody takes in time are dropped; else the sender is made to wait.
        ends: what ends in good order has ended for good; else it is connected to again.
    """

    name: str
    drops: bool
    ends: bool

    def connect(self, closed: threading.Event) -> Generator[Arrival, None, None]:
        """Open the source and yield frames until it ends, or until `closed` is set.

        Raises:
            SeqffError, OSError, EOFError: it cannot be opened, or broke off.
        """

    def state(self) -> Mapping[str, Any]:
        """Return what a later process must know to go on here, as plain data."""

    def recall(self, state: Mapping[str, Any]) -> None:
        """Take up what `state` gave."""
