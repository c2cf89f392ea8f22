"""The scan: decodes every video once, in processes that can be killed; known videos are not decoded again."""

from __future__ import annotations

import atexit
import hashlib
import json
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from functools import lru_cache
from itertools import islice
from pathlib import Path

from tqdm.auto import tqdm

from seqff.config import VideoConfig
from seqff.cores import usable_cores
from seqff.errors import ManifestError, SeqffError, VideoError
from seqff.terminal import as_lines, counted
from seqff.video.entry import Stamp, VideoEntry
from seqff.video.examine import stamp
from seqff.video.find import CACHE, Found, PathLikeStr, absolute, as_path, cache_folder, find_videos, read_list
from seqff.video.images import FPS
from seqff.video.journal import Journal
from seqff.video.levels import DECLARED, USED, levels_of
from seqff.video.manifest import FORMAT, BadVideosError, Manifest, check_ending, list_alike
from seqff.video.remote.address import address_of, is_below, shown
from seqff.video.remote.download_cache import local_file
from seqff.video.rows import chosen, column, filled, stamps
from seqff.video.shard_search import with_members
from seqff.video.shards import split
from seqff.video.table import TABLE
from seqff.video.workers import examine_all

SKIPPED_LOG = "seqff.video.skipped"
"""Name of the logger that reports what a scan skipped."""
_REQUESTS = 16  # concurrent requests
_POLL_SECONDS = 0.2
_KEY = 2  # part of the names of cached manifests; unchanged since older formats, so that these are found and updated
_MOST_FPS = 1e6

_log = logging.getLogger("seqff.video")


def scan(
    videos: PathLikeStr | Sequence[PathLikeStr],
    *,
    out: PathLikeStr | None = None,
    max_bad: float = 0.05,
    workers: int | None = None,
    timeout_seconds: float = 60.0,
    refresh: bool = False,
    video: VideoConfig | None = None,
    progress: bool = True,
) -> Manifest:
    """Decode every video once, and record what it contains and how it can be read.

    A repeated scan decodes only what has changed, and an interrupted one resumes. Processes that scan to the same
    manifest at the same time share the work, also on several machines with a shared disk; each returns everything.

    Args:
        videos: a folder (searched recursively), a video, a list of videos, a text file (*.txt) with one video per line,
            or a manifest (*.sqlite, *.json), whose videos are checked; each may be an address.
        out: where the manifest is written, as a table (*.sqlite), in which later scans update single rows, or as JSON
            (*.json); by default a table in the user's cache folder, or the given manifest.
        max_bad: largest share of unusable videos, 0 to 1.
        workers: number of decoding processes; by default one per core, at most 16.
        timeout_seconds: how long a decoder may make no progress before it is killed.
        refresh: decode everything again.
        video: properties that files do not contain, such as the frame rate of images; by default, those recorded in the
            manifest.
        progress: show a progress bar if stderr is a terminal.

    Returns:
        The manifest.

    Raises:
        FileNotFoundError: a path does not exist.
        NoVideoError: nothing that looks like a video was found.
        ValueError: an argument is out of range, or `out` has another extension.
        TypeError: `videos` is neither a path nor a list of paths.
        BadVideosError: more than `max_bad` of the videos are unusable (the manifest is still written).
    """
    video = video or VideoConfig()
    _check_arguments(max_bad, workers, timeout_seconds, video)
    (root, paths, skipped, fps, levels), out, given = _resolve(videos, out)
    with closing(Journal(out, root, fresh=refresh)) as journal:
        before, here = _before(out, root, given, refresh=refresh)
        fps = video.fps or before.fps or fps
        levels = video.levels or (before.levels if len(before) else levels)
        if old_format := before.format < FORMAT:
            _log.warning("%s is of an older seqff (format %d, now %d): scanned again", out, before.format, FORMAT)
        same = set() if refresh or old_format else _unchanged(root, before.entries)
        journal.found &= _unchanged(root, journal.known())
        todo = [path for path in paths if path not in same and path not in journal.found]
        count = workers or min(cores(), 16)
        _examine(root, todo, journal, workers=count, timeout_seconds=timeout_seconds, progress=progress)
        wanted = Manifest(root, (), skipped, fps, levels)
        with journal.finishing():
            old = here and not journal.found and len(before) == len(paths) and wanted.head() == before.head()
            manifest = before if old else journal.write(wanted, paths, before, same)
    if skipped and skipped != before.skipped:
        logging.getLogger(SKIPPED_LOG).warning("%s", as_lines(skipped))
    _warn(manifest, {*todo})
    _check_bad(manifest, max_bad, out)
    return manifest


def _check_arguments(max_bad: float, workers: int | None, timeout_seconds: float, video: VideoConfig) -> None:
    if not 0 <= max_bad <= 1:
        raise ValueError(f"max_bad is a share from 0 to 1, got {max_bad}")
    if workers is not None and workers < 1:
        raise ValueError(f"workers must be at least 1, got {workers}")
    if not timeout_seconds > 0:
        raise ValueError(f"timeout_seconds must be above 0, got {timeout_seconds}")
    if not 0 <= video.fps <= _MOST_FPS:
        raise ValueError(f"video.fps must be above 0 and at most {_MOST_FPS:g}, or 0 for {FPS:g}; got {video.fps}")
    levels_of(DECLARED, how=video.levels or USED)  # raises if they are invalid


def _examine(
    root: Path, paths: Sequence[str], journal: Journal, *, workers: int, timeout_seconds: float, progress: bool
) -> None:
    """Examine videos; waits for those that other processes are examining."""

    def missing() -> list[str]:
        return [path for path in paths if path not in journal.found]

    known = len(journal.found)
    with tqdm(desc="scan", total=len(paths), unit="video", disable=None if progress and paths else True) as bar:
        while todo := missing():
            claimed = ((path, root / path) for path in journal.claim(todo))
            count = min(workers, len(todo))
            with closing(examine_all(claimed, workers=count, timeout_seconds=timeout_seconds)) as examined:
                for path, entry in examined:
                    journal.add(replace(entry, path=path))
                    bar.update(len(journal.found) - known - bar.n)
            journal.refresh()
            if missing():
                time.sleep(_POLL_SECONDS)


def cores() -> int:
    """Return the number of cores for this process; processes started by torchrun share those of their machine."""
    here = usable_cores()
    local = os.environ.get("LOCAL_WORLD_SIZE", "")
    return max(1, here // int(local)) if local.isdigit() and int(local) else here


def _resolve(
    videos: PathLikeStr | Sequence[PathLikeStr], out: PathLikeStr | None
) -> tuple[Found, Path, Manifest | None]:
    """Return the videos, the path of their manifest, and the given manifest, if there is one."""
    if not isinstance(videos, (str, os.PathLike, Sequence)):
        raise TypeError(
            "videos must be a folder, a file, a list of files or the path of a manifest, got a "
            f"{type(videos).__name__} (a manifest is written by its `save`, or by `scan` with `out`)"
        )
    to = None if out is None else check_ending(as_path(out))
    given = as_path(videos) if isinstance(videos, (str, os.PathLike)) else None
    kind = given.suffix.lower() if given is not None else ""
    if given is not None and kind in (TABLE, ".json"):
        with local_file(given) as file:
            manifest = Manifest.load(file, older=True)
            if address_of(given) is not None:  # the downloaded file may be evicted later
                manifest = replace(manifest, entries=tuple(manifest))
        paths = column(manifest.entries, "path").tolist()
        listed = Found(manifest.root, paths, manifest.skipped, manifest.fps, manifest.levels)
        to = to or (given if address_of(given) is None else _remembered(listed.root, listed.paths))
        return listed, to, manifest
    if given is not None and kind == ".txt":
        with local_file(given) as file:
            videos = read_list(file, given.parent)
    found = with_members(find_videos(videos))
    whole_folder = given is not None and absolute(given) == found.root
    return found, to or _remembered(found.root, [] if whole_folder else found.paths), None


def _remembered(root: Path, paths: list[str]) -> Path:
    """Return the path of the user's cached manifest for these videos, or for all below the root if none are named."""
    digest = hashlib.blake2b(json.dumps([_KEY, str(root), paths]).encode(), digest_size=12).hexdigest()
    try:
        place = cache_folder() / "manifests"
        place.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=place).close()
    except (OSError, SeqffError) as error:
        what = "the manifest cannot be kept in the cache, so that the next scan decodes everything again"
        _log.warning("%s (%s): set %s to a folder that can be written, or give --out", what, error, CACHE)
        place = Path(tempfile.mkdtemp(prefix="seqff-"))
        atexit.register(shutil.rmtree, place, ignore_errors=True)
    return place / f"{digest}{TABLE}"


def _before(out: Path, root: Path, given: Manifest | None, *, refresh: bool) -> tuple[Manifest, bool]:
    """Return the previous manifest, and whether it is the content of `out`.

    If there is no table yet, it is the given manifest, or a JSON file that an earlier version wrote in its place.
    """
    nothing = Manifest(root, ())
    try:
        if out.exists():
            before = Manifest.load(out, older=True)
        elif given is not None:
            before = given
        else:
            json_there = out.suffix.lower() == TABLE and out.with_suffix(".json").exists()
            before = Manifest.load(out.with_suffix(".json"), older=True) if json_there else nothing
    except ManifestError:
        if not refresh:
            raise
        return nothing, False
    if before.root != root:
        return nothing, False
    return before, out.exists() and before.format == FORMAT


def _unchanged(root: Path, entries: Sequence[VideoEntry]) -> set[str]:
    """Return the paths of unchanged files, and of those whose server is unreachable, because they may be cached."""
    unasked: list[str] = []
    now = lru_cache(maxsize=_REQUESTS)(stamp)  # the videos of a shard are consecutive

    def unchanged(known: tuple[str, str, Stamp]) -> bool:
        path, status, before = known
        # Files that could not be opened, or made the decoder hang, are examined again: it may have been temporary.
        if status in ("unreadable", "timeout"):
            return False
        try:
            return len(unasked) >= _REQUESTS or now(split(root / path)[0]) == before.whole
        except OSError:
            return False
        except VideoError as error:  # raised for a server
            unasked.append(str(error))
            return True

    found, known = set[str](), stamps(entries)
    with ThreadPoolExecutor(_REQUESTS if is_below(root) else 1) as threads:
        while block := list(islice(known, 10_000)):
            same = threads.map(unchanged, block) if is_below(root) else map(unchanged, block)
            found.update(path for (path, _, _), is_same in zip(block, same, strict=True) if is_same)
    if unasked:
        _log.warning("whether videos have changed cannot be asked; taken as they were scanned: %s", unasked[0])
    return found


def _warn(manifest: Manifest, examined: set[str]) -> None:
    """Log remarks about usable videos; for sound ones only when they are scanned."""
    status = column(manifest.entries, "status")
    remarked = chosen(manifest.entries, (status == b"ok") & filled(manifest.entries, "cause"))
    odd = [entry for entry in remarked if entry.path in examined]
    damaged = [entry for entry in chosen(manifest.entries, status == b"damaged") if entry.usable]
    copies = [entry.path for entry in chosen(manifest.entries, filled(manifest.entries, "duplicate_of"))]
    if odd:
        _log.warning("%s read with a remark:\n%s", counted(len(odd), "video"), list_alike(odd))
    if damaged:
        _log.warning("%s damaged, used up to the damage:\n%s", counted(len(damaged), "video"), list_alike(damaged))
    if copies:
        _log.warning("%s copied from another: %s", counted(len(copies), "video"), ", ".join(copies[:10]))


def _check_bad(manifest: Manifest, max_bad: float, out: Path) -> None:
    bad = manifest.bad
    number = f"{len(bad)} of {counted(len(manifest), 'video')}"
    if len(bad) > max_bad * len(manifest):
        under = f"{number} under {shown(manifest.root)} cannot be used, more than max_bad = {max_bad:g} allows:"
        end = f"Mend or remove them, or raise max_bad (--max-bad); the manifest is in {out}."
        raise BadVideosError(as_lines([under, *list_alike(bad).split("\n"), end]), manifest)
    if bad:
        _log.warning("%s left out:\n%s", number, list_alike(bad))
