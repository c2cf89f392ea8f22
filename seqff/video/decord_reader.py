"""decord: the audit by which the scan finds out where its indices are right, and the reader for those files alone."""

from __future__ import annotations

import importlib.util
from bisect import bisect_right
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqff.video.container import check_no_script, local_url
from seqff.video.decode_pass import THUMB, DecodePass, fingerprint, sampled
from seqff.video.entry import Access, VideoEntry
from seqff.video.reader import Frames, VideoInfo, VideoReader
from seqff.video.shards import Source

_NEAR = 24  # frames: decord's seek decodes more than this many by itself
_QUEUE_BYTES = 2**28
_JUDGED_BY_CONTAINER = ("mpegts", "mpeg", "vob", "gif")  # decord agrees with itself there and is wrong all the same
_MOST_FRAMES = 20_000  # decord's queue would not bear a longer video at any useful size
_WINDOW, _SHIFTS = 8, 4


def decord_available() -> bool:
    """Whether decord is installed; it has wheels for few platforms."""
    return importlib.util.find_spec("decord") is not None


def decord_fits(entry: VideoEntry, height: int, width: int) -> bool:
    """Whether decord can be borne on this video at this size.

    It queues packets without limit and decodes them while its caller is busy, at worst the whole video.
    """
    return entry.frames * height * width * 3 * 2 <= _QUEUE_BYTES


@cache
def load_decord() -> Any:
    """Import decord, after torch (the other order has been seen to crash), and keep it from printing."""
    import torch  # noqa: F401

    return quiet_decord()


def quiet_decord() -> Any:
    """Import decord, for processes that never use torch.

    OpenCV is imported first: decord loads a zlib of its own, of 2005, for the whole process, and the libpng of an
    OpenCV that comes after it then fails on every PNG.
    """
    import cv2  # noqa: F401
    import decord

    decord.logging.set_level(decord.logging.QUIET)
    return decord


class _Native:
    """decord's own reader at a size after rotation, its traps taken out; moves forward, or seeks where it may."""

    def __init__(self, source: Source, height: int, width: int, decord: Any) -> None:
        check_no_script(source)
        self._url, self._decord = local_url(source), decord
        self._height, self._width, self._factor = height, width, 1
        self.restart()

    def restart(self) -> None:
        """Go to the first frame by opening anew, which never goes wrong."""
        size = {"height": self._height * self._factor, "width": self._width * self._factor}
        self._reader = self._decord.VideoReader(self._url, ctx=self._decord.cpu(0), num_threads=1, **size)
        self.position = 0

    def seek(self, index: int) -> None:
        """Go to a frame; only exact on the files the audit found so."""
        self._reader.seek_accurate(index)
        self.position = index

    def hop_to(self, index: int) -> None:
        """Go to a later frame of the same group of pictures without converting those between: half the work.

        Across a key frame decord lands elsewhere on some files, and even in a group only those the audit has passed
        may be trusted.
        """
        if index > self.position:
            self._reader.skip_frames(index - self.position)
            self.position = index

    def skip_to(self, index: int) -> None:
        """Decode on to a later frame."""
        while self.position < index:
            self._reader.next()
            self.position += 1

    def next(self) -> Frames:
        """Return the next frame, uint8 (height, width, 3), owned.

        Some widths (4, 6, 8, 12, 16, 24, 48 and 72 on x86) come out of decord as broken arrays: those are decoded a
        few times larger and averaged.
        """
        while True:
            frame: Frames = self._reader.next().asnumpy()
            k, height, width = self._factor, self._height, self._width
            if frame.shape == (height * k, width * k, 3):
                self.position += 1
                return frame if k == 1 else _block_means(frame, k)
            if k >= 16:
                raise ValueError(f"decord cannot make frames of {height} x {width} px")
            back_to = self.position
            self._factor = k + 1
            self.restart()
            self.skip_to(back_to)


def _block_means(frame: Frames, k: int) -> Frames:
    height, width, _ = frame.shape
    blocks = frame.reshape(height // k, k, width // k, k, 3).astype(np.uint32)
    means: Frames = ((blocks.sum(axis=(1, 3)) + k * k // 2) // (k * k)).astype(np.uint8)
    return means


class DecordReader(VideoReader):
    """Reads through decord what the scan has found it exact on; see `decord_fits`, too."""

    name = "decord"

    def __init__(self, source: Source, info: VideoInfo, entry: VideoEntry) -> None:
        super().__init__(info)
        self._keys: list[int] = entry.key_frames.tolist() if entry.access == "random" else []
        try:
            self._native: _Native | None = _Native(source, info.height, info.width, load_decord())
        except Exception as error:
            raise self._error(error) from error

    def _frame(self, index: int) -> Frames:
        assert self._native is not None
        try:
            before = bisect_right(self._keys, index)
            key = self._keys[before - 1] if before else 0
            if index < self._native.position and not key:
                self._native.restart()
            elif index < self._native.position or key > self._native.position + _NEAR:
                self._native.seek(index)
            if self._keys and key <= self._native.position:
                self._native.hop_to(index)
            self._native.skip_to(index)
            return self._native.next()
        except Exception as error:  # DECORDError, StopIteration, RuntimeError: decord has no base class
            raise self._error(f"frame {index}: {error!r}") from error

    def _release(self) -> None:
        self._native = None


def decord_access(
    source: Source, seen: DecodePass, probes: Sequence[int], decord: Any, heartbeat: Callable[[], None]
) -> Access | None:
    """Decode the video once more with decord, beside PyAV's decode pass, and try its seeking at some frames.

    Returns:
        "random", "forward" when only decoding from the first frame on is right, None when decord is wrong or cannot.
    """
    if seen.codec == "av1" or len(seen.pts) > _MOST_FRAMES:
        return None
    if any(name in _JUDGED_BY_CONTAINER for name in seen.container.split(",")):
        return None
    try:
        native = _Native(source, THUMB, THUMB, decord)
        prints, small = dict[int, int](), list[NDArray[np.uint8]]()
        for index in range(len(seen.pts)):
            heartbeat()
            frame = native.next()
            small.append(sampled(frame))
            if index in probes:
                prints[index] = fingerprint(frame)
        if not _aligned(np.stack(small), np.stack(seen.small)):
            return None
        if not _in_order(seen):
            return "forward"
        native = _Native(source, THUMB, THUMB, decord)
        seeks = len(seen.key_packets) != 1  # with no key frame but the first, nobody does
        for index in sorted(prints, reverse=seeks):
            heartbeat()
            (native.seek if seeks else native.hop_to)(index)
            if fingerprint(native.next()) != prints[index]:
                return "forward"
        return "random"
    except Exception:  # whatever decord says, the answer is the exact reader
        return None


def _aligned(ours: NDArray[np.uint8], truth: NDArray[np.uint8]) -> bool:
    """Whether two decodes, (frames, 16, 16), show the same frame at each index, but for scaling noise.

    In every window of frames the sum of differences must be least when the two are not shifted against each other.
    """
    a, b = ours.reshape(len(ours), -1).astype(np.int16), truth.reshape(len(truth), -1).astype(np.int16)
    here = np.abs(a - b).mean(axis=1)
    if not _windowed(here).max() < 16:  # not even the same pictures
        return False
    for shift in range(1, min(_SHIFTS, len(a) - 1) + 1):
        for left, right, own in ((a[shift:], b[:-shift], here[shift:]), (a[:-shift], b[shift:], here[:-shift])):
            if (_windowed(own) > _windowed(np.abs(left - right).mean(axis=1)) + 0.02).any():
                return False
    return True


def _windowed(values: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Means over windows of up to 8 values."""
    size = min(_WINDOW, len(values))
    return np.convolve(values, np.full(size, 1 / size), mode="valid")


def _in_order(seen: DecodePass) -> bool:
    """Whether every key frame comes as the same number in the file as on the screen; decord takes that for granted."""
    if any(pts is None for pts in seen.packet_pts):
        return False
    pts = np.asarray(seen.packet_pts, dtype=np.int64)
    ranks = np.argsort(np.argsort(pts, kind="stable"), kind="stable")
    return all(ranks[packet] == packet for packet in seen.key_packets) and len(pts) == len(seen.pts)
