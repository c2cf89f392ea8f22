"""Searching a folder and all folders in it for videos, and naming what is passed by."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from seqff.video.arrays import ARRAY_EXTENSIONS, why_no_frames
from seqff.video.kinds import SKIPPED_FOLDERS, VIDEO_EXTENSIONS, ending, looks_like_video
from seqff.video.numbered import IMAGE_EXTENSIONS, MASKS, is_folder, is_picture, names_in, sort_pictures
from seqff.video.passed import PassedBy
from seqff.video.tiff import is_stack

_BESIDE = "color colour frames image images img imgs jpegimages photos pictures rgb video videos"
_PICTURE_FOLDERS = frozenset(_BESIDE.split())


@dataclass
class _Folder:
    """One folder to search.

    Args:
        name: relative to the root, "" for the root itself.
        folders: directly in it.
        files: directly in it.
    """

    name: str
    folders: list[os.DirEntry[str]] = field(default_factory=list)
    files: list[os.DirEntry[str]] = field(default_factory=list)

    def below(self, name: str) -> str:
        return f"{self.name}/{name}" if self.name else name


def search(root: Path) -> tuple[list[str], PassedBy]:
    """Finds the videos of a folder.

    A folder that several links lead to is searched once, where it lies if that is below the root.

    Args:
        root: absolute.

    Returns:
        Sorted paths relative to the root, with forward slashes; "" is the root itself, when it is one sequence of
        pictures and nothing else. And what was passed by.
    """
    passed, found = PassedBy(), list[str]()
    here, linked, seen = [_Folder("")], list[_Folder](), dict[tuple[int, int], str]()
    while here or linked:
        if not here:
            linked.sort(key=lambda link: link.name, reverse=True)
        folder = (here or linked).pop()
        path = root / folder.name
        try:
            known = path.stat()
            first = seen.setdefault((known.st_dev, known.st_ino), folder.name or ".")
            if first != (folder.name or "."):
                passed.name("folders that are searched elsewhere", f"{folder.name} is {first}")
                continue
            _list(path, folder)
        except OSError as error:
            passed.name("folders that cannot be read", f"{folder.name or '.'}: {error.strerror}")
            continue
        videos = _videos(path, folder, passed)
        found += videos
        inside = list(_inside(folder, passed, beside_videos=bool(videos)))
        for entry in sorted(inside, key=lambda entry: entry.name, reverse=True):
            (linked if entry.is_symlink() else here).append(_Folder(folder.below(entry.name)))
        if not videos and not inside:
            if ending(folder.name) in VIDEO_EXTENSIONS:
                found.append(folder.name)  # whoever named it so means a video: the scan says what is wrong
            elif not folder.files:
                passed.name("empty folders", folder.name or ".")
    if "" in found and len(found) > 1:
        found.remove("")
        found += [sequence.name for sequence in sort_pictures(root, names_in(root)).sequences]
    return sorted(found), passed


def _list(path: Path, folder: _Folder) -> None:
    with os.scandir(path) as entries:
        for entry in entries:
            (folder.folders if is_folder(entry) else folder.files).append(entry)


def _inside(folder: _Folder, passed: PassedBy, *, beside_videos: bool) -> Iterable[os.DirEntry[str]]:
    """Yields the folders to search."""
    pictures_beside = beside_videos or any(entry.name.lower() in _PICTURE_FOLDERS for entry in folder.folders)
    for entry in folder.folders:
        name = entry.name.lower()
        if name in SKIPPED_FOLDERS:
            passed.name("folders of a system, by their name", folder.below(entry.name))
        elif name.startswith("."):
            passed.name("hidden folders", folder.below(entry.name))
        elif name in MASKS and pictures_beside:
            passed.name("folders of masks beside pictures (to read one, give it by itself)", folder.below(entry.name))
        else:
            yield entry


def _videos(path: Path, folder: _Folder, passed: PassedBy) -> list[str]:
    """Returns the videos directly in a folder; those of pictures among them."""
    found, films, pictures = list[str](), False, list[str]()
    for entry in folder.files:
        name, kind = entry.name, ending(entry.name)
        if name.startswith("."):
            passed.file("AppleDouble (._*)" if name.startswith("._") else "hidden")
        elif kind in VIDEO_EXTENSIONS or (
            (not kind or kind[1:].isdigit()) and _is_file(entry) and looks_like_video(path / name)
        ):
            found.append(folder.below(name))
            films = True
        elif kind in ARRAY_EXTENSIONS:
            why = why_no_frames(path / name)
            if why:
                passed.name("arrays that are no frames", f"{folder.below(name)}: {why}")
            else:
                found.append(folder.below(name))
        elif is_stack(path / name):
            found.append(folder.below(name))
        elif kind in IMAGE_EXTENSIONS:
            pictures.append(name)
        else:
            passed.file(kind)
    return found + _sequences(path, folder, pictures, passed, films=films)


def _sequences(path: Path, folder: _Folder, pictures: list[str], passed: PassedBy, *, films: bool) -> list[str]:
    if films:
        passed.name("pictures beside video files", *map(folder.below, pictures))
        return []
    there = sort_pictures(path, filter(is_picture, pictures))
    passed.name("pictures without a number, or with no other like them", *map(folder.below, there.loose))
    passed.name("masks or thumbnails beside their pictures", *(folder.below(sequence.name) for sequence in there.masks))
    if len(there.sequences) == 1:
        return [folder.name]
    return [folder.below(sequence.name) for sequence in there.sequences]


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:
        return False
