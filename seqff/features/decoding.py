"""Decode frames of many videos in threads, ahead of the encoder."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from queue import SimpleQueue
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from seqff.errors import VideoError
from seqff.features.sampling import Sampling, frame_batches
from seqff.transform import FrameTransform
from seqff.video import VideoEntry, open_video

AHEAD_BYTES = 2**26
"""Limit on the bytes of frames that all threads together decode ahead. Decoding is slower than the encoder for some
videos and faster for others; a longer queue evens this out."""

T = TypeVar("T")
Batch = NDArray[np.uint8]
_Event = Batch | VideoError | FileNotFoundError | None  # None: end of the video


class Prefetched(Generic[T]):
    """Runs a generator in a background thread, with at most `most` items queued.

    Decoders and torch release the GIL while they work. The whole generator runs in that thread, including its cleanup,
    so a video is opened, read and closed by one thread. Its exceptions are raised to the consumer.
    """

    def __init__(self, items: Generator[T, None, None], *, most: int) -> None:
        self._items = items
        self._slots = threading.Semaphore(most)
        self._made: SimpleQueue[tuple[T] | BaseException] = SimpleQueue()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="seqff-prefetch", daemon=True)
        self._thread.start()

    def __iter__(self) -> Prefetched[T]:
        return self

    def __next__(self) -> T:
        """Return the next item; blocks until there is one."""
        made = self._made.get()
        if isinstance(made, BaseException):
            self._made.put(made)  # so that further calls raise it again
            raise made
        self._slots.release()
        return made[0]

    def close(self) -> None:
        """Stop the thread; waits for the item in progress."""
        self._stopped.set()
        self._slots.release()
        self._thread.join()

    def __enter__(self) -> Prefetched[T]:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self) -> None:
        end: BaseException = StopIteration()
        try:
            while self._slots.acquire() and not self._stopped.is_set():
                self._made.put((next(self._items),))
        except BaseException as error:  # including StopIteration
            end = error
        finally:
            self._items.close()
            self._made.put(end)


def decode_videos(
    root: Path, entries: Sequence[VideoEntry], sampling: Sampling, transform: FrameTransform, *, workers: int
) -> Generator[tuple[VideoEntry, Iterator[Batch]], None, None]:
    """Decode videos in threads ahead of the consumer, and yield them in order for any number of threads.

    A batch contains frames of only one video, so that features depend on nothing but the video. Thread k of `workers`
    decodes every workers-th video from the k-th on, at the transform's size.

    Yields:
        Each video with its batches, (n, H, W, 3) uint8, which must be consumed before the next video is requested.
        Consuming them raises VideoError or FileNotFoundError if the video cannot be read.
    """
    sizes = [transform.decode_size(entry.height, entry.width) for entry in entries]
    largest = max((height * width for height, width in sizes), default=1) * 3 * sampling.batch_frames
    most = max(2, AHEAD_BYTES // (largest * workers))
    with ExitStack() as stack:
        streams = [
            stack.enter_context(Prefetched(_decode(root, entries[first::workers], sampling, transform), most=most))
            for first in range(min(workers, len(entries)))
        ]
        for number, entry in enumerate(entries):
            yield entry, _of_one_video(streams[number % workers])


def _decode(
    root: Path, entries: Sequence[VideoEntry], sampling: Sampling, transform: FrameTransform
) -> Generator[_Event, None, None]:
    for entry in entries:
        size = transform.decode_size(entry.height, entry.width)
        try:
            with open_video(root / entry.path, size=size, entry=entry) as reader:
                yield from frame_batches(reader, sampling.frames(entry), sampling.batch_frames)
        except (VideoError, FileNotFoundError) as error:
            yield error
        else:
            yield None


def _of_one_video(events: Iterator[_Event]) -> Iterator[Batch]:
    for event in events:
        if event is None:
            return
        if isinstance(event, Exception):
            raise event
        yield event
