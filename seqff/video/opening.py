"""Open a video with the reader that is exact on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from seqff.errors import VideoError
from seqff.video.arrays import ArrayReader
from seqff.video.decord_reader import DecordReader, decord_available, decord_fits, load_decord
from seqff.video.entry import Stamp, VideoEntry, video_info
from seqff.video.examine import examine, examine_there, stamp
from seqff.video.find import PathLikeStr, as_path
from seqff.video.images import ImagesReader
from seqff.video.pyav_reader import PyavReader
from seqff.video.reader import VideoInfo, VideoReader
from seqff.video.remote.address import address_of, shown
from seqff.video.remote.download_cache import local_file
from seqff.video.remote.filesystem import no_heartbeat
from seqff.video.shards import Part, split
from seqff.video.torchcodec_reader import TorchcodecReader, why_not_torchcodec

READERS: dict[str, Callable[[Any, VideoInfo, VideoEntry], VideoReader]] = {
    "decord": DecordReader,
    "pyav": PyavReader,
    "torchcodec": TorchcodecReader,
    "opencv": ImagesReader,
    "array": ArrayReader,
}
_LARGEST = 8192


def open_video(
    path: PathLikeStr,
    *,
    size: tuple[int, int] | None = None,
    reader: str = "auto",
    entry: VideoEntry | None = None,
    heartbeat: Callable[[], None] = no_heartbeat,
) -> VideoReader:
    """Open a video for reading by this thread.

    Args:
        path: a video, a folder of numbered images, a .npy / .npz file of frames, or a video in a tar file
            (`shard.tar/clips/a.mp4`); or an address (s3://, gs://, https://, ...), whose file is downloaded first.
        size: (height, width) px to which frames are resized; None keeps their size.
        reader: "auto" uses the fastest that is exact on this file at this size; "decord", "pyav" and
            "torchcodec" (optional, never used by "auto") require that one.
        entry: its entry in a manifest. Without it, the whole video is decoded once to determine the exact reader; the
            result is cached in this process until the file changes. The same happens for reader="decord", which a scan
            only tests if PyAV may not seek.
        heartbeat: called regularly while a remote file is downloaded.

    Returns:
        The reader; close it, or use it in a `with` block.

    Raises:
        FileNotFoundError: the file does not exist.
        VideoError: the file cannot be read or downloaded, or has changed since it was scanned.
        ValueError: an invalid size or reader.
    """
    file = as_path(path)
    height, width = checked_size(size) if size is not None else (0, 0)
    if reader not in ("auto", *READERS):
        raise ValueError(f"reader {reader!r} is unknown: choose one of auto, {', '.join(READERS)}")
    if entry is None:
        entry = _known_entry(file)
    else:
        check_unchanged(file, entry)
    if reader == "decord" and entry.reader == "pyav" and decord_available():
        tried = _known_entry(file, insist=True)
        entry = replace(entry, reader=tried.reader, access=tried.access)
    if not entry.frames:
        raise VideoError(shown(file), entry.reader or "scan", f"{entry.status}: {entry.cause}")
    name = choose_reader(file, entry, reader, height or entry.height, width or entry.width)
    info = video_info(shown(file), entry, size)
    try:
        lease = local_file(split(file)[0], entry.stamp.whole, heartbeat=heartbeat)
    except FileNotFoundError as error:
        raise VideoError(info.path, name, "gone since it was scanned") from error
    start, _ = entry.shard
    try:
        opened = READERS[name](Part(lease.path, start, entry.bytes) if start else str(lease.path), info, entry)
    except BaseException:
        lease.close()
        raise
    opened.on_close(lease.close)
    return opened


def checked_size(size: tuple[int, int]) -> tuple[int, int]:
    """Return (height, width) as integers; raises ValueError unless they are integers from 1 to 8192."""
    try:
        height, width = (int(side) for side in size)
        if (height, width) == tuple(size) and min(height, width) >= 1 and max(height, width) <= _LARGEST:
            return height, width
    except (TypeError, ValueError):
        pass
    raise ValueError(f"size must be (height, width), whole px from 1 to {_LARGEST}; got {size!r}")


def choose_reader(file: Path, entry: VideoEntry, reader: str, height: int, width: int) -> str:
    """Return the name of the reader that `open_video` uses.

    Raises:
        VideoError: the requested reader is not exact on this file, or not installed.
    """
    if reader == "auto":
        best, _ = entry.best
        fits = best != "decord" or (decord_available() and decord_fits(entry, height, width))
        return best if fits else "pyav"
    possible = ("decord", "pyav") if entry.reader == "decord" else (entry.reader,)
    cause = ""
    if reader == "torchcodec":
        cause = why_not_torchcodec(entry)
    elif reader not in possible:
        cause = f"this reader is not exact on this file; possible: {', '.join(possible)}"
    elif reader == "decord" and not decord_available():
        cause = "decord is not installed"
    if cause:
        raise VideoError(shown(file), reader, cause)
    return reader


def check_unchanged(file: Path, entry: VideoEntry) -> None:
    """Raise VideoError if a local file has changed since it was scanned; remote ones are checked when downloaded."""
    if address_of(file) is not None:
        return
    try:
        now = stamp(file)
    except OSError as error:
        raise VideoError(file, entry.reader or "scan", f"gone since it was scanned: {error.strerror}") from error
    if now != entry.stamp.whole:
        raise VideoError(file, entry.reader or "scan", "changed since it was scanned: scan again")


def _known_entry(file: Path, *, insist: bool = False) -> VideoEntry:
    try:
        now = stamp(file)
    except FileNotFoundError:
        raise FileNotFoundError(f"no such video: {shown(file)}") from None
    except OSError as error:
        raise VideoError(file, "scan", error.strerror or str(error)) from error
    return _examined(file if address_of(file) else file.resolve(), now, insist)


@lru_cache(maxsize=4096)
def _examined(file: Path, now: Stamp, insist: bool) -> VideoEntry:
    decord = load_decord() if decord_available() else None
    entry = examine_there(file, now, how=partial(examine, decord=decord, insist=insist))
    if address_of(file) is not None and not entry.frames:  # not cached: another download may succeed
        raise VideoError(shown(file), "scan", f"{entry.status}: {entry.cause}")
    return entry
