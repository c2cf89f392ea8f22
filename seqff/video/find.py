"""Find the videos in a folder, a file or a list; local or remote."""

from __future__ import annotations

import os
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from seqff.errors import NoVideoError, SeqffError
from seqff.terminal import as_lines
from seqff.video.arrays import ARRAY_EXTENSIONS
from seqff.video.levels import USED
from seqff.video.numbered import sequence_at
from seqff.video.remote.address import address_of, extension, shown
from seqff.video.remote.filesystem import is_folder, list_folder, remote_stamp
from seqff.video.search import VIDEO_EXTENSIONS, Skipped, is_hidden, search
from seqff.video.shards import is_shard, split

CACHE = "SEQFF_CACHE"
PathLikeStr = str | PathLike[str]
_EXTENSIONS = (*VIDEO_EXTENSIONS, *ARRAY_EXTENSIONS)


class Found(NamedTuple):
    """The result of a search; all fields but `paths` as in a manifest."""

    root: Path
    paths: list[str]  # relative to the root, with forward slashes, sorted
    skipped: tuple[str, ...] = ()
    fps: float = 0.0
    levels: str = USED


def cache_folder() -> Path:
    """Return the user's cache folder for seqff: $SEQFF_CACHE, else seqff in $XDG_CACHE_HOME or ~/.cache.

    Raises:
        SeqffError: the user has no home folder, and neither variable is set.
    """
    try:
        if own := os.environ.get(CACHE):
            return Path(own)
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "seqff"
    except RuntimeError as error:
        raise SeqffError(f"this user has no home folder for a cache: set {CACHE} to a folder") from error


def as_path(path: PathLikeStr) -> Path:
    """Return a path from a string, a path or an address; for file://, the local path.

    Other addresses (s3://, https://, ...) are passed around as paths, too; see `seqff.video.remote.address`.

    Raises:
        TypeError: another type.
    """
    text = os.fspath(path)
    if not isinstance(text, str):
        raise TypeError(f"a path must be a string or a pathlib.Path, got {type(path).__name__}")
    if text.startswith("file://") or (text.startswith("file:/") and not os.path.lexists("file:")):
        return Path(url2pathname(unquote(urlsplit(text).path)))
    return Path(text)


def absolute(path: Path) -> Path:
    """Return the absolute path; links to videos are not resolved, to keep their names, and addresses are unchanged."""
    if address_of(path) is not None:
        return path
    return path.resolve() if path.is_dir() else path.parent.resolve() / path.name


def find_videos(videos: PathLikeStr | Sequence[PathLikeStr]) -> Found:
    """Find videos.

    Args:
        videos: a folder (searched recursively), a video, or a list of videos; local or remote.

    Returns:
        Root, paths, and what was skipped; tar files are not expanded (see `shard_search.with_members`). A local folder
        of numbered images is a video; if it has several sequences, each has a name such as `camA_%d.jpg`. Unreadable
        files are included, and so are remote files of a list that may not exist.

    Raises:
        FileNotFoundError: a path does not exist.
        NoVideoError: nothing that looks like a video was found.
        ValueError: the list is empty, or mixes local and remote files.
        SeqffError: a remote folder cannot be listed.
    """
    if isinstance(videos, (str, PathLike)):
        path = absolute(as_path(videos))
        address = address_of(path)
        if address is not None:
            return _find_remote(path, address)
        _check_there(path)
        return _find_here(path) if path.is_dir() else Found(path.parent, [path.name])
    paths = [absolute(as_path(video)) for video in videos]
    if not paths:
        raise ValueError("the list of videos is empty")
    schemes = {(address_of(path) or "").partition("://")[0] for path in paths}
    if len(schemes) > 1:
        kinds = ", ".join(sorted(f"{scheme}://" if scheme else "files here" for scheme in schemes))
        raise ValueError(f"the list mixes {kinds}: scan one kind at a time")
    if schemes == {""}:
        for path in paths:
            _check_there(path)
    root = Path(os.path.commonpath([path.parent for path in paths]))
    return Found(root, sorted({path.relative_to(root).as_posix() for path in paths}))


def _check_there(path: Path) -> None:
    if not os.path.lexists(split(path)[0]) and sequence_at(path) is None:
        raise FileNotFoundError(f"no such {'file' if path.suffix.lower() in _EXTENSIONS else 'folder'}: {path}")


def _find_here(path: Path) -> Found:
    found, skipped = search(path)
    if not found:
        looked_for = f"{' '.join(_EXTENSIONS)}, TIFF files of several pages and folders of numbered images"
        raise NoVideoError(as_lines([f"no video in {path} or its folders; looked for {looked_for}", *skipped.lines()]))
    return Found(path.parent, [path.name], skipped.lines()) if found == [""] else Found(path, found, skipped.lines())


def _find_remote(path: Path, address: str) -> Found:
    if (extension(address) in _EXTENSIONS or is_shard(address)) and not is_folder(address):
        remote_stamp(address)  # raises if it does not exist
        return Found(path.parent, [path.name])
    names = list_folder(address)
    if names == [""]:  # a single file, whatever its name
        return Found(path.parent, [path.name])
    skipped, found = Skipped(), list[str]()
    for name in names:
        if is_hidden(name):
            skipped.count("hidden or of a system")
        elif extension(name) in _EXTENSIONS or is_shard(name):
            found.append(name)
        else:
            skipped.count(extension(name))
    if not found:
        raise NoVideoError(f"no video at {shown(path)} or in its folders; looked for {' '.join(_EXTENSIONS)}")
    return Found(path, found, skipped.lines())


def read_list(file: Path, beside: Path) -> list[Path]:
    """Read a list of videos, one path (relative to `beside`) or address per line; # starts a comment line."""
    try:
        lines = [line.strip() for line in file.read_text(encoding="utf-8-sig").splitlines()]
    except UnicodeDecodeError as error:
        raise ValueError(f"{file} is no list of videos: it is not UTF-8 text ({error.reason})") from error
    named = [as_path(line) for line in lines if line and not line.startswith("#")]
    if not named:
        raise ValueError(f"{file} names no video: write one path or address a line")
    return [path if address_of(path) is not None else beside / path for path in named]
