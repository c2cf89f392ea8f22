"""Pictures as a video, read with OpenCV: numbered ones in a folder, or the pages of a TIFF."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from seqff.untrusted import read_plain
from seqff.video.base import FrameReader
from seqff.video.complete import is_complete_image
from seqff.video.entry import VideoEntry
from seqff.video.info import Frames, VideoInfo
from seqff.video.levels import DECLARED, Levels
from seqff.video.numbered import pictures_in, sequence_at
from seqff.video.picture import Samples, decode_page, decode_picture, shown
from seqff.video.picture_facts import PictureFacts
from seqff.video.picture_size import check_pixels
from seqff.video.runs import pack
from seqff.video.tiff import full_pages, is_stack

_MOST_BYTES = 2**30  # of a picture file: the samples of the largest frame allowed, twice
FPS = 25.0  # pictures carry no times; this is what FFmpeg assumes


class Stills:
    """The pictures that a path stands for, one by one.

    Args:
        path: a folder of numbered pictures, a name such as `two/camA_%d.jpg`, or a TIFF of several pages.

    Raises:
        ValueError: it is none of them, or two pictures have one number.
        OSError: it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.damage = ""
        self._pages: list[int] = []
        self._bytes: Any = None
        sequence = sequence_at(path)
        if sequence is not None:
            if sequence.same:
                raise ValueError(f"{' and '.join(sequence.same)} have the same number: rename one, or take it away")
            self.files = [(path if path.is_dir() else path.parent) / name for name in sequence.files]
            self.positions = sequence.positions
        elif is_stack(path):
            self._pages, self.damage = full_pages(path)
            self.files, self.positions = [path], np.arange(len(self._pages))
            self._bytes = np.memmap(path, dtype=np.uint8, mode="r")
            check_pixels(self._bytes.data)
        else:
            raise ValueError(_why_not(path))

    @property
    def in_files(self) -> bool:
        """Whether each picture is a file of its own."""
        return not self._pages

    def __len__(self) -> int:
        return len(self.positions)

    def samples(self, number: int) -> tuple[Samples, bool]:
        """Reads one picture; see `load_samples`.

        Raises:
            ValueError: it is damaged or no picture.
            OSError: it cannot be read.
        """
        if self.in_files:
            return load_samples(self.files[number])
        page = self._pages[number]
        found = decode_page(self._bytes, page)
        if found is None:
            raise ValueError(f"page {page} is damaged")
        return found


def stamped_files(path: Path) -> list[Path]:
    """Returns the files that make up a video: its pictures, or the one file.

    Raises:
        OSError: it is not there, or cannot be read.
    """
    sequence = sequence_at(path)
    if sequence is None:
        return [path]
    folder = path if path.is_dir() else path.parent
    return [folder / name for name in sequence.files]


def _why_not(path: Path) -> str:
    several = [sequence.name for sequence in pictures_in(path).sequences] if path.is_dir() else []
    if several:
        return f"holds {len(several)} numbered sequences: give one of them, as {path.name}/{several[0]}"
    return "is a folder, and not one of numbered images"


def load_samples(file: Path) -> tuple[Samples, bool]:
    """Reads one image at its depth; see `decode_picture`.

    Raises:
        ValueError: it is damaged or no image.
        OSError: it cannot be read.
    """
    data = read_plain(file, _MOST_BYTES)
    try:
        whole = data and is_complete_image(data)
        if whole:
            check_pixels(data)
        found = decode_picture(data) if whole else None
    except ValueError as error:
        raise ValueError(f"{file.name} {error}") from error
    if found is None:
        raise ValueError(f"{file.name} is damaged or no image")
    return found


def resized(image: Frames, height: int, width: int) -> Frames:
    """Returns the image at another size, averaging where it shrinks."""
    import cv2

    if image.shape[:2] == (height, width):
        return image
    shrinks = height * width < image.shape[0] * image.shape[1]
    scaled: Frames = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
    return scaled


def describe(entry: VideoEntry, path: Path, beat: Callable[[], None]) -> VideoEntry:
    """Reads all pictures of a video once; see `seqff.video.examine.examine`."""
    stills = Stills(path)
    digest, damage, seen = hashlib.blake2b(digest_size=16), stills.damage, PictureFacts()
    for number in range(len(stills)):
        beat()
        try:
            samples, transparent = stills.samples(number)
        except ValueError as error:
            damage = f"damaged at frame {number}: {error}"
            break
        if stills.in_files:
            file = stills.files[number]
            digest.update(file.name.encode(errors="surrogateescape") + read_plain(file, _MOST_BYTES))
        seen.note(samples, transparent)
    if not seen.sizes:
        raise ValueError(damage)
    positions = stills.positions[: len(seen.sizes)]
    missing = int(positions[-1]) + 1 - len(positions)
    remarks = [*seen.remarks(), *[f"{missing} numbers missing: gaps in time"] * bool(missing)]
    return replace(
        seen.described(entry),
        status="damaged" if damage else "ok",
        cause=damage or "; ".join(remarks),
        pages=1 if stills.in_files else len(stills),
        fps=FPS,
        codec="images",
        container="images" if stills.in_files else "tiff",
        variable_rate=bool(missing),
        reader="opencv",
        access="random",
        time_base=(1, round(FPS)) if missing else (1, 1),
        pts_runs=pack(positions.tolist()) if missing else (),
        content_hash=digest.hexdigest(),
    )


class ImagesReader(FrameReader):
    """Reads numbered pictures, or the pages of a TIFF; frame i is the i-th by number.

    Args:
        path: see `Stills`.
        info: what `VideoReader.info` shows.
        levels: of images of 16 bits; see `VideoEntry`.
    """

    name = "opencv"

    def __init__(self, path: str, info: VideoInfo, levels: Levels = DECLARED) -> None:
        super().__init__(info)
        self._levels = levels
        try:
            self._stills = Stills(Path(path))
        except (OSError, ValueError) as error:
            raise self._error(error) from error

    def _frame(self, index: int) -> Frames:
        try:
            samples, _ = self._stills.samples(index)
            return resized(shown(samples, self._levels), self._info.height, self._info.width)
        except (OSError, ValueError, IndexError) as error:
            raise self._error(f"frame {index}: {error}") from error
