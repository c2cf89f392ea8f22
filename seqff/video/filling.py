"""Filling the cache ahead of a training run."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from seqff.errors import VideoError
from seqff.terminal import printable
from seqff.video.cache import Cache, CachedVideo, SizeOf, as_folder, check_cache, check_room, gigabytes, make_folder
from seqff.video.find import PathLikeStr
from seqff.video.manifest import Manifest
from seqff.video.opening import checked_size
from seqff.video.scanning import cores

_STALE_SECONDS = 24 * 3600

_log = logging.getLogger("seqff.video")


@dataclass(frozen=True)
class CacheReport:
    """What filling the cache has done.

    Args:
        folder: of the cache.
        videos: how many are in it now.
        decoded: how many of those were not before.
        bytes: what they take on disk.
        failed: path and cause of each video that could not be decoded.
    """

    folder: Path
    videos: int
    decoded: int
    bytes: int
    failed: tuple[tuple[str, str], ...]


def fill_cache(
    manifest: Manifest,
    *,
    size_of: SizeOf,
    cache: Cache,
    folder: PathLikeStr | None = None,
    progress: bool = True,
    workers: int | None = None,
) -> CacheReport:
    """Decodes every usable video that is not in the cache yet; goes on where an interrupted one was.

    Args:
        manifest: of the videos.
        size_of: the (height, width) px a video is decoded at.
        cache: "u8" or "jpeg"; see `open_cached`.
        folder: where the cache lies; by default `frames` in $SEQFF_CACHE or ~/.cache/seqff.
        progress: say how much disk it will take, and show a progress bar on terminals.
        workers: threads that decode; by default one a core.

    Returns:
        What was done.

    Raises:
        SeqffError: the disk has no room for all; found out before anything is written.
        ValueError: an argument is none that can be had.
    """
    check_cache(cache)
    if cache == "none":
        raise ValueError("cache 'none' cannot be filled: choose u8 or jpeg")
    if workers is not None and workers < 1:
        raise ValueError(f"workers must be at least 1, got {workers}")
    place = as_folder(folder)
    entries = {entry.content_hash or entry.path: entry for entry in reversed(manifest.usable)}  # copies share a file
    wanted = [
        CachedVideo(manifest.path(entry), entry, checked_size(size_of(entry)), cache, place)
        for entry in sorted(entries.values(), key=lambda entry: entry.path)
    ]
    todo = [video for video in wanted if not video.file.exists()]
    needed = sum(video.estimated_bytes for video in todo)
    if progress:
        there = f"{len(wanted) - len(todo)} of {len(wanted)} videos are in {printable(str(place))}"
        tqdm.write(f"cache: {there}; the others take about {gigabytes(needed)}", file=sys.stderr)
    check_room(needed, place, f"{len(todo)} videos")
    if todo:
        make_folder(place)
    _sweep(place)
    failed = _write_all(wanted, len(todo), workers or cores(), progress)
    written = [video for video in wanted if video.path not in failed]
    size = sum(video.file.stat().st_size for video in written)
    causes = tuple((path.relative_to(manifest.root).as_posix(), cause) for path, cause in sorted(failed.items()))
    return CacheReport(place, len(written), max(0, len(todo) - len(failed)), size, causes)


def _write_all(videos: Iterable[CachedVideo], missing: int, workers: int, progress: bool) -> dict[Path, str]:
    """Opens every video through the cache; returns what went wrong with which."""
    failed: dict[Path, str] = {}
    with (
        ThreadPoolExecutor(workers) as threads,  # decoders let go of Python's lock
        tqdm(desc="cache", total=missing, unit="video", disable=None if progress else True) as bar,
    ):
        running = {threads.submit(_ensure, video): video for video in videos}
        try:
            for future in as_completed(running):
                try:
                    bar.update(future.result())
                except VideoError as error:
                    failed[running[future].path] = str(error)
                    _log.warning("not in the cache: %s", error)
        except BaseException:
            threads.shutdown(wait=False, cancel_futures=True)
            raise
    return failed


def _ensure(video: CachedVideo) -> int:
    """Makes sure a whole file is there; returns whether it was missing."""
    missing = not video.file.exists()
    video.open().close()
    return int(missing)


def _sweep(folder: Path) -> None:
    """Removes what processes that were killed have left half written."""
    for partial in folder.glob(".*.partial"):
        try:
            if time.time() - partial.stat().st_mtime > _STALE_SECONDS:
                partial.unlink()
        except FileNotFoundError:  # another process was faster
            continue
