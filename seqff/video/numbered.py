"""Which pictures of a folder are one video: names alike but for one number, in the order of that number."""

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
"""Stands for the number in the name of a sequence, as in FFmpeg's patterns."""
_MASKS = """
    annotation annotations groundtruth gt label labels mask masks matte mattes preview previews seg segmentation
    segmentationclass segmentationobject segmentations thumb thumbnail thumbnails thumbs
"""
MASKS = frozenset(_MASKS.split())
"""Names of what is no picture of its own, but stands for one or says something about it."""
_DIGITS = re.compile(r"(\d+)")
_MOMENT = re.compile(
    r"(?<!\d)((?:19|20)\d\d)[-_.]?([01]\d)[-_.]?([0-3]\d)[-_ .T]?([0-2]\d)[-_.:]?([0-5]\d)[-_.:]?([0-5]\d)(?!\d)"
)
_SETTLED_NS = 2 * 10**9
_FARTHEST = 10**9  # pictures missing in one place

_Row = tuple[tuple[str, ...], str]
"""The numbers in a name, as they are written, and the name."""


@dataclass(frozen=True)
class ImageSequence:
    """Pictures that are one video."""

    name: str  # with `NUMBER` in place of the number: `camA_%d.jpg`
    files: tuple[str, ...]
    numbers: tuple[Fraction, ...]  # of the files, ascending

    def paths(self, path: Path) -> list[Path]:
        """Return where the pictures lie, by the path that stands for the sequence."""
        return [(path if path.is_dir() else path.parent) / name for name in self.files]

    @property
    def same(self) -> tuple[str, str] | None:
        """Two files with one number, such as 1.jpg and 01.jpg, if there are such."""
        for (one, first), (two, second) in pairwise(zip(self.numbers, self.files, strict=True)):
            if one == two:
                return first, second
        return None

    @property
    def positions(self) -> NDArray[np.int64]:
        """Where each picture stands, int64 (files,), from 0: missing ones count, by the usual step of the numbers."""
        steps = [b - a for a, b in pairwise(self.numbers)]
        if not steps:
            return np.zeros(len(self.files), dtype=np.int64)
        usual = sorted(steps)[len(steps) // 4]
        if len(steps) == 1 and usual.denominator == 1:
            usual = Fraction(1)  # two pictures do not say that only every n-th is there
        ahead = [min(max(1, round(step / usual)), _FARTHEST) if usual else 1 for step in steps]
        return np.cumsum([0, *ahead], dtype=np.int64)


@dataclass(frozen=True)
class Pictures:
    """The pictures directly in one folder."""

    sequences: tuple[ImageSequence, ...]
    masks: tuple[ImageSequence, ...]  # sequences whose names say that they are masks or thumbnails of others
    loose: tuple[str, ...]  # names without a number, or with no other like them


def pictures_in(folder: Path) -> Pictures:
    """Sort the pictures of a folder; ask the disk again only when the folder has changed."""
    changed = folder.stat().st_mtime_ns
    if time.time_ns() - changed < _SETTLED_NS:  # what comes within a tick of the clock does not change the time again
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
    """Whether it is a folder, or a link to one."""
    try:
        return entry.is_dir()
    except OSError:  # a link in a circle
        return False


def sort_pictures(folder: Path, names: Iterable[str], least: int = 2) -> Pictures:
    """Sort the pictures among the names of a folder's files into sequences of at least so many pictures."""
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
    """Return a name's extension in small letters, with the dot; "" where there is none."""
    return PurePath(name).suffix.lower()


def is_picture(name: str) -> bool:
    """Whether a name is that of a picture, and not hidden."""
    return not name.startswith(".") and extension_of(name) in IMAGE_EXTENSIONS


def sequence_at(path: Path) -> ImageSequence | None:
    """Return the sequence that a path stands for: a folder with one, or a name such as `two/camA_%d.jpg`; or None."""
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
    """Take dates with a time of day for one number each, if all names have one."""
    stems = [_in_seconds(PurePath(name).stem) for _, name in rows]
    if not all(stems):
        return texts, rows
    split = [_DIGITS.split(stem) for stem in stems]
    return (*split[0][::2], texts[-1]), [(tuple(parts[1::2]), row[1]) for parts, row in zip(split, rows, strict=True)]


def _in_seconds(stem: str) -> str:
    """Return a name with its date and time of day as a number of seconds; "" if it has none."""
    match = _MOMENT.search(stem)
    try:
        passed = datetime(*map(int, match.groups())) - datetime(1900, 1, 1) if match else None  # type: ignore[arg-type]
    except ValueError:  # only looks like one
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
    """Whether 0.5 and 1.25 are meant, and not shot 1, picture 25."""
    fractions = [fraction for _, fraction in pairs]
    if len({len(fraction) for fraction in fractions}) > 1:  # 9 and 10 count, 5 and 25 are decimals
        return not any(len(fraction) > 1 and fraction.endswith("0") for fraction in fractions)
    values = sorted((Fraction(f"{whole}.{fraction}"), whole) for whole, fraction in pairs)
    steps: dict[bool, list[Fraction]] = {True: [], False: []}
    for (one, first), (two, second) in pairwise(values):
        steps[first == second].append(two - one)
    within, across = steps[True], steps[False]
    return bool(across) and (not within or median(across) <= 3 * median(within))


def _split(texts: tuple[str, ...], rows: list[_Row]) -> Iterable[ImageSequence]:
    """Make a sequence for each value of the numbers that do not count its pictures."""
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
    """Say which number counts the pictures, and whether the others run along with it; -1 if there is none.

    It is the last one by which most pictures have neighbors, alike in all other numbers: obj1__0, obj1__5.
    """
    slots = range(len(rows[0]))
    varying = [slot for slot in slots if len({row[slot] for row in rows}) > 1] or list(slots)[-1:]
    for slot in reversed(varying):
        alike = Counter((*row[:slot], *row[slot + 1 :]) for row in rows)
        if 2 * sum(count for count in alike.values() if count > 1) >= len(rows):
            return slot, False
    if not varying:
        return -1, False
    return varying[0], len(rows) > 1  # such as a time beside each number
