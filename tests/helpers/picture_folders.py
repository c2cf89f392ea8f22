"""Folders of images that show numbers, and their scans."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import cv2

from helpers.painted import paint, read_numbers
from seqff.video import Manifest, open_video, scan


def pictures(folder: Path, names: Iterable[str]) -> Path:
    """Write images that show the numbers 0, 1, ... in the order of the names."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        assert cv2.imwrite(str(folder / name), paint(number))
    return folder


def quick(videos: object, out: Path, **settings: object) -> Manifest:
    return scan(videos, out=out, **{"workers": 1, "progress": False, "max_bad": 1.0, **settings})


def seen(found: Manifest) -> dict[str, list[int]]:
    """Return the numbers read from every video."""
    numbers = {}
    for entry in found.usable:
        with open_video(found.path(entry), entry=entry) as video:
            numbers[entry.path] = read_numbers(video.clip(0, entry.frames))
    return numbers


def write_stack(path: Path, pages: int) -> Path:
    """Write a TIFF whose pages show the numbers 0, 1, ..."""
    assert cv2.imwritemulti(str(path), [paint(number) for number in range(pages)])
    return path
