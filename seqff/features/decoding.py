"""Frames of many videos, decoded in threads while the encoder is busy with the frames before."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from seqff.errors import VideoError
from seqff.features.ahead import Ahead
from seqff.features.sampling import Sampling, frame_batches
from seqff.transform import FrameTransform
from seqff.video import VideoEntry, open_video

AHEAD_BYTES = 2**26
"""Most bytes of frames that all threads together decode ahead. Videos differ in which is slower, decoding or the
encoder: the more is held, the better they make up for each other."""

Batch = NDArray[np.uint8]
_Event = Batch | VideoError | FileNotFoundError | None  # None: the video has ended well


def decode_videos(
    root: Path, entries: Sequence[VideoEntry], sampling: Sampling, transform: FrameTransform, *, workers: int
) -> Generator[tuple[VideoEntry, Iterator[Batch]], None, None]:
    """Decode videos ahead of whoever takes their frames, in order, whatever the number of threads.

    A batch holds frames of one video only, so that the numbers that come of it depend on nothing but the video.

    Args:
        root: folder of the videos.
        entries: the videos; thread k of n decodes every n-th from the k-th on.
        sampling: which frames, and how many make a batch.
        transform: the encoder's; frames are decoded at its size.
        workers: threads that decode.

    Yields:
        Each video with its batches, (n, H, W, 3) uint8, which must be taken to their end before the next video.
        Taking them raises VideoError or FileNotFoundError where the video cannot be read.
    """
    sizes = [transform.decode_size(entry.height, entry.width) for entry in entries]
    largest = max((height * width for height, width in sizes), default=1) * 3 * sampling.batch_frames
    most = max(2, AHEAD_BYTES // (largest * workers))
    with ExitStack() as stack:
        streams = [
            stack.enter_context(Ahead(_decode(root, entries[first::workers], sampling, transform), most=most))
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
