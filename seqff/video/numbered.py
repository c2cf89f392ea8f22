"""Find the images of a folder that form a video: names that differ in one number, in the order of that number."""

from __future__ import annotations

import os
import re
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise
from pathlib import Path, PurePath
from statistics import median

import numpy as np
from numpy.typing import NDArray

from seqff.video.image_headers import is_stack

_EXTENSIONS = ".bmp .jfif .jpe .jpeg .jpg .pgm .png .pnm .ppm .tif .tiff .webp"
IMAGE_EXTENSIONS = tuple(_EXTENSIONS.split())
NUMBER = "%d"
"""Placeholder of the number in the name of a sequence, as in FFmpeg's patterns."""
_MASKS = """
    annotation annotations groundtruth gt label labels mask masks matte mattes preview previews seg segmentation
    segmentationclass segmentationobject segmentations thumb thumbnail thumbnails thumbs
"""
MASKS = frozenset(_MASKS.split())
"""Names of files that annotate or preview other images."""
_DIGITS = re.compile(r"(\d+)")
_MOMENT = re.compile(
    r"(?<!\d)((?:19|20)\d\d)[-_.]?([01]\d)[-_.]?([0-3]\d)[-_ .T]?([0-2]\d)[-_.:]?([0-5]\d)[-_.:]?([0-5]\d)(?!\d)"
)
_SETTLED_NS = 2 * 10**9
_FARTHEST = 10**9  # maximum number of missing images in one gap

_Row = tuple[tuple[str, ...], str]
"""The numbers in a name, as written, and the name."""


@dataclass(frozen=True)
class ImageSequence:
    """Images that form a video."""

    name: str  # with `NUMBER` as placeholder: `camA_%d.jpg`
    files: tuple[str, ...]
    numbers: tuple[Fraction, ...]  # numbers of the files, ascending

    def paths(self, path: Path) -> list[Path]:
        """Return the paths of the images, given the path that stands for the sequence."""
        return [(path if path.is_dir() else path.parent) / name for name in self.files]

    @property
    def same(self) -> tuple[str, str] | None:
        """Two files with the same number, such as 1.jpg and 01.jpg, if there are any."""
        for (one, first), (two, second) in pairwise(zip(self.numbers, self.files, strict=True)):
            if one == two:
                return first, second
        return None

    @property
    def positions(self) -> NDArray[np.int64]:
        """Position of each image, int64 (files,), from 0; missing ones count, by the usual step of the numbers."""
        steps = [b - a for a, b in pairwise(self.numbers)]
        if not steps:
            return np.zeros(len(self.files), dtype=np.int64)
        usual = sorted(steps)[len(steps) // 4]
        if len(steps) == 1 and usual.denominator == 1:
            usual = Fraction(1)  # two images are too few to infer a larger step
        ahead = [min(max(1, round(step / usual)), _FARTHEST) if usual else 1 for step in steps]
        return np.cumsum([0, *ahead], dtype=np.int64)


@dataclass(frozen=True)
class Pictures:
    """The images directly in one folder."""

    sequences: tuple[ImageSequence, ...]
    masks: tuple[ImageSequence, ...]  # sequences whose names indicate masks or thumbnails
    loose: tuple[str, ...]  # names without a number, or without similar names


def pictures_in(folder: Path) -> Pictures:
    """Sort the images of a folder; the result is cached until the folder changes."""
    changed = folder.stat().st_mtime_ns
    if time.time_ns() - changed < _SETTLED_NS:  # further changes within a clock tick would go unnoticed
        return sort_pictures(folder, names_in(folder))
    return _remembered(folder, changed)


@lru_cache(maxsize=256)
def _remembered(folder: Path, changed: int) -> Pictures:
    return sort_pictures(folder, names_in(folder))


def names_in(folder: Path) -> list[str]:
    """Return the names of the files directly in a folder."""
    with os.scandir(folder) as entries:
        return [entry.name for entry in entries if not is_folder(entry)]


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is a folder, or a link to one."""
    try:
        return entry.is_dir()
    except OSError:  # a circular link
        return False


def sort_pictures(folder: Path, names: Iterable[str], least: int = 2) -> Pictures:
    """Sort the images among the names of a folder's files into sequences of at least `least` images."""
    pictures = sorted(name for name in names if is_picture(name) and not is_stack(folder / name))
    found, loose = list[ImageSequence](), list[str]()
    for sequence in _sequences(pictures):
        if len(sequence.files) >= least and sequence.name:
            found.append(sequence)
        else:
            loose += sequence.files
    found.sort(key=lambda sequence: sequence.name)
    plain = [sequence for sequence in found if not _says_mask(sequence)]
    numbers = {number for sequence in plain for number in sequence.numbers}
    masks = [sequence for sequence in found if sequence not in plain and numbers.issuperset(sequence.numbers)]
    return Pictures(tuple(s for s in found if s not in masks), tuple(masks), tuple(sorted(loose)))


def extension_of(name: str) -> str:
    """Return a name's extension in lower case, with the dot; "" if there is none."""
    return PurePath(name).suffix.lower()


def is_picture(name: str) -> bool:
    """Whether a name is that of an image and not hidden."""
    return not name.startswith(".") and extension_of(name) in IMAGE_EXTENSIONS


def sequence_at(path: Path) -> ImageSequence | None:
    """Return the sequence that a path stands for, a folder or a pattern such as `two/camA_%d.jpg`; or None."""
    if path.is_dir():
        sequences = pictures_in(path).sequences
        return sequences[0] if len(sequences) == 1 else None
    if NUMBER not in path.name or not path.parent.is_dir() or path.exists():
        return None
    there = pictures_in(path.parent)
    return next((found for found in (*there.sequences, *there.masks) if found.name == path.name), None)


def _says_mask(sequence: ImageSequence) -> bool:
    words = re.split(r"[\W\d_]+", PurePath(sequence.name.replace(NUMBER, "_")).stem.lower())
    return any(word in MASKS for word in words)


def _sequences(names: Sequence[str]) -> Iterable[ImageSequence]:
    alike: dict[tuple[str, ...], list[_Row]] = defaultdict(list)
    for name in names:
        parts = _DIGITS.split(PurePath(name).stem)
        key = (*parts[::2], extension_of(name))
        alike[key].append((tuple(parts[1::2]), name))
    joined: dict[tuple[str, ...], list[_Row]] = defaultdict(list)
    for texts, rows in alike.items():
        key, rows = _join_decimals(*_join_moments(texts, rows))
        joined[key] += rows
    for texts, rows in joined.items():
        yield from _split(texts, rows)


def _join_moments(texts: tuple[str, ...], rows: list[_Row]) -> tuple[tuple[str, ...], list[_Row]]:
    """Treat dates with a time of day as single numbers, if all names have one."""
    stems = [_in_seconds(PurePath(name).stem) for _, name in rows]
    if not all(stems):
        return texts, rows
    split = [_DIGITS.split(stem) for stem in stems]
    return (*split[0][::2], texts[-1]), [(tuple(parts[1::2]), row[1]) for parts, row in zip(split, rows, strict=True)]


def _in_seconds(stem: str) -> str:
    """Return a name with its date and time of day replaced by seconds; "" if it has none."""
    match = _MOMENT.search(stem)
    try:
        passed = datetime(*map(int, match.groups())) - datetime(1900, 1, 1) if match else None  # type: ignore[arg-type]
    except ValueError:  # not a valid date
        return ""
    return f"{stem[: match.start()]}{round(passed.total_seconds())}{stem[match.end() :]}" if match and passed else ""


def _join_decimals(texts: tuple[str, ...], rows: list[_Row]) -> tuple[tuple[str, ...], list[_Row]]:
    for slot in range(1, len(texts) - 2):
        if texts[slot] == "." and _are_decimals([(row[slot - 1], row[slot]) for row, _ in rows]):
            key = (*texts[:slot], *texts[slot + 1 :])
            return key, [
                ((*row[: slot - 1], f"{row[slot - 1]}.{row[slot]}", *row[slot + 1 :]), name) for row, name in rows
            ]
    return texts, rows


def _are_decimals(pairs: list[tuple[str, str]]) -> bool:
    """Whether 0.5 and 1.25 are decimal numbers, rather than shot 1, image 25."""
    fractions = [fraction for _, fraction in pairs]
    if len({len(fraction) for fraction in fractions}) > 1:  # 9 and 10 are integers, 5 and 25 decimals
        return not any(len(fraction) > 1 and fraction.endswith("0") for fraction in fractions)
    values = sorted((Fraction(f"{whole}.{fraction}"), whole) for whole, fraction in pairs)
    steps: dict[bool, list[Fraction]] = {True: [], False: []}
    for (one, first), (two, second) in pairwise(values):
        steps[first == second].append(two - one)
    within, across = steps[True], steps[False]
    return bool(across) and (not within or median(across) <= 3 * median(within))


def _split(texts: tuple[str, ...], rows: list[_Row]) -> Iterable[ImageSequence]:
    """Split by the values of all numbers but the one that counts the images."""
    slot, together = _counting([row for row, _ in rows])
    if slot < 0:
        yield ImageSequence("", tuple(name for _, name in rows), ())
        return
    groups: dict[tuple[str, ...], list[_Row]] = defaultdict(list)
    for row, name in rows:
        groups[() if together else row[:slot] + row[slot + 1 :]].append((row, name))
    for members in groups.values():
        members.sort(key=lambda member: (Fraction(member[0][slot]), member[1]))
        first = members[0][0]
        varies = [len({row[place] for row, _ in members}) > 1 or place == slot for place in range(len(first))]
        numbers = [NUMBER if varying else number for varying, number in zip(varies, first, strict=True)]
        name = "".join(text + number for text, number in zip(texts[:-1], [*numbers, ""], strict=True)) + texts[-1]
        counted = tuple(Fraction(row[slot]) for row, _ in members)
        yield ImageSequence(name, tuple(name for _, name in members), counted)


def _counting(rows: list[tuple[str, ...]]) -> tuple[int, bool]:
    """Return the index of the number that counts the images (-1 if none does), and whether the others vary with it.

    It is the last number for which most images have neighbors that agree in all other numbers: obj1__0, obj1__5.
    """
    slots = range(len(rows[0]))
    varying = [slot for slot in slots if len({row[slot] for row in rows}) > 1] or list(slots)[-1:]
    for slot in reversed(varying):
        alike = Counter((*row[:slot], *row[slot + 1 :]) for row in rows)
        if 2 * sum(count for count in alike.values() if count > 1) >= len(rows):
            return slot, False
    if not varying:
        return -1, False
    return varying[0], len(rows) > 1  # e.g. each name has a number and a time
