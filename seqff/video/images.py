"""Pictures as a video, read with OpenCV: numbered ones in a folder, or the pages of a TIFF."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from seqff.video.base import FrameReader
from seqff.video.changes import changes, shot_cuts, still_pairs
from seqff.video.entry import VideoEntry
from seqff.video.info import Frames, VideoInfo
from seqff.video.numbered import pictures_in, sequence_at
from seqff.video.runs import pack
from seqff.video.tiff import full_pages, is_stack

FPS = 25.0  # pictures carry no times; this is what FFmpeg assumes
_ENDINGS = {".png": b"IEND", ".jpg": b"\xff\xd9", ".jpeg": b"\xff\xd9"}  # OpenCV fills up cut images with grey


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
        else:
            raise ValueError(_why_not(path))

    @property
    def in_files(self) -> bool:
        """Whether each picture is a file of its own."""
        return not self._pages

    def __len__(self) -> int:
        return len(self.positions)

    def __getitem__(self, number: int) -> Frames:
        return load_image(self.files[number]) if self.in_files else load_page(self._bytes, self._pages[number])


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


def load_image(file: Path) -> Frames:
    """Reads one image as RGB, uint8 (H, W, 3).

    Raises:
        ValueError: it is damaged or no image.
        OSError: it cannot be read.
    """
    import cv2

    data = file.read_bytes()
    ending = _ENDINGS.get(file.suffix.lower(), b"")
    whole = ending in data[-4096:]
    try:
        image = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_COLOR) if data and whole else None
    except cv2.error:
        image = None
    if image is None:
        raise ValueError(f"{file.name} is damaged or no image")
    colours: Frames = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    return colours


def load_page(data: Any, page: int) -> Frames:
    """Reads one page of a TIFF as RGB, uint8 (H, W, 3).

    Args:
        data: uint8 (bytes,), the file.
        page: number of its directory.

    Raises:
        ValueError: it is damaged.
    """
    import cv2

    try:
        read, pages = cv2.imdecodemulti(data, cv2.IMREAD_COLOR, range=(page, page + 1))
    except cv2.error:
        read, pages = False, ()
    if not read or not pages:
        raise ValueError(f"page {page} is damaged")
    colours: Frames = cv2.cvtColor(pages[0], cv2.COLOR_BGR2RGB)
    return colours


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
    digest, sizes, damage = hashlib.blake2b(digest_size=16), [], stills.damage

    def sound() -> Iterator[Frames]:
        for number in range(len(stills)):
            beat()
            image = stills[number]
            if stills.in_files:
                file = stills.files[number]
                digest.update(file.name.encode(errors="surrogateescape") + file.read_bytes())
            sizes.append(image.shape[:2])
            yield image

    levels: list[float] = []
    try:
        levels.extend(changes(sound()))
    except ValueError as error:
        damage = f"damaged at frame {len(sizes)}: {error}"
        levels.extend(changes(stills[number] for number in range(len(sizes))))
    if not sizes:
        raise ValueError(damage)
    change, positions = np.asarray(levels), stills.positions[: len(sizes)]
    missing = int(positions[-1]) + 1 - len(sizes)
    remarks = [
        "images of several sizes; shown at the size of the first" * (len(set(sizes)) > 1),
        f"{missing} numbers missing: gaps in time" * bool(missing),
    ]
    return replace(
        entry,
        status="damaged" if damage else "ok",
        cause=damage or "; ".join(filter(None, remarks)),
        frames=len(sizes),
        height=int(sizes[0][0]),
        width=int(sizes[0][1]),
        fps=FPS,
        codec="images",
        container="images" if stills.in_files else "tiff",
        variable_rate=bool(missing),
        reader="opencv",
        access="random",
        time_base=(1, round(FPS)) if missing else (1, 1),
        pts_runs=pack(positions.tolist()) if missing else (),
        content_hash=digest.hexdigest(),
        key_runs=pack(range(len(sizes))),
        cut_runs=pack(shot_cuts(change)),
        still_runs=pack(still_pairs(change)),
    )


class ImagesReader(FrameReader):
    """Reads numbered pictures, or the pages of a TIFF; frame i is the i-th by number.

    Args:
        path: see `Stills`.
        info: what `VideoReader.info` shows.
    """

    name = "opencv"

    def __init__(self, path: str, info: VideoInfo) -> None:
        super().__init__(info)
        try:
            self._stills = Stills(Path(path))
        except (OSError, ValueError) as error:
            raise self._error(error) from error

    def _frame(self, index: int) -> Frames:
        try:
            return resized(self._stills[index], self._info.height, self._info.width)
        except (OSError, ValueError, IndexError) as error:
            raise self._error(f"frame {index}: {error}") from error
