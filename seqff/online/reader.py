"""Read a source in a thread: reconnect when it breaks off, and count dropped frames."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from seqff.config import LiveConfig
from seqff.errors import SeqffError, VideoError
from seqff.online.sources import Arrival, StreamSource
from seqff.video.reader import one_line

log = logging.getLogger(__name__)
BUFFER_FRAMES = 64
"""Maximum number of queued frames."""
BACKOFF_SECONDS, LONGEST_WAIT_SECONDS = 1.0, 60.0
"""Wait before the first attempt to reconnect, doubled for each further one; and the maximum."""
NAMED = 50
"""Number of lost connections stored with their causes; all are counted."""
LOOK_SECONDS = 0.2
"""Interval at which a thread that waits for a frame checks whether to continue."""
CLOSE_SECONDS = 2.0


@dataclass
class Loss:
    """A lost connection.

    Args:
        when: seconds since 1970.
        cause: the cause, in one line.
        attempts: number of attempts to reconnect.
        seconds: time until the next frame; None if there was none.
    """

    when: float
    cause: str
    attempts: int = 0
    seconds: float | None = None


class StreamReader:
    """Reads frames in a thread, which reconnects to the source as needed.

    A source that cannot be opened at first is an error at once. One that breaks off later is opened again after a wait,
    which doubles with every consecutive failure.

    Attributes:
        came: number of frames received.
        dropped: number of received frames dropped because the queue was full.
        losses: the latest lost connections.
        lost: number of lost connections.
    """

    def __init__(self, source: StreamSource, live: LiveConfig) -> None:
        check_live(live)
        self.source, self.live = source, live
        self.came = self.dropped = self.lost = 0
        self.losses: deque[Loss] = deque(maxlen=NAMED)
        self._waiting: deque[Arrival] = deque()
        self._changed, self._closed = threading.Condition(), threading.Event()
        self._done = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._read, name="seqff stream", daemon=True)

    def frames(self, go_on: Callable[[], bool] = lambda: True) -> Generator[Arrival, None, None]:
        """Yield frames until the source ends, it is silent for `idle_minutes`, or `go_on` returns False.

        Raises:
            SeqffError: the source cannot be opened or reconnected. Other errors of a Python source propagate unchanged.
        """
        self._thread.start()
        while (arrival := self._next(go_on)) is not None:
            yield arrival

    def _next(self, go_on: Callable[[], bool]) -> Arrival | None:
        since, idle = time.monotonic(), 60 * self.live.idle_minutes
        while go_on():
            with self._changed:
                if not self._waiting and not self._done:
                    self._changed.wait(LOOK_SECONDS)
                if self._waiting:
                    self._changed.notify_all()
                    return self._waiting.popleft()
                if self._done and self._error is not None:
                    raise self._error
                if self._done:
                    return None
            if idle and time.monotonic() - since >= idle:
                log.warning("%s: no frame for %g minutes: it has ended", self.source.name, self.live.idle_minutes)
                return None
        return None

    def _read(self) -> None:
        """Connect again and again; the thread's target."""
        failures = 0
        try:
            while not self._closed.is_set():
                before, cause = self.came, "ended"
                try:
                    self._connection()
                    if self._closed.is_set() or self.source.ends:
                        return
                except (SeqffError, OSError, EOFError) as error:
                    if not self.came:
                        raise
                    cause = one_line(getattr(error, "cause", None) or error or type(error).__name__)
                failures = 1 if self.came > before else failures + 1
                self._wait(cause, failures)
        except BaseException as error:  # raised to the consumer
            self._error = error
        finally:
            with self._changed:
                self._done = True
                self._changed.notify_all()

    def _connection(self) -> None:
        """Read the frames of one connection."""
        with closing(self.source.connect(self._closed)) as arrivals:
            for number, arrival in enumerate(arrivals):
                if not number:
                    arrival.cut |= self.came > 0
                    self._back()
                self._put(arrival)
                if self._closed.is_set():
                    return

    def _put(self, arrival: Arrival) -> None:
        with self._changed:
            self.came += 1
            while len(self._waiting) >= BUFFER_FRAMES and not self._closed.is_set():
                if self.source.drops:
                    old = self._waiting.popleft()
                    self.dropped += 1
                    after = self._waiting[0] if self._waiting else arrival
                    after.skipped += old.skipped + 1
                    after.cut |= old.cut
                else:
                    self._changed.wait(LOOK_SECONDS)
            self._waiting.append(arrival)
            self._changed.notify_all()

    def _wait(self, cause: str, failures: int) -> None:
        """Record a lost connection or a failed attempt, and wait before the next one.

        Raises:
            VideoError: the maximum number of attempts is reached.
        """
        name, retries = self.source.name, self.live.retries
        if failures == 1:
            self.lost += 1
            self.losses.append(Loss(time.time(), cause))
        if failures > retries:
            raise VideoError(name, "stream", f"given up after {retries} attempts to open it again; the last: {cause}")
        wait = min(LONGEST_WAIT_SECONDS, BACKOFF_SECONDS * 2 ** (failures - 1))
        log.warning("%s: %s; attempt %d of %d in %.3g s", name, cause, failures, retries, wait)
        self.losses[-1].attempts = failures
        self._closed.wait(wait)

    def _back(self) -> None:
        """Record that frames arrive again."""
        if self.losses and self.losses[-1].seconds is None:
            loss = self.losses[-1]
            loss.seconds = round(time.time() - loss.when, 3)
            log.warning("%s: frames come again after %.3g s", self.source.name, loss.seconds)

    def statistics(self) -> dict[str, Any]:
        """Return counts of received and lost frames as plain data."""
        return {
            "source": self.source.name,
            "came": self.came,
            "dropped": self.dropped,
            "connections_lost": self.lost,
            "losses": [dict(vars(loss)) for loss in list(self.losses)],
            "state": dict(self.source.state()),
        }

    def close(self) -> None:
        """Close the source; a thread that hangs in a decoder is abandoned and ends with the process."""
        self._closed.set()
        with self._changed:
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join(CLOSE_SECONDS)

    def __enter__(self) -> StreamReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def check_live(live: LiveConfig) -> None:
    """Raise ValueError if a setting of the reader is out of range."""
    for name in ("retries", "idle_minutes", "fps"):
        if not getattr(live, name) >= 0:
            raise ValueError(f"live.{name} must be at least 0, got {getattr(live, name)}")
    if live.behind not in ("auto", "drop", "wait") or live.at_end not in ("auto", "stop", "retry"):
        raise ValueError(
            "live.behind is one of auto, drop, wait and live.at_end one of auto, stop, retry, got "
            f"{live.behind!r} and {live.at_end!r}"
        )
