"""decord: an audit that determines for which files its frame indices are correct, and the reader for these files."""

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

_NEAR = 24  # frames: decord's seek itself decodes more than this many
_QUEUE_BYTES = 2**28
_JUDGED_BY_CONTAINER = ("mpegts", "mpeg", "vob", "gif")  # decord is wrong here, although consistent with itself
_MOST_FRAMES = 20_000  # decord's queue could not hold a longer video at any useful size
_WINDOW, _SHIFTS = 8, 4


def decord_available() -> bool:
    """Whether decord is installed; it has wheels for few platforms."""
    return importlib.util.find_spec("decord") is not None


def decord_fits(entry: VideoEntry, height: int, width: int) -> bool:
    """Whether decord's memory use is acceptable for this video at this size.

    It queues packets without limit and decodes them while its caller is busy, at worst the whole video.
    """
    return entry.frames * height * width * 3 * 2 <= _QUEUE_BYTES


@cache
def load_decord() -> Any:
    """Import decord after torch (the other order has been seen to crash), and silence it."""
    import torch  # noqa: F401

    return quiet_decord()


def quiet_decord() -> Any:
    """Import decord in processes that never use torch.

    OpenCV is imported first: decord loads its own zlib, of 2005, into the process, and the libpng of an OpenCV that is
    imported later then fails on every PNG.
    """
    import cv2  # noqa: F401
    import decord

    decord.logging.set_level(decord.logging.QUIET)
    return decord


class _Native:
    """decord's own reader at a size after rotation, without its pitfalls; moves forward, or seeks where it may."""

    def __init__(self, source: Source, height: int, width: int, decord: Any) -> None:
        check_no_script(source)
        self._url, self._decord = local_url(source), decord
        self._height, self._width, self._factor = height, width, 1
        self.restart()

    def restart(self) -> None:
        """Go to the first frame by opening the file again, which always works."""
        size = {"height": self._height * self._factor, "width": self._width * self._factor}
        self._reader = self._decord.VideoReader(self._url, ctx=self._decord.cpu(0), num_threads=1, **size)
        self.position = 0

    def seek(self, index: int) -> None:
        """Go to a frame; exact only on files that passed the audit."""
        self._reader.seek_accurate(index)
        self.position = index

    def hop_to(self, index: int) -> None:
        """Skip to a later frame of the same group of pictures without converting those between, at half the cost.

        Across a key frame, decord lands on another frame for some files; even within a group, only files that passed
        the audit can be trusted.
        """
        if index > self.position:
            self._reader.skip_frames(index - self.position)
            self.position = index

    def skip_to(self, index: int) -> None:
        """Skip to a later frame by decoding."""
        while self.position < index:
            self._reader.next()
            self.position += 1

    def next(self) -> Frames:
        """Return the next frame, uint8 (height, width, 3), owned.

        For some widths (4, 6, 8, 12, 16, 24, 48 and 72 on x86) decord returns broken arrays; these are decoded a few
        times larger and averaged.
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
    """Reads files that decord reads exactly according to the scan; see also `decord_fits`."""

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
        except Exception as error:  # DECORDError, StopIteration, RuntimeError: decord has no common base class
            raise self._error(f"frame {index}: {error!r}") from error

    def _release(self) -> None:
        self._native = None


def decord_access(
    source: Source, seen: DecodePass, probes: Sequence[int], decord: Any, heartbeat: Callable[[], None]
) -> Access | None:
    """Decode the video again with decord, compare it with PyAV's decode pass, and test seeking to some frames.

    Returns:
        "random"; "forward" if only decoding from the first frame on is correct; None if decord is wrong or fails.
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
        seeks = len(seen.key_packets) != 1  # with a single key frame, seeking is never used
        for index in sorted(prints, reverse=seeks):
            heartbeat()
            (native.seek if seeks else native.hop_to)(index)
            if fingerprint(native.next()) != prints[index]:
                return "forward"
        return "random"
    except Exception:  # any error of decord means that PyAV is used
        return None


def _aligned(ours: NDArray[np.uint8], truth: NDArray[np.uint8]) -> bool:
    """Whether two decodes, (frames, 16, 16), show the same frame at each index, up to scaling noise.

    In every window of frames, the sum of differences must be smallest without a shift between the two.
    """
    a, b = ours.reshape(len(ours), -1).astype(np.int16), truth.reshape(len(truth), -1).astype(np.int16)
    here = np.abs(a - b).mean(axis=1)
    if not _windowed(here).max() < 16:  # different pictures
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
    """Whether key frames have the same indices in file order and display order, which decord assumes."""
    if any(pts is None for pts in seen.packet_pts):
        return False
    pts = np.asarray(seen.packet_pts, dtype=np.int64)
    ranks = np.argsort(np.argsort(pts, kind="stable"), kind="stable")
    return all(ranks[packet] == packet for packet in seen.key_packets) and len(pts) == len(seen.pts)
