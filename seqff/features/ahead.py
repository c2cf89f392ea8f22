"""Working ahead: an iterator that runs in a thread of its own, at most so many items before the one who takes them."""

from __future__ import annotations

import threading
from collections.abc import Generator
from queue import SimpleQueue
from types import TracebackType
from typing import Generic, TypeVar

T = TypeVar("T")


class Ahead(Generic[T]):
    """Takes items out of a generator in another thread. Decoders and torch let go of Python's lock while they work.

    All of the generator runs in that thread, its clean-up too, so that a video is opened, read and closed by one
    thread. What it raises is raised where the items are taken.

    Args:
        items: the generator; nobody else may use it.
        most: items that may be made and not yet taken, the one being made among them.
    """

    def __init__(self, items: Generator[T, None, None], *, most: int) -> None:
        self._items = items
        self._slots = threading.Semaphore(most)
        self._made: SimpleQueue[tuple[T] | BaseException] = SimpleQueue()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="seqff-ahead", daemon=True)
        self._thread.start()

    def __iter__(self) -> Ahead[T]:
        return self

    def __next__(self) -> T:
        """Return the next item, once it is made."""
        made = self._made.get()
        if isinstance(made, BaseException):
            self._made.put(made)  # whoever asks again gets the same answer
            raise made
        self._slots.release()
        return made[0]

    def close(self) -> None:
        """Let the thread end; waits for the item it is making."""
        self._stopped.set()
        self._slots.release()
        self._thread.join()

    def __enter__(self) -> Ahead[T]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(self) -> None:
        end: BaseException = StopIteration()
        try:
            while self._slots.acquire() and not self._stopped.is_set():
                self._made.put((next(self._items),))
        except BaseException as error:  # StopIteration among them
            end = error
        finally:
            self._items.close()
            self._made.put(end)
