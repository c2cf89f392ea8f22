"""A .npy or .npz file of uint8 or uint16 frames as a video."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from pathlib import Path
from typing import IO

import numpy as np

from seqff.video.base import FrameReader, cause_of
from seqff.video.entry import VideoEntry
from seqff.video.images import FPS, resized
from seqff.video.info import Frames, VideoInfo
from seqff.video.levels import DECLARED, Levels
from seqff.video.picture import Samples, shown
from seqff.video.picture_facts import PictureFacts
from seqff.video.source import MAX_PIXELS

ARRAY_EXTENSIONS = (".npy", ".npz")
_MAX_BYTES = 2**32  # a .npz is unpacked into memory as a whole


def is_array(path: Path) -> bool:
    """Whether the name is that of a numpy file."""
    return path.suffix.lower() in ARRAY_EXTENSIONS


def why_no_frames(path: Path) -> str:
    """Returns why a numpy file is no video, as other arrays may well lie beside videos; "" if it is one."""
    try:
        _member(path)
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        return cause_of(error)
    return ""


def _member(path: Path) -> str:
    """Returns the name of the array with the frames within a .npz, "" for a .npy.

    Raises:
        ValueError: it is not uint8 or uint16 (T, H, W), (T, H, W, 1) or (T, H, W, 3).
    """
    if path.suffix.lower() == ".npy":
        with path.open("rb") as file:
            shape, dtype = _header(file)
        _check(shape, dtype)
        return ""
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if name.endswith(".npy")]
        if len(names) > 1:
            names = [name for name in names if name in ("frames.npy", "video.npy")]
        if len(names) != 1:
            raise ValueError("a .npz video holds one array, or one named 'frames' or 'video'")
        with archive.open(names[0]) as file:
            shape, dtype = _header(file)
    _check(shape, dtype)
    if np.prod(shape, dtype=float) > _MAX_BYTES:
        raise ValueError(f"frames of shape {shape} are too many to unpack: save them as .npy")
    return names[0].removesuffix(".npy")


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[np.generic]]:
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(file)
    return shape, dtype


def _check(shape: tuple[int, ...], dtype: np.dtype[np.generic]) -> None:
    if (
        dtype.newbyteorder("=") not in (np.uint8, np.uint16)
        or len(shape) not in (3, 4)
        or (len(shape) == 4 and shape[3] not in (1, 3))
    ):
        raise ValueError(f"frames must be uint8 or uint16 (T, H, W) or (T, H, W, 3), got {dtype} {shape}")
    if 0 in shape or shape[1] * shape[2] > MAX_PIXELS:
        raise ValueError(f"frames of {shape[1]} x {shape[2]} px, {shape[0]} of them")


def load_frames(path: Path) -> Samples:
    """Opens the frames, uint8 or uint16 (T, H, W, 1 or 3); a .npy stays on disk.

    Raises:
        ValueError: the file holds something else or is damaged.
        OSError: it cannot be read.
    """
    try:
        name = _member(path)
        if name:
            with np.load(path, allow_pickle=False) as archive:
                frames: Samples = archive[name]
        else:
            frames = np.load(path, mmap_mode="r", allow_pickle=False)
    except (zipfile.BadZipFile, EOFError) as error:
        raise ValueError(f"damaged: {error}") from error
    return frames[..., None] if frames.ndim == 3 else frames


def describe(entry: VideoEntry, path: Path) -> VideoEntry:
    """Reads all frames of an array once; see `seqff.video.examine.examine`."""
    frames = load_frames(path)
    seen = PictureFacts()
    for frame in frames:
        seen.note(frame, transparent=False)
    return replace(
        seen.described(entry),
        status="ok",
        cause="; ".join(seen.remarks()),
        fps=FPS,
        codec="array",
        container="array",
        reader="array",
        access="random",
    )


class ArrayReader(FrameReader):
    """Reads frames out of a .npy or .npz file.

    Args:
        path: the file.
        info: what `VideoReader.info` shows.
        levels: of frames of 16 bits; see `VideoEntry`.
    """

    name = "array"

    def __init__(self, path: str, info: VideoInfo, levels: Levels = DECLARED) -> None:
        super().__init__(info)
        self._levels = levels
        try:
            self._frames: Samples | None = load_frames(Path(path))
        except (OSError, ValueError) as error:
            raise self._error(error) from error

    def _frame(self, index: int) -> Frames:
        assert self._frames is not None
        frame = np.broadcast_to(shown(self._frames[index], self._levels), (*self._frames.shape[1:3], 3))
        return np.array(resized(np.ascontiguousarray(frame), self._info.height, self._info.width))

    def _release(self) -> None:
        self._frames = None
