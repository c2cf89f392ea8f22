"""Images as a video, read with OpenCV: numbered files in a folder, or the pages of a TIFF."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqff.terminal import counted
from seqff.untrusted import read_plain
from seqff.video.content import ContentStatistics
from seqff.video.conversion import on_black
from seqff.video.entry import VideoEntry, pack
from seqff.video.image_headers import (
    check_pixels,
    full_pages,
    is_complete_image,
    is_stack,
    may_be_transparent,
    tiff_has_alpha,
)
from seqff.video.levels import Samples, to_uint8
from seqff.video.numbered import pictures_in, sequence_at
from seqff.video.reader import Frames, VideoInfo, VideoReader

_MOST_BYTES = 2**30  # limit on an image file: twice the samples of the largest allowed frame
FPS = 25.0  # FFmpeg's default for images, which have no times


class ImageStack:
    """The images of a folder of numbered files, of a pattern such as `two/camA_%d.jpg`, or of a TIFF of several pages.

    The constructor and reads raise ValueError for damaged or unsupported files, and OSError for unreadable ones.

    Attributes:
        files: one per image, or the TIFF.
        positions: position of each image; see `VideoEntry.positions`.
        damage: why pages of a TIFF are missing; "" if none are.
    """

    def __init__(self, path: Path) -> None:
        self.damage = ""
        self._pages: list[int] = []
        sequence = sequence_at(path)
        if sequence is not None:
            if sequence.same:
                raise ValueError(f"{' and '.join(sequence.same)} have the same number: rename one, or take it away")
            self.files = sequence.paths(path)
            self.positions = sequence.positions
        elif is_stack(path):
            self._pages, self.damage = full_pages(path)
            self.files, self.positions = [path], np.arange(len(self._pages))
            self._bytes = np.memmap(path, dtype=np.uint8, mode="r")
            check_pixels(self._bytes.data)
        elif path.is_dir() and (several := pictures_in(path).sequences):
            example = f"{path.name}/{several[0].name}"
            raise ValueError(f"holds {len(several)} numbered sequences: give one of them, as {example}")
        else:
            raise ValueError("is a folder, and not one of numbered images")

    @property
    def in_files(self) -> bool:
        """Whether each image has its own file."""
        return not self._pages

    def __len__(self) -> int:
        return len(self.positions)

    def samples(self, number: int) -> tuple[Samples, bool]:
        """Read one image; see `load_samples`."""
        if self.in_files:
            return load_samples(self.files[number])
        page = self._pages[number]
        found = _decode_page(self._bytes, page)
        if found is None:
            raise ValueError(f"page {page} is damaged")
        return found


def files_of(path: Path) -> list[Path]:
    """Return the files of a video: its images, or the file itself; raises OSError if they do not exist."""
    sequence = sequence_at(path)
    return [path] if sequence is None else sequence.paths(path)


def load_samples(file: Path) -> tuple[Samples, bool]:
    """Read an image of any format that OpenCV supports at its full depth, upright according to its EXIF data.

    Returns:
        Its samples, uint8 or uint16 (H, W, 3), RGB composited on black, and whether it has transparent parts.

    Raises:
        ValueError: the file is damaged or not an image.
        OSError: the file cannot be read.
    """
    data = read_plain(file, _MOST_BYTES)
    try:
        whole = data and is_complete_image(data)
        if whole:
            check_pixels(data)
        found = _decode(data) if whole else None
    except ValueError as error:
        raise ValueError(f"{file.name} {error}") from error
    if found is None:
        raise ValueError(f"{file.name} is damaged or no image")
    return found


def _decode(data: bytes) -> tuple[Samples, bool] | None:
    import cv2

    coded = np.frombuffer(data, dtype=np.uint8)
    try:
        image = cv2.imdecode(coded, cv2.IMREAD_UNCHANGED) if may_be_transparent(data) else None
        if image is None or image.ndim < 3 or image.shape[2] != 4:
            image = cv2.imdecode(coded, cv2.IMREAD_ANYDEPTH | cv2.IMREAD_COLOR)
        if image is None:  # OpenCV cannot convert gray floating-point TIFFs to color
            image = cv2.imdecode(coded, cv2.IMREAD_ANYDEPTH)
    except cv2.error:
        return None
    return None if image is None else _opaque_rgb(image)


def _decode_page(data: NDArray[np.uint8], page: int) -> tuple[Samples, bool] | None:
    """Decode a page of a TIFF; `data` (bytes,) is the file and `page` the number of its directory."""
    import cv2

    color = [cv2.IMREAD_ANYDEPTH | cv2.IMREAD_COLOR, cv2.IMREAD_ANYDEPTH]
    for how in [cv2.IMREAD_UNCHANGED] if tiff_has_alpha(data) else color:
        try:
            read, pages = cv2.imdecodemulti(data, how, range=(page, page + 1))
        except cv2.error:
            return None
        if read and pages:
            return _opaque_rgb(pages[0])
    return None


def _opaque_rgb(image: NDArray[Any]) -> tuple[Samples, bool]:
    """Convert an OpenCV image, (H, W) or BGR or BGRA, to RGB on black; also return whether it was transparent."""
    if image.dtype == np.int16 and image.min() >= 0:
        image = image.astype(np.uint16)
    if image.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"holds samples of {image.dtype}; allowed are whole numbers from 0 of 8 or 16 bits")
    if image.ndim == 2:
        image = image[:, :, None]
    transparent = False
    if image.shape[2] == 4:
        alpha, opaque = image[:, :, 3:], int(np.iinfo(image.dtype).max)
        transparent = int(alpha.min()) < opaque
        image = on_black(image[:, :, :3], alpha, opaque) if transparent else image
    colors = image[:, :, 2::-1] if image.shape[2] > 2 else np.repeat(image[:, :, :1], 3, axis=2)
    return np.ascontiguousarray(colors), transparent


def resized(image: Frames, height: int, width: int) -> Frames:
    """Resize an image; shrinking uses area averaging."""
    import cv2

    if image.shape[:2] == (height, width):
        return image
    shrinks = height * width < image.shape[0] * image.shape[1]
    scaled: Frames = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
    return scaled


def describe(entry: VideoEntry, path: Path, heartbeat: Callable[[], None]) -> VideoEntry:
    """Read all images of a video once; see `seqff.video.examine.examine`."""
    stack = ImageStack(path)
    digest, damage, seen = hashlib.blake2b(digest_size=16), stack.damage, ContentStatistics()
    for number in range(len(stack)):
        heartbeat()
        try:
            samples, transparent = stack.samples(number)
        except ValueError as error:
            damage = f"damaged at frame {number}: {error}"
            break
        if stack.in_files:
            file = stack.files[number]
            digest.update(file.name.encode(errors="surrogateescape") + read_plain(file, _MOST_BYTES))
        seen.add(samples, transparent)
    if not seen.sizes:
        raise ValueError(damage)
    positions = stack.positions[: len(seen.sizes)]
    missing = int(positions[-1]) + 1 - len(positions)
    remarks = [*seen.remarks(), *[f"{counted(missing, 'number')} missing: gaps in time"] * bool(missing)]
    return seen.described(
        entry,
        status="damaged" if damage else "ok",
        cause=damage or "; ".join(remarks),
        pages=1 if stack.in_files else len(stack),
        fps=FPS,
        codec="images",
        container="images" if stack.in_files else "tiff",
        variable_rate=bool(missing),
        reader="opencv",
        access="random",
        time_base=(1, round(FPS)) if missing else (1, 1),
        pts_runs=pack(positions.tolist()) if missing else (),
        content_hash=digest.hexdigest(),
    )


class ImagesReader(VideoReader):
    """Reads numbered images, or the pages of a TIFF; frame i is the i-th by number."""

    name = "opencv"

    def __init__(self, path: str, info: VideoInfo, entry: VideoEntry) -> None:
        super().__init__(info)
        self._levels = entry.levels
        try:
            self._stack = ImageStack(Path(path))
        except (OSError, ValueError) as error:
            raise self._error(error) from error

    def _frame(self, index: int) -> Frames:
        try:
            samples, _ = self._stack.samples(index)
            return resized(to_uint8(samples, self._levels), self._info.height, self._info.width)
        except (OSError, ValueError, IndexError) as error:
            raise self._error(f"frame {index}: {error}") from error
