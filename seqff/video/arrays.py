"""Videos stored as .npy or .npz files of uint8 or uint16 frames; a .npz is decompressed while it is read."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from seqff.untrusted import open_plain
from seqff.video.container import MAX_PIXELS
from seqff.video.content import ContentStatistics
from seqff.video.entry import MOST_FRAMES, VideoEntry
from seqff.video.images import FPS, resized
from seqff.video.levels import Samples, to_uint8
from seqff.video.reader import Frames, VideoInfo, VideoReader, cause_of

ARRAY_EXTENSIONS = (".npy", ".npz")
_MOST_BYTES = 2**30  # limit for arrays that must be decompressed as a whole, because frames are not contiguous
_BLOCK_BYTES = 2**22


def parse_header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Read shape, Fortran order and dtype from the header of a .npy; raises ValueError if it is damaged."""
    try:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read(file)
        if not all(type(side) is int for side in shape):
            raise ValueError(f"shape {shape}")
    except Exception as error:  # Python's literal parser raises many kinds
        raise ValueError(f"not the header of an array: {str(error) or type(error).__name__:.200}") from error
    return shape, fortran, dtype


class PackedFrames:
    """Frames of an array in a .npz, read one by one.

    They are decompressed while they are read, with a heartbeat, so that a small file cannot exhaust the memory. The
    constructor and reads raise OSError, and ValueError if the file is damaged or too large to decompress at once.
    """

    def __init__(self, path: Path, name: str, heartbeat: Callable[[], None]) -> None:
        self._heartbeat = heartbeat
        with zipfile.ZipFile(path) as archive:
            self._file = archive.open(f"{name}.npy")
        self._shape, fortran, self._dtype = parse_header(self._file)
        self._begin = self._file.tell()
        self._whole: NDArray[Any] | None = None
        if fortran:
            count = int(np.prod(self._shape, dtype=object)) * self._dtype.itemsize
            if count > _MOST_BYTES:
                raise ValueError(f"{count} bytes in the order of Fortran are too many to unpack: save them as .npy")
            flat = np.frombuffer(self._read(0, count), self._dtype)
            self._whole = flat.reshape(self._shape[::-1]).transpose()

    def __iter__(self) -> Iterator[NDArray[Any]]:
        return (self[index] for index in range(self._shape[0]))

    def __getitem__(self, index: int) -> NDArray[Any]:
        if self._whole is not None:
            return np.ascontiguousarray(self._whole[index])
        size = int(np.prod(self._shape[1:], dtype=object)) * self._dtype.itemsize
        return np.frombuffer(self._read(index * size, size), self._dtype).reshape(self._shape[1:])

    def _read(self, at: int, count: int) -> bytearray:
        """Read `count` bytes in blocks, so that memory grows with the data and not with the header's claim."""
        data = bytearray()
        try:
            self._file.seek(self._begin + at)
            while len(data) < count:
                self._heartbeat()
                block = self._file.read(min(count - len(data), _BLOCK_BYTES))
                if not block:
                    raise ValueError("the archive ends before its frames do")
                data += block
        except (OSError, ValueError):
            raise
        except Exception as error:  # zlib, lzma and bz2 have their own errors
            raise ValueError(f"damaged: {error}") from error
        return data

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def why_no_frames(path: Path) -> str:
    """Return why a numpy file is not a video (other arrays may lie beside videos); "" if it is one."""
    try:
        _name_inside(path)
    except (OSError, ValueError) as error:
        return cause_of(error)
    return ""


def _name_inside(path: Path) -> str:
    """Return the name of the array of frames in a .npz, "" for a .npy; raises the errors of `load_frames`."""
    with open_plain(path) as file:
        if path.suffix.lower() == ".npy":
            _check(file)
            return ""
        try:
            with zipfile.ZipFile(file) as archive:
                names = [name for name in archive.namelist() if name.endswith(".npy")]
                if len(names) > 1:
                    names = [name for name in names if name in ("frames.npy", "video.npy")]
                if len(names) != 1:
                    raise ValueError("a .npz video holds one array, or one named 'frames' or 'video'")
                with archive.open(names[0]) as packed:
                    _check(packed)
            return names[0].removesuffix(".npy")
        except (OSError, ValueError):
            raise
        except Exception as error:  # other kinds of archives, encrypted or truncated ones
            raise ValueError(f"not an archive that can be read: {error}") from error


def _check(file: IO[bytes]) -> None:
    shape, _, dtype = parse_header(file)
    if (
        dtype.newbyteorder("=") not in (np.uint8, np.uint16)
        or len(shape) not in (3, 4)
        or (len(shape) == 4 and shape[3] not in (1, 3))
    ):
        raise ValueError(f"frames must be uint8 or uint16 (T, H, W) or (T, H, W, 3), got {dtype} {shape}")
    if min(shape) < 1 or shape[1] * shape[2] > MAX_PIXELS or shape[0] > MOST_FRAMES:
        limit = f"allowed are up to {MOST_FRAMES} of up to {MAX_PIXELS} px"
        raise ValueError(f"not an array of frames: it claims {shape[0]} of {shape[1]} x {shape[2]} px; {limit}")


def load_frames(path: Path, heartbeat: Callable[[], None] = lambda: None) -> Samples | PackedFrames:
    """Open the frames, uint8 or uint16 (T, H, W) or (T, H, W, 1 or 3), on disk; raises ValueError or OSError."""
    try:
        name = _name_inside(path)
        if name:
            return PackedFrames(path, name, heartbeat)
        frames: Samples = np.load(path, mmap_mode="r", allow_pickle=False)
    except (EOFError, OverflowError) as error:
        raise ValueError(f"damaged: {error}") from error
    return frames


def describe(entry: VideoEntry, path: Path, heartbeat: Callable[[], None]) -> VideoEntry:
    """Read all frames of an array once; see `seqff.video.examine.examine`."""
    seen = ContentStatistics()
    for frame in load_frames(path, heartbeat):
        heartbeat()
        seen.add(_with_channels(frame), transparent=False)
    return seen.described(
        entry,
        status="ok",
        cause="; ".join(seen.remarks()),
        fps=FPS,
        codec="array",
        container="array",
        reader="array",
        access="random",
    )


class ArrayReader(VideoReader):
    """Reads frames from a .npy or .npz file."""

    name = "array"

    def __init__(self, path: str, info: VideoInfo, entry: VideoEntry) -> None:
        super().__init__(info)
        self._levels = entry.levels
        try:
            self._frames: Samples | PackedFrames | None = load_frames(Path(path))
        except (OSError, ValueError) as error:
            raise self._error(error) from error

    def _frame(self, index: int) -> Frames:
        assert self._frames is not None
        try:
            samples = _with_channels(self._frames[index])
        except (OSError, ValueError) as error:
            raise self._error(f"frame {index}: {error}") from error
        frame = np.broadcast_to(to_uint8(samples, self._levels), (*samples.shape[:2], 3))
        return np.array(resized(np.ascontiguousarray(frame), self._info.height, self._info.width))

    def _release(self) -> None:
        if isinstance(self._frames, PackedFrames):
            self._frames.close()
        self._frames = None


def _with_channels(frame: Samples) -> Samples:
    return frame[..., None] if frame.ndim == 2 else frame
