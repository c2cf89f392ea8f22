"""The cache: decoded frames on disk, so that a video is decoded once and not once an epoch."""

from __future__ import annotations

import errno
import hashlib
import importlib.metadata
import json
import logging
import shutil
import tempfile
import uuid
from collections.abc import Callable
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Literal, cast

import numpy as np
from numpy.typing import NDArray

from seqff.errors import SeqffError
from seqff.video.base import FrameReader, checked_indices
from seqff.video.cache_files import CACHE_FILES, DamagedCacheError, JpegFile, U8File
from seqff.video.entry import VideoEntry, video_info
from seqff.video.find import CACHE, PathLikeStr, as_path, cache_folder
from seqff.video.info import Frames, Indices, VideoInfo, VideoReader
from seqff.video.manifest import FORMAT as MANIFEST_FORMAT
from seqff.video.manifest import Manifest
from seqff.video.opening import checked_size, choose_reader, open_video, still_valid
from seqff.video.remote.address import shown
from seqff.video.remote.filesystem import no_beat

Cache = Literal["none", "u8", "jpeg"]
SizeOf = Callable[[VideoEntry], tuple[int, int]]

_FORMAT = 1
"""Raised whenever files of an older seqff can no longer be read."""
_RESERVE_BYTES = 2**28  # left free on the disk
_PACKAGES = {"decord": "decord", "pyav": "av", "opencv": "opencv-python", "array": "numpy"}

_log = logging.getLogger("seqff.video")


def open_cached(
    path: PathLikeStr,
    entry: VideoEntry,
    *,
    size: tuple[int, int] | None,
    cache: Cache = "none",
    folder: PathLikeStr | None = None,
    beat: Callable[[], None] = no_beat,
) -> VideoReader:
    """Opens a video for reading by this thread, out of the cache if one is wanted.

    A video that is not in the cache yet, or whose file there is damaged, is decoded as a whole now and written.
    Several processes may share a folder.

    Args:
        path: the video.
        entry: of the video, from a manifest.
        size: (height, width) px that every frame is resized to; None leaves them as they are.
        cache: "none" decodes; "u8" keeps frames as they are (3 bytes a pixel); "jpeg" at an eighth of that or less,
            not bit for bit.
        folder: where the cache lies; by default `frames` in $SEQFF_CACHE or ~/.cache/seqff. It may be
            deleted at any time.
        beat: called again and again while a remote file that is not cached is fetched.

    Returns:
        The reader; close it or use it in a `with`.

    Raises:
        VideoError: the video cannot be read, or has changed since it was scanned.
        SeqffError: the disk has no room.
        ValueError: the size or the cache is none that can be had.
    """
    check_cache(cache)
    if cache == "none" or not entry.frames:
        return open_video(path, size=size, entry=entry, beat=beat)
    file = as_path(path)
    height, width = checked_size(size) if size is not None else (entry.height, entry.width)
    still_valid(file, entry)
    return CachedReader(CachedVideo(file, entry, (height, width), cache, as_folder(folder), beat))


def estimate_cache_bytes(manifest: Manifest, size_of: SizeOf, cache: Cache) -> int:
    """Says how much disk the cache of all usable videos takes, bytes; exact for "u8", about right for "jpeg".

    Args:
        manifest: of the videos.
        size_of: the (height, width) px a video is decoded at.
        cache: see `open_cached`.
    """
    check_cache(cache)
    if cache == "none":
        return 0
    identities = {e.content_hash or e.path: e for e in manifest.usable}  # copies share a file
    return sum(CACHE_FILES[cache].estimate_bytes(e.frames, *size_of(e)) for e in identities.values())


def check_cache(cache: str) -> None:
    """Raises ValueError unless `cache` is a kind of cache."""
    if cache not in ("none", *CACHE_FILES):
        raise ValueError(f"cache {cache!r} is unknown: choose one of none, {', '.join(CACHE_FILES)}")


def as_folder(folder: PathLikeStr | None) -> Path:
    """Returns the folder of the cache."""
    return cache_folder() / "frames" if folder is None else as_path(folder)


def check_room(needed: int, folder: Path, what: str) -> None:
    """Raises SeqffError unless the disk has room for so many bytes."""
    there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    free = shutil.disk_usage(there).free
    if needed > free - _RESERVE_BYTES:
        raise SeqffError(
            f"the cache of {what} takes about {gigabytes(needed)}, and the disk of {folder} has {gigabytes(free)} "
            f"free (of which {gigabytes(_RESERVE_BYTES)} are kept): make room, choose another folder, a smaller "
            "size, cache='jpeg' or cache='none'"
        )


def make_folder(folder: Path) -> None:
    """Makes the folder of the cache.

    Raises:
        SeqffError: it cannot be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise SeqffError(
            f"the cache of frames {folder} cannot be written ({error.strerror}): set the environment variable {CACHE} "
            "to a folder that can be, or pairs.cache to none"
        ) from error


def gigabytes(count: int) -> str:
    """Returns a number of bytes for people."""
    return f"{count / 1e9:.3g} GB"


class CachedVideo:
    """One video at one size in the cache.

    Args:
        path: the video.
        entry: of the scan.
        size: (height, width) px.
        cache: "u8" or "jpeg".
        folder: of the cache.
        beat: called while a remote file is fetched.
    """

    def __init__(
        self,
        path: Path,
        entry: VideoEntry,
        size: tuple[int, int],
        cache: str,
        folder: Path,
        beat: Callable[[], None] = no_beat,
    ) -> None:
        self.path, self.entry, self.size, self._beat = path, entry, size, beat
        self._kind, self._shape = CACHE_FILES[cache], (entry.frames, *size)
        self.file = folder / f"{self._key(cache)}{self._kind.suffix}"

    @property
    def estimated_bytes(self) -> int:
        """How much disk it takes or would take."""
        return self._kind.estimate_bytes(*self._shape)

    @property
    def info(self) -> VideoInfo:
        """What a reader of it shows."""
        return video_info(shown(self.path), self.entry, self.size)

    def open(self) -> U8File | JpegFile:
        """Opens the file, which is written first if it is missing or not whole."""
        try:
            return self._kind(self.file, *self._shape)
        except (FileNotFoundError, NotADirectoryError):
            pass
        except DamagedCacheError as damage:
            self.warn(damage)
        self.write()
        return self._kind(self.file, *self._shape)

    def warn(self, damage: DamagedCacheError) -> None:
        """Says that the file is damaged."""
        _log.warning("%s in the cache is damaged (%s): decoding %s anew", self.file.name, damage, self.path)

    def write(self) -> None:
        """Decodes the video and writes the file; a reader sees the old file, none, or the whole new one."""
        check_room(self.estimated_bytes, self.file.parent, str(self.path))
        make_folder(self.file.parent)
        partial = self.file.with_name(f".{self.file.name}.{uuid.uuid4().hex}.partial")
        try:
            opened = open_video(self.path, size=self.size, entry=self.entry, beat=self._beat)
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
    except importlib.metadata.PackageNotFoundError:  # such as opencv-python-headless
        return ""


class CachedReader(FrameReader):
    """Reads frames out of the cache; what proves damaged is decoded anew, never shown.

    Args:
        video: in the cache or not yet.
    """

    name = "cache"

    def __init__(self, video: CachedVideo) -> None:
        super().__init__(video.info)
        self._video, self._file = video, video.open()

    def at(self, indices: Indices, out: Frames | None = None) -> Frames:
        """Returns exactly these frames in this order; see `VideoReader.at`."""
        wanted = checked_indices(indices, self._info.frames)
        self._check_usable()
        frames = self._room(len(wanted), out)
        unique, places = np.unique(wanted, return_inverse=True)
        if np.array_equal(unique, wanted):
            return self._sound(unique, frames)
        return np.take(self._sound(unique, self._room(len(unique))), places, axis=0, out=frames)

    def _frame(self, index: int) -> Frames:
        return cast(Frames, self._sound(np.asarray([index]), self._room(1))[0])

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
            raise self._error(f"{self._video.file} was damaged, made anew, and is damaged again: {damage}") from damage

    def _read(self, ascending: NDArray[np.int64], frames: Frames) -> Frames:
        borders = [0, *(np.flatnonzero(np.diff(ascending) != 1) + 1).tolist(), len(ascending)]
        for begin, end in pairwise(borders):
            if end > begin:
                self._file.read(int(ascending[begin]), frames[begin:end])
        return frames

    def _release(self) -> None:
        self._file.close()
