"""decord, only for files on which the scan has proven its indices."""

from __future__ import annotations

import importlib.util
from bisect import bisect_right
from functools import cache
from typing import Any

import numpy as np

from seqff.video.base import FrameReader
from seqff.video.entry import VideoEntry
from seqff.video.info import Frames, VideoInfo
from seqff.video.source import check_no_script, local_url

_NEAR = 24  # frames: decord's seek decodes more than this many by itself
_QUEUE_BYTES = 2**28


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
    """Imports decord, after torch (the other order has been seen to crash), and keeps it from printing."""
    import torch  # noqa: F401

    return quiet_decord()


def quiet_decord() -> Any:
    """Imports decord, for processes that never use torch.

    OpenCV is imported first: decord loads a zlib of its own, of 2005, for the whole process, and the libpng of an
    OpenCV that comes after it then fails on every PNG.
    """
    import cv2  # noqa: F401
    import decord

    decord.logging.set_level(decord.logging.QUIET)
    return decord


class NativeDecord:
    """decord's own reader with its traps taken out; moves forward, or seeks where told that it may.

    Args:
        path: the file.
        height: px, after rotation.
        width: px, after rotation.
        decord: the module.
    """

    def __init__(self, path: str, height: int, width: int, decord: Any) -> None:
        check_no_script(path)
        self.shape = (height, width, 3)
        self._arguments = (local_url(path), decord)
        self._factor = 1
        self._open()

    def _open(self) -> None:
        path, decord = self._arguments
        height, width = self.shape[0] * self._factor, self.shape[1] * self._factor
        self._reader = decord.VideoReader(path, ctx=decord.cpu(0), height=height, width=width, num_threads=1)
        self.position = 0

    def seek(self, index: int) -> None:
        """Goes to a frame; only exact on the files the audit found so."""
        self._reader.seek_accurate(index)
        self.position = index

    def restart(self) -> None:
        """Goes to the first frame by opening anew, which never goes wrong."""
        self._open()

    def hop_to(self, index: int) -> None:
        """Goes to a later frame of the same group of pictures without converting those between: half the work.

        Across a key frame decord lands elsewhere on some files, and even in a group only those the audit has passed
        may be trusted.
        """
        if index > self.position:
            self._reader.skip_frames(index - self.position)
            self.position = index

    def skip_to(self, index: int) -> None:
        """Decodes on to a later frame."""
        while self.position < index:
            self._reader.next()
            self.position += 1

    def next(self) -> Frames:
        """Returns the next frame, uint8 (height, width, 3), owned.

        Some widths (4, 6, 8, 12, 16, 24, 48 and 72 on x86) come out of decord as broken arrays: those are decoded a
        few times larger and averaged.
        """
        while True:
            frame: Frames = self._reader.next().asnumpy()
            k, (height, width, _) = self._factor, self.shape
            if frame.shape == (height * k, width * k, 3):
                self.position += 1
                return frame if k == 1 else _block_means(frame, k)
            if k >= 16:
                raise ValueError(f"decord cannot make frames of {height} x {width} px")
            back_to = self.position
            self._factor = k + 1
            self._open()
            self.skip_to(back_to)


def _block_means(frame: Frames, k: int) -> Frames:
    height, width, _ = frame.shape
    blocks = frame.reshape(height // k, k, width // k, k, 3).astype(np.uint32)
    means: Frames = ((blocks.sum(axis=(1, 3)) + k * k // 2) // (k * k)).astype(np.uint8)
    return means


class DecordReader(FrameReader):
    """Reads through decord; see `decord_fits` for when.

    Args:
        path: the file.
        info: what `VideoReader.info` shows.
        entry: of the scan, with reader "decord".
    """

    name = "decord"

    def __init__(self, path: str, info: VideoInfo, entry: VideoEntry) -> None:
        super().__init__(info)
        self._keys: list[int] = entry.key_frames.tolist() if entry.access == "random" else []
        try:
            self._native: NativeDecord | None = NativeDecord(path, info.height, info.width, load_decord())
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
