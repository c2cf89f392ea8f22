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

_EXTENSIONS = """
    .3g2 .3gp .asf .avi .divx .flv .gif .m2ts .m4v .mjpeg .mkv .mov .mp4 .mpeg .mpg .mts .mxf .ogv .ts .vob
    .webm .wmv .y4m
"""
VIDEO_EXTENSIONS = tuple(_EXTENSIONS.split())

PathLikeStr = str | PathLike[str]


def as_path(path: PathLikeStr) -> Path:
    """Returns a path from a string, a path or a file:// address.

    Raises:
        TypeError: it is something else.
    """
    text = os.fspath(path)
    if not isinstance(text, str):
        raise TypeError(f"a path must be a string or a pathlib.Path, got {type(path).__name__}")
    return Path(url2pathname(unquote(urlsplit(text).path))) if text.startswith("file://") else Path(text)


def absolute(path: Path) -> Path:
    """Returns the absolute path; a link to a video stays a link, so that it keeps its name."""
    return path.resolve() if path.is_dir() else path.parent.resolve() / path.name


def find_videos(videos: PathLikeStr | Sequence[PathLikeStr]) -> tuple[Path, list[str]]:
    """Finds videos.

    Args:
        videos: a folder (searched with all folders in it), a video, or a list of videos.

    Returns:
        The root folder, absolute, and the sorted paths of the videos relative to it, with forward slashes. A folder
        of numbered images is a video. Files that cannot be read are found like any others.

    Raises:
        FileNotFoundError: a path does not exist.
        ValueError: nothing that looks like a video was found.
    """
    if isinstance(videos, (str, PathLike)):
        path = absolute(as_path(videos))
        _check_there(path)
        if path.is_dir() and not _is_image_video(path):
            return path, _search(path)
        return path.parent, [path.name]
    paths = [absolute(as_path(video)) for video in videos]
    if not paths:
        raise ValueError("the list of videos is empty")
    for path in paths:
        _check_there(path)
    root = Path(os.path.commonpath([path.parent for path in paths]))
    return root, sorted({path.relative_to(root).as_posix() for path in paths})


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
