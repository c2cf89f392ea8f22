"""Formats of cache files: raw frames or JPEGs, each frame with a checksum."""

from __future__ import annotations

import io
import os
import zlib
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import IO, cast

import numpy as np
from numpy.typing import NDArray

from seqff.video.reader import Frames

_JPEG_QUALITY = 90
_JPEG_BYTES_A_PIXEL, _JPEG_BYTES_A_FRAME = 0.5, 700  # measured: 0.35 bytes per pixel at 112 px, without headers
_PIECE_BYTES = 2**19  # read and checksummed at a time, so that the data is still in the CPU cache
_SALT = np.uint64(0x5EEDF00D5EEDF00D)  # so that zeros do not have a valid checksum
_TABLE = np.dtype([("start", "<u8"), ("bytes", "<u4"), ("crc", "<u4")])


class DamagedCacheError(Exception):
    """A cache file differs from what was written."""


class U8File:
    """Raw frames: a .npy file (frames, height, width, 3), followed by a checksum of 8 bytes for each frame.

    Frames are read, not memory-mapped: if another program truncates a mapped file, the process is killed. The
    constructor raises FileNotFoundError, and DamagedCacheError if the file is not complete or has another shape.
    """

    suffix = ".npy"

    def __init__(self, path: Path, frames: int, height: int, width: int) -> None:
        header = _u8_header(frames, height, width)
        self._frame_bytes, self._first = height * width * 3, len(header)
        self._sums_at = len(header) + frames * self._frame_bytes
        self._file = path.open("rb")
        whole = U8File.estimate_bytes(frames, height, width)
        if os.fstat(self._file.fileno()).st_size != whole or self._file.read(len(header)) != header:
            self._file.close()
            raise DamagedCacheError(f"not a whole file of {frames} frames of {height} x {width} px")

    def read(self, start: int, out: Frames) -> None:
        """Read frames from `start` on into `out` (count, height, width, 3), contiguous; raises if one is damaged."""
        self._file.seek(self._sums_at + 8 * start)
        sums = self._file.read(8 * len(out))
        self._file.seek(self._first + start * self._frame_bytes)
        flat = out.reshape(len(out), self._frame_bytes)
        count = max(1, _PIECE_BYTES // self._frame_bytes)
        for first in range(0, len(flat), count):
            piece = flat[first : first + count]
            expected = sums[8 * first : 8 * (first + count)]
            if self._file.readinto(piece.data) != piece.nbytes or frame_sums(piece).tobytes() != expected:
                raise DamagedCacheError(f"a frame from {start + first} on is not what was written")

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    @staticmethod
    def write(file: IO[bytes], frames: Iterable[Frames], count: int, height: int, width: int) -> None:
        """Write `count` frames, each uint8 (height, width, 3)."""
        file.write(_u8_header(count, height, width))
        sums = []
        for frame in frames:
            flat = np.ascontiguousarray(frame).reshape(1, -1)
            file.write(flat.data)
            sums.append(frame_sums(flat))
        file.write(np.concatenate(sums).tobytes())

    @staticmethod
    def estimate_bytes(frames: int, height: int, width: int) -> int:
        """Return the exact size of a file."""
        return len(_u8_header(frames, height, width)) + frames * (height * width * 3 + 8)


@lru_cache(maxsize=1024)
def _u8_header(frames: int, height: int, width: int) -> bytes:
    with io.BytesIO() as file:
        shape = (frames, height, width, 3)
        np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
        return file.getvalue()


def frame_sums(flat: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Checksum each row of (frames, bytes), contiguous: 64-bit words times odd weights, summed modulo 2**64.

    Any change within one word changes the sum, and other changes almost surely. Five times faster than a CRC, which
    would take longer than reading.
    """
    if flat.shape[1] % 8:
        flat = np.pad(flat, ((0, 0), (0, -flat.shape[1] % 8)))
    words = flat.view("<u8")
    sums = np.einsum("ij,j->i", words, _weights(words.shape[1])) + _SALT
    return np.asarray(sums, dtype="<u8")


@lru_cache(maxsize=8)
def _weights(words: int) -> NDArray[np.uint64]:
    spread = np.arange(1, words + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    return cast(NDArray[np.uint64], (spread ^ (spread >> np.uint64(29))) | np.uint64(1))


class JpegFile:
    """Consecutive JPEGs, after a table of their offsets and CRCs; same interface as `U8File`."""

    suffix = ".jpegs"

    def __init__(self, path: Path, frames: int, height: int, width: int) -> None:
        self._shape = (height, width, 3)
        self._file = path.open("rb")
        data = self._file.read(frames * _TABLE.itemsize)
        crc = self._file.read(4)
        self._table = np.frombuffer(data[: len(data) // _TABLE.itemsize * _TABLE.itemsize], dtype=_TABLE)
        sound = len(self._table) == frames and crc == _crc_bytes(data)
        end = int(self._table["start"][-1]) + int(self._table["bytes"][-1]) if sound else -1
        if os.fstat(self._file.fileno()).st_size != end:
            self._file.close()
            raise DamagedCacheError(f"not a whole file of {frames} frames")

    def read(self, start: int, out: Frames) -> None:
        """Read frames from `start` on into `out`; see `U8File.read`."""
        for place, (offset, size, crc) in enumerate(self._table[start : start + len(out)].tolist()):
            self._file.seek(offset)
            data = self._file.read(size)
            frame = _from_jpeg(data) if zlib.crc32(data) == crc else None
            if frame is None or frame.shape != self._shape:
                raise DamagedCacheError(f"frame {start + place} is not what was written")
            out[place] = frame

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    @staticmethod
    def write(file: IO[bytes], frames: Iterable[Frames], count: int, height: int, width: int) -> None:
        """Write `count` frames, each uint8 (height, width, 3)."""
        table = np.zeros(count, dtype=_TABLE)
        start = table.nbytes + 4
        file.seek(start)
        for place, frame in enumerate(frames):
            data = _to_jpeg(frame)
            table[place] = (start, len(data), zlib.crc32(data))
            file.write(data)
            start += len(data)
        file.seek(0)
        file.write(table.tobytes() + _crc_bytes(table.tobytes()))

    @staticmethod
    def estimate_bytes(frames: int, height: int, width: int) -> int:
        """Return an estimate of the size of a file; noisy videos may take more."""
        return int(frames * (height * width * _JPEG_BYTES_A_PIXEL + _JPEG_BYTES_A_FRAME))


def _crc_bytes(data: bytes) -> bytes:
    return zlib.crc32(data).to_bytes(4, "little")


def _to_jpeg(frame: Frames) -> bytes:
    import cv2

    done, data = cv2.imencode(".jpg", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    if not done:
        raise ValueError(f"OpenCV cannot make a JPEG of a frame of {frame.shape}")
    return bytes(data)


def _from_jpeg(data: bytes) -> Frames | None:
    import cv2

    image = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_COLOR)
    return None if image is None else np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), dtype=np.uint8)


CACHE_FILES: dict[str, type[U8File] | type[JpegFile]] = {"u8": U8File, "jpeg": JpegFile}
