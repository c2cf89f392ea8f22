"""The frame cache: decoded frames on disk, so that each video is decoded once instead of once per epoch."""

from __future__ import annotations

import errno
import hashlib
import importlib.metadata
import json
import logging
import shutil
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Literal, cast

import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from seqff.errors import SeqffError, VideoError, size_text
from seqff.terminal import counted, printable
from seqff.video.cache_files import CACHE_FILES, DamagedCacheError, JpegFile, U8File
from seqff.video.entry import VideoEntry, video_info
from seqff.video.find import CACHE, PathLikeStr, as_path, cache_folder
from seqff.video.manifest import FORMAT as MANIFEST_FORMAT
from seqff.video.manifest import Manifest
from seqff.video.opening import check_unchanged, checked_size, choose_reader, open_video
from seqff.video.reader import Frames, Indices, VideoReader
from seqff.video.remote.address import shown
from seqff.video.remote.filesystem import no_heartbeat
from seqff.video.scanning import cores

Cache = Literal["none", "u8", "jpeg"]
SizeOf = Callable[[VideoEntry], tuple[int, int]]

_FORMAT = 1
"""Increased whenever files of earlier versions become unreadable."""
_RESERVE_BYTES = 2**28  # disk space left free
_STALE_SECONDS = 24 * 3600
_PACKAGES = {"decord": "decord", "pyav": "av", "opencv": "opencv-python", "array": "numpy"}

_log = logging.getLogger("seqff.video")


def open_cached(
    path: PathLikeStr,
    entry: VideoEntry,
    *,
    size: tuple[int, int] | None,
    cache: Cache = "none",
    folder: PathLikeStr | None = None,
    heartbeat: Callable[[], None] = no_heartbeat,
) -> VideoReader:
    """Open a video for reading by this thread, from the cache if one is requested.

    A video that is missing from the cache, or damaged there, is decoded completely and written first. Several processes
    may share a folder.

    Args:
        path: the video.
        entry: its entry in a manifest.
        size: (height, width) px to which frames are resized; None keeps their size.
        cache: "none" decodes; "u8" stores raw frames (3 bytes per pixel); "jpeg" takes an eighth of that or less, but
            is lossy.
        folder: folder of the cache; by default `frames` in $SEQFF_CACHE or ~/.cache/seqff. It may be deleted any time.
        heartbeat: called regularly while a remote file that is not cached is downloaded.

    Returns:
        The reader; close it, or use it in a `with` block.

    Raises:
        VideoError: the video cannot be read, or has changed since it was scanned.
        SeqffError: the disk is full.
        ValueError: an invalid size or cache.
    """
    _check_cache(cache)
    if cache == "none" or not entry.frames:
        return open_video(path, size=size, entry=entry, heartbeat=heartbeat)
    file = as_path(path)
    size = checked_size(size) if size is not None else (entry.height, entry.width)
    check_unchanged(file, entry)
    return CachedReader(_CachedVideo(file, entry, size, cache, _as_folder(folder), heartbeat))


def fill_cache(
    manifest: Manifest,
    *,
    size_of: SizeOf,
    cache: Cache,
    folder: PathLikeStr | None = None,
    progress: bool = True,
    workers: int | None = None,
) -> dict[str, str]:
    """Decode every usable video that is not in the cache yet; an interrupted call can be repeated to continue.

    Args:
        manifest: manifest of the videos.
        size_of: returns the (height, width) px at which a video is decoded.
        cache: "u8" or "jpeg"; see `open_cached`.
        folder: folder of the cache; by default `frames` in $SEQFF_CACHE or ~/.cache/seqff.
        progress: print the disk space needed, and show a progress bar if stderr is a terminal.
        workers: number of decoding threads; by default one per core.

    Returns:
        The error message of each video that could not be decoded, by its path in the manifest.

    Raises:
        SeqffError: the disk has too little space for all videos; checked before anything is written.
        ValueError: an invalid argument.
    """
    _check_cache(cache)
    if cache == "none":
        raise ValueError("cache 'none' cannot be filled: choose u8 or jpeg")
    if workers is not None and workers < 1:
        raise ValueError(f"workers must be at least 1, got {workers}")
    place = _as_folder(folder)
    entries: dict[str, VideoEntry] = {}
    for entry in manifest.usable:  # copies share a file
        entries.setdefault(entry.content_hash or entry.path, entry)
    wanted = [
        _CachedVideo(manifest.path(entry), entry, checked_size(size_of(entry)), cache, place)
        for entry in sorted(entries.values(), key=lambda entry: entry.path)
    ]
    todo = [video for video in wanted if not video.file.exists()]
    needed = sum(video.estimated_bytes for video in todo)
    if progress:
        there = f"{len(wanted) - len(todo)} of {counted(len(wanted), 'video')} in {printable(str(place))}"
        tqdm.write(f"cache: {there}; the others take about {size_text(needed)}", file=sys.stderr)
    _check_room(needed, place, counted(len(todo), "video"))
    if todo:
        _make_folder(place)
    _remove_stale(place)
    failed: dict[str, str] = {}
    with (
        ThreadPoolExecutor(workers or cores()) as threads,  # decoders release the GIL
        tqdm(desc="cache", total=len(todo), unit="video", disable=None if progress else True) as bar,
    ):
        running = {threads.submit(_ensure, video): video for video in wanted}
        try:
            for future in as_completed(running):
                try:
                    bar.update(future.result())
                except VideoError as error:
                    failed[running[future].entry.path] = str(error)
                    _log.warning("not in the cache: %s", error)
        except BaseException:
            threads.shutdown(wait=False, cancel_futures=True)
            raise
    return failed


def _ensure(video: _CachedVideo) -> int:
    """Create the file if it is missing or damaged; return whether it was missing."""
    missing = not video.file.exists()
    video.open().close()
    return int(missing)


def _remove_stale(folder: Path) -> None:
    """Remove partial files of killed processes."""
    for partial in folder.glob(".*.partial"):
        try:
            if time.time() - partial.stat().st_mtime > _STALE_SECONDS:
                partial.unlink()
        except FileNotFoundError:  # another process was faster
            continue


def _check_cache(cache: str) -> None:
    if cache not in ("none", *CACHE_FILES):
        raise ValueError(f"cache {cache!r} is unknown: choose one of none, {', '.join(CACHE_FILES)}")


def _as_folder(folder: PathLikeStr | None) -> Path:
    return cache_folder() / "frames" if folder is None else as_path(folder)


def _check_room(needed: int, folder: Path, what: str) -> None:
    there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    free = shutil.disk_usage(there).free
    if needed > free - _RESERVE_BYTES:
        raise SeqffError(
            f"the cache of {what} takes about {size_text(needed)}, and the disk of {folder} has {size_text(free)} "
            f"free (of which {size_text(_RESERVE_BYTES)} are kept): make room, choose another folder, a smaller "
            "size, cache='jpeg' or cache='none'"
        )


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise SeqffError(
            f"the cache of frames {folder} cannot be written ({error.strerror}): set the environment variable {CACHE} "
            "to a folder that can be, or pairs.cache to none"
        ) from error


class _CachedVideo:
    """A video at one size, (height, width) px, in a cache folder, stored as "u8" or "jpeg"."""

    def __init__(
        self,
        path: Path,
        entry: VideoEntry,
        size: tuple[int, int],
        cache: str,
        folder: Path,
        heartbeat: Callable[[], None] = no_heartbeat,
    ) -> None:
        self.path, self.entry, self.size, self._heartbeat = path, entry, size, heartbeat
        self._kind, self._shape = CACHE_FILES[cache], (entry.frames, *size)
        self.file = folder / f"{self._key(cache)}{self._kind.suffix}"

    @property
    def estimated_bytes(self) -> int:
        """Disk space of the file, existing or not."""
        return self._kind.estimate_bytes(*self._shape)

    def open(self) -> U8File | JpegFile:
        """Open the file; if it is missing or damaged, write it first."""
        try:
            return self._kind(self.file, *self._shape)
        except (FileNotFoundError, NotADirectoryError):
            pass
        except DamagedCacheError as damage:
            self.warn(damage)
        self.write()
        return self._kind(self.file, *self._shape)

    def warn(self, damage: DamagedCacheError) -> None:
        """Log that the file is damaged."""
        _log.warning("%s in the cache is damaged (%s): decoding %s again", self.file.name, damage, self.path)

    def write(self) -> None:
        """Decode the video and write the file atomically."""
        _check_room(self.estimated_bytes, self.file.parent, str(self.path))
        _make_folder(self.file.parent)
        partial = self.file.with_name(f".{self.file.name}.{uuid.uuid4().hex}.partial")
        try:
            opened = open_video(self.path, size=self.size, entry=self.entry, heartbeat=self._heartbeat)
            with opened as video, partial.open("wb") as file:
                self._kind.write(file, video, *self._shape)
            partial.replace(self.file)
        except OSError as error:
            if error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", None)):
                raise SeqffError(f"the disk of {self.file.parent} is full: cannot cache {self.path}") from error
            raise
        finally:
            partial.unlink(missing_ok=True)

    def _key(self, cache: str) -> str:
        entry, reader = self.entry, choose_reader(self.path, self.entry, "auto", *self.size)
        content = entry.content_hash or [str(self.path), entry.bytes, entry.mtime_ns]
        how = [reader, _version(reader), entry.orientation, entry.levels, MANIFEST_FORMAT, _FORMAT, cache]
        name = json.dumps([content, self._shape, how])
        return hashlib.blake2b(name.encode(errors="surrogateescape"), digest_size=16).hexdigest()


@lru_cache
def _version(reader: str) -> str:
    try:
        return importlib.metadata.version(_PACKAGES[reader])
    except importlib.metadata.PackageNotFoundError:  # e.g. opencv-python-headless is installed instead
        return ""


class CachedReader(VideoReader):
    """Reads frames from the cache, which is filled on demand; a damaged file is decoded again."""

    name = "cache"

    def __init__(self, video: _CachedVideo) -> None:
        super().__init__(video_info(shown(video.path), video.entry, video.size))
        self._video, self._file = video, video.open()

    def at(self, indices: Indices, out: Frames | None = None) -> Frames:
        """Return exactly these frames, in this order; see `VideoReader.at`."""
        wanted = self._checked(indices)
        frames = self._buffer(len(wanted), out)
        unique, places = np.unique(wanted, return_inverse=True)
        if np.array_equal(unique, wanted):
            return self._sound(unique, frames)
        return np.take(self._sound(unique, self._buffer(len(unique))), places, axis=0, out=frames)

    def _frame(self, index: int) -> Frames:
        return cast(Frames, self._sound(np.asarray([index]), self._buffer(1))[0])

    def _sound(self, ascending: NDArray[np.int64], frames: Frames) -> Frames:
        try:
            return self._read(ascending, frames)
        except DamagedCacheError as damage:
            self._file.close()
            self._video.warn(damage)
        try:
            self._video.write()
            self._file = self._video.open()
            return self._read(ascending, frames)
        except DamagedCacheError as damage:
            raise self._error(f"{self._video.file} was damaged, rebuilt, and is damaged again: {damage}") from damage

    def _read(self, ascending: NDArray[np.int64], frames: Frames) -> Frames:
        borders = [0, *(np.flatnonzero(np.diff(ascending) != 1) + 1).tolist(), len(ascending)]
        for begin, end in pairwise(borders):
            if end > begin:
                self._file.read(int(ascending[begin]), frames[begin:end])
        return frames

    def _release(self) -> None:
        self._file.close()
