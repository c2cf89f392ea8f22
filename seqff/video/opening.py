"""Opening one video with the reader that is exact on it."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from seqff.errors import VideoError
from seqff.video.arrays import ArrayReader
from seqff.video.decord_reader import DecordReader, decord_available, decord_fits, load_decord
from seqff.video.entry import VideoEntry, video_info
from seqff.video.examine import examine, stamp
from seqff.video.find import PathLikeStr, as_path
from seqff.video.images import ImagesReader
from seqff.video.info import VideoReader
from seqff.video.pyav_reader import PyavReader
from seqff.video.torchcodec_reader import TorchcodecReader, why_not_torchcodec

READERS = ("auto", "decord", "pyav", "torchcodec", "opencv", "array")
_LARGEST = 8192


def open_video(
    path: PathLikeStr,
    *,
    size: tuple[int, int] | None = None,
    reader: str = "auto",
    entry: VideoEntry | None = None,
) -> VideoReader:
    """Opens a video for reading by this thread.

    Args:
        path: a video, a folder of numbered images, or a .npy / .npz file of uint8 frames.
        size: (height, width) px that every frame is resized to; None leaves them as they are.
        reader: "auto" takes the fastest that is exact on this file at this size; "decord", "pyav" and
            "torchcodec" (optional, never taken by "auto") insist on one.
        entry: of the video, from a manifest. Without it the whole video is decoded once now to find out which reader
            is exact, which is remembered as long as the process lives and the file does not change.

    Returns:
        The reader; close it or use it in a `with`.

    Raises:
        FileNotFoundError: there is no such file.
        VideoError: it cannot be read, or has changed since it was scanned.
        ValueError: the size or the reader is none that can be had.
    """
    file = as_path(path)
    height, width = checked_size(size) if size is not None else (0, 0)
    if reader not in READERS:
        raise ValueError(f"reader {reader!r} is unknown: choose one of {', '.join(READERS)}")
    entry = _known_entry(file) if entry is None else still_valid(file, entry)
    if not entry.frames:
        raise VideoError(file, entry.reader or "scan", f"{entry.status}: {entry.cause}")
    name = choose_reader(file, entry, reader, height or entry.height, width or entry.width)
    info = video_info(str(file), entry, size)
    if name == "decord":
        return DecordReader(str(file), info, entry)
    if name == "pyav":
        return PyavReader(str(file), info, entry)
    if name == "torchcodec":
        return TorchcodecReader(str(file), info, entry)
    return ImagesReader(str(file), info) if name == "opencv" else ArrayReader(str(file), info)


def checked_size(size: tuple[int, int]) -> tuple[int, int]:
    """Returns (height, width) as integers.

    Raises:
        ValueError: it is not a pair of whole numbers from 1 to 8192.
    """
    try:
        height, width = (int(side) for side in size)
        if (height, width) == tuple(size) and min(height, width) >= 1 and max(height, width) <= _LARGEST:
            return height, width
    except (TypeError, ValueError):
        pass
    raise ValueError(f"size must be (height, width), whole px from 1 to {_LARGEST}; got {size!r}")


def choose_reader(file: Path, entry: VideoEntry, reader: str, height: int, width: int) -> str:
    """Returns the name of the reader that `open_video` takes.

    Raises:
        VideoError: the reader asked for is not exact on this file, or not installed.
    """
    if reader == "auto":
        best, _ = entry.best
        if best == "decord" and not (decord_available() and decord_fits(entry, height, width)):
            return "pyav"
        return best
    if reader == "torchcodec":
        cause = why_not_torchcodec(entry)
        if cause:
            raise VideoError(file, reader, cause)
        return reader
    possible = ("decord", "pyav") if entry.reader == "decord" else (entry.reader,)
    if reader not in possible:
        cause = f"this reader is not exact on this file; possible: {', '.join(possible)}"
        raise VideoError(file, reader, cause)
    if reader == "decord" and not decord_available():
        raise VideoError(file, reader, "decord is not installed")
    return reader


def still_valid(file: Path, entry: VideoEntry) -> VideoEntry:
    """Returns the entry of a file that is still the one that was scanned.

    Raises:
        VideoError: it has changed or is gone.
    """
    try:
        now = stamp(file)
    except OSError as error:
        raise VideoError(file, entry.reader or "scan", f"gone since it was scanned: {error.strerror}") from error
    if now != (entry.bytes, entry.mtime_ns):
        raise VideoError(file, entry.reader or "scan", "changed since it was scanned: scan again")
    return entry


def _known_entry(file: Path) -> VideoEntry:
    try:
        size, mtime_ns = stamp(file)
    except FileNotFoundError:
        raise FileNotFoundError(f"no such video: {file}") from None
    except OSError as error:
        raise VideoError(file, "scan", error.strerror or str(error)) from error
    return _examined(file.resolve(), size, mtime_ns)


@lru_cache(maxsize=4096)
def _examined(file: Path, size: int, mtime_ns: int) -> VideoEntry:
    return examine(file, decord=load_decord() if decord_available() else None)
