"""A .npy or .npz file of uint8 or uint16 frames as a video."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import IO

import numpy as np

from seqff.untrusted import open_plain
from seqff.video.archive import PackedFrames, parse_header
from seqff.video.base import FrameReader, cause_of
from seqff.video.checking import MOST_FRAMES
from seqff.video.entry import VideoEntry
from seqff.video.images import FPS, resized
from seqff.video.info import Frames, VideoInfo
from seqff.video.levels import DECLARED, Levels
from seqff.video.picture import Samples, shown
from seqff.video.picture_facts import PictureFacts
from seqff.video.source import MAX_PIXELS

ARRAY_EXTENSIONS = (".npy", ".npz")


def is_array(path: Path) -> bool:
    """Whether the name is that of a numpy file."""
    return path.suffix.lower() in ARRAY_EXTENSIONS


def why_no_frames(path: Path) -> str:
    """Returns why a numpy file is no video, as other arrays may well lie beside videos; "" if it is one."""
    try:
        _member(path)
    except (OSError, ValueError) as error:
        return cause_of(error)
    return ""


def _member(path: Path) -> str:
    """Returns the name of the array with the frames within a .npz, "" for a .npy.

    Raises:
        ValueError: it is not uint8 or uint16 (T, H, W), (T, H, W, 1) or (T, H, W, 3), or damaged.
        OSError: it cannot be read, or is no file.
    """
    with open_plain(path) as file:
        if path.suffix.lower() == ".npy":
            _check(file)
            return ""
        try:
            return _member_of(file)
        except (OSError, ValueError):
            raise
        except Exception as error:  # archives of other kinds, with passwords, cut short
            raise ValueError(f"not an archive that can be read: {error}") from error


def _member_of(file: IO[bytes]) -> str:
    with zipfile.ZipFile(file) as archive:
        names = [name for name in archive.namelist() if name.endswith(".npy")]
        if len(names) > 1:
            names = [name for name in names if name in ("frames.npy", "video.npy")]
        if len(names) != 1:
            raise ValueError("a .npz video holds one array, or one named 'frames' or 'video'")
        with archive.open(names[0]) as packed:
            _check(packed)
    return names[0].removesuffix(".npy")


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


def load_frames(path: Path, beat: Callable[[], None] = lambda: None) -> Samples | PackedFrames:
    """Opens the frames, uint8 or uint16 (T, H, W) or (T, H, W, 1 or 3); they stay on disk.

    Raises:
        ValueError: the file holds something else or is damaged.
        OSError: it cannot be read.
    """
    try:
        name = _member(path)
        if name:
            return PackedFrames(path, name, beat)
        frames: Samples = np.load(path, mmap_mode="r", allow_pickle=False)
    except (EOFError, OverflowError) as error:
        raise ValueError(f"damaged: {error}") from error
    return frames


def describe(entry: VideoEntry, path: Path, beat: Callable[[], None]) -> VideoEntry:
    """Reads all frames of an array once; see `seqff.video.examine.examine`."""
    seen = PictureFacts()
    for frame in load_frames(path, beat):
        beat()
        seen.note(_with_channels(frame), transparent=False)
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
            self._frames: Samples | PackedFrames | None = load_frames(Path(path))
        except (OSError, ValueError) as error:
            raise self._error(error) from error

    def _frame(self, index: int) -> Frames:
        assert self._frames is not None
        try:
            samples = _with_channels(self._frames[index])
        except (OSError, ValueError) as error:
            raise self._error(f"frame {index}: {error}") from error
        frame = np.broadcast_to(shown(samples, self._levels), (*samples.shape[:2], 3))
        return np.array(resized(np.ascontiguousarray(frame), self._info.height, self._info.width))

    def _release(self) -> None:
        if isinstance(self._frames, PackedFrames):
            self._frames.close()
        self._frames = None


def _with_channels(frame: Samples) -> Samples:
    return frame[..., None] if frame.ndim == 2 else frame
