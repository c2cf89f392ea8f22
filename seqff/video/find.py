"""Finding the videos a person means: a folder, a file, or a list."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from os import PathLike
from pathlib import Path
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from seqff.video.arrays import ARRAY_EXTENSIONS, is_video_array
from seqff.video.images import IMAGE_EXTENSIONS, image_files
from seqff.video.remote.address import address_of, extension, shown
from seqff.video.remote.filesystem import is_folder, list_folder, remote_stamp

_EXTENSIONS = """
    .3g2 .3gp .asf .avi .divx .flv .gif .m2ts .m4v .mjpeg .mkv .mov .mp4 .mpeg .mpg .mts .mxf .ogv .ts .vob
    .webm .wmv .y4m
"""
VIDEO_EXTENSIONS = tuple(_EXTENSIONS.split())

PathLikeStr = str | PathLike[str]


def cache_folder() -> Path:
    """Returns the user's cache folder for seqff; $XDG_CACHE_HOME or ~/.cache says where."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "seqff"


def as_path(path: PathLikeStr) -> Path:
    """Returns a path from a string, a path or an address; of file:// the path meant.

    Any other address (s3://, https://, ...) travels as a path too; see `seqff.video.remote.address`.

    Raises:
        TypeError: it is something else.
    """
    text = os.fspath(path)
    if not isinstance(text, str):
        raise TypeError(f"a path must be a string or a pathlib.Path, got {type(path).__name__}")
    if text.startswith("file://") or (text.startswith("file:/") and not os.path.lexists("file:")):
        return Path(url2pathname(unquote(urlsplit(text).path)))
    return Path(text)


def absolute(path: Path) -> Path:
    """Returns the absolute path; a link to a video stays a link, so that it keeps its name, and an address as it is."""
    if address_of(path) is not None:
        return path
    return path.resolve() if path.is_dir() else path.parent.resolve() / path.name


def find_videos(videos: PathLikeStr | Sequence[PathLikeStr]) -> tuple[Path, list[str]]:
    """Finds videos.

    Args:
        videos: a folder (searched with all folders in it), a video, or a list of videos; here or at addresses.

    Returns:
        The root folder, absolute, and the sorted paths of the videos relative to it, with forward slashes. A folder
        of numbered images is a video, unless it is remote. Files that cannot be read are found like any others, and so
        are remote files of a list that may not be there.

    Raises:
        FileNotFoundError: a path does not exist.
        ValueError: nothing that looks like a video was found, or a list mixes files here and addresses.
        SeqffError: a remote folder cannot be listed.
    """
    if isinstance(videos, (str, PathLike)):
        path = absolute(as_path(videos))
        address = address_of(path)
        if address is not None:
            return _find_remote(path, address)
        _check_there(path)
        if path.is_dir() and not _is_image_video(path):
            return path, _search(path)
        return path.parent, [path.name]
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
    return root, sorted({path.relative_to(root).as_posix() for path in paths})


def _find_remote(path: Path, address: str) -> tuple[Path, list[str]]:
    looks_like_one = extension(address) in (*VIDEO_EXTENSIONS, *ARRAY_EXTENSIONS)
    if looks_like_one and not is_folder(address):
        remote_stamp(address)  # is it there?
        return path.parent, [path.name]
    names = list_folder(address)
    if names == [""]:  # a file, whatever its name
        return path.parent, [path.name]
    found = [name for name in names if _looks_like_video(name)]
    if not found:
        kinds = " ".join((*VIDEO_EXTENSIONS, *ARRAY_EXTENSIONS))
        raise ValueError(f"no video at {shown(path)} or in its folders; looked for {kinds}")
    return path, found


def _looks_like_video(name: str) -> bool:
    hidden = any(part.startswith(".") for part in name.split("/"))
    return not hidden and extension(name) in (*VIDEO_EXTENSIONS, *ARRAY_EXTENSIONS)


def read_list(file: Path, beside: Path) -> list[Path]:
    """Reads a list of videos, one path or address a line; empty lines and those that begin with # count for nothing.

    Args:
        file: UTF-8 text.
        beside: the folder that relative paths start from.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it names no video, or is no text.
    """
    try:
        lines = [line.strip() for line in file.read_text(encoding="utf-8-sig").splitlines()]
    except UnicodeDecodeError as error:
        raise ValueError(f"{file} is no list of videos: it is not UTF-8 text ({error.reason})") from error
    named = [as_path(line) for line in lines if line and not line.startswith("#")]
    if not named:
        raise ValueError(f"{file} names no video: write one path or address a line")
    return [path if address_of(path) is not None else beside / path for path in named]


def _check_there(path: Path) -> None:
    if not os.path.lexists(path):
        raise FileNotFoundError(f"no such file or folder: {path}")


def _search(root: Path) -> list[str]:
    found = sorted(path.relative_to(root).as_posix() for path in _walk(root))
    if not found:
        kinds = " ".join((*VIDEO_EXTENSIONS, *ARRAY_EXTENSIONS))
        raise ValueError(f"no video in {root} or its folders; looked for {kinds} and folders of numbered images")
    return found


def _walk(root: Path) -> Iterable[Path]:
    seen = set()
    for folder, folders, files in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:  # a link that leads back
            folders.clear()
            continue
        seen.add(real)
        here = Path(folder)
        for name in list(folders):
            hidden, inside = name.startswith("."), here / name
            if hidden or _is_image_video(inside) or inside.suffix.lower() in VIDEO_EXTENSIONS:
                folders.remove(name)
                if not hidden:
                    yield inside
        yield from (here / name for name in files if _is_video_file(here / name))


def _is_video_file(path: Path) -> bool:
    kind = path.suffix.lower()
    if path.name.startswith("."):
        return False
    return kind in VIDEO_EXTENSIONS or (kind in ARRAY_EXTENSIONS and is_video_array(path))


def _is_image_video(folder: Path) -> bool:
    """Whether a folder is one numbered sequence of images and nothing that looks like a video is in it."""
    try:
        entries = list(folder.iterdir())
        if any(entry.is_dir() or entry.suffix.lower() in VIDEO_EXTENSIONS for entry in entries):
            return False
        images = sum(entry.suffix.lower() in IMAGE_EXTENSIONS for entry in entries)
        return images >= 2 and len(image_files(folder)) == images
    except OSError:
        return False
