"""Frames of many videos, decoded in threads while the encoder is busy with the frames before."""

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
"""Most bytes of frames that all threads together decode ahead. Videos differ in which is slower, decoding or the
encoder: the more is held, the better they make up for each other."""

T = TypeVar("T")
Batch = NDArray[np.uint8]
_Event = Batch | VideoError | FileNotFoundError | None  # None: the video has ended well


class Prefetched(Generic[T]):
    """Takes items out of a generator in another thread, at most `most` made and not yet taken.

    Decoders and torch let go of Python's lock while they work. All of the generator runs in that thread, its clean-up
    too, so that a video is opened, read and closed by one thread. What it raises is raised where the items are taken.
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

    def __enter__(self) -> Prefetched[T]:
        return self

    def __exit__(self, *_: object) -> None:
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


def decode_videos(
    root: Path, entries: Sequence[VideoEntry], sampling: Sampling, transform: FrameTransform, *, workers: int
) -> Generator[tuple[VideoEntry, Iterator[Batch]], None, None]:
    """Decode videos ahead of whoever takes their frames, in order, whatever the number of threads.

    A batch holds frames of one video only, so that the numbers that come of it depend on nothing but the video. Thread
    k of the `workers` decodes every n-th video from the k-th on, at the transform's size.

    Yields:
        Each video with its batches, (n, H, W, 3) uint8, which must be taken to their end before the next video.
        Taking them raises VideoError or FileNotFoundError where the video cannot be read.
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
