"""A folder of numbered images as a video, read with OpenCV."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from seqff.video.base import FrameReader
from seqff.video.complete import is_complete_image
from seqff.video.entry import VideoEntry
from seqff.video.info import Frames, VideoInfo
from seqff.video.levels import DECLARED, Levels
from seqff.video.picture import Samples, decode_picture, shown
from seqff.video.picture_facts import PictureFacts

IMAGE_EXTENSIONS = (".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp")
FPS = 25.0  # images carry no times; this is what FFmpeg assumes
_NUMBERED = re.compile(r"(.*?)(\d+)$")


def image_files(folder: Path) -> list[Path]:
    """Returns the images of a folder that is one numbered sequence, by number; of any other folder, nothing.

    Numbered are names like frame_0001.png with one prefix and one extension; other files may stand beside them.
    """
    found: dict[tuple[str, str], list[tuple[int, Path]]] = {}
    for file in folder.iterdir():
        match = _NUMBERED.match(file.stem)
        if match and file.suffix.lower() in IMAGE_EXTENSIONS and not file.name.startswith("."):
            found.setdefault((match[1], file.suffix.lower()), []).append((int(match[2]), file))
    if len(found) != 1:
        return []
    (numbered,) = found.values()
    return [file for _, file in sorted(numbered)]


def load_image(file: Path, levels: Levels = DECLARED) -> Frames:
    """Reads one image as RGB, uint8 (H, W, 3), transparent parts on black.

    Args:
        file: the image.
        levels: the samples shown as 0 and 255, of an image of 16 bits; see `VideoEntry`.

    Raises:
        ValueError: it is damaged or no image.
        OSError: it cannot be read.
    """
    return shown(load_samples(file)[0], levels)


def load_samples(file: Path) -> tuple[Samples, bool]:
    """Reads one image at its depth; see `decode_picture` and `load_image`."""
    data = file.read_bytes()
    whole = data and is_complete_image(data)
    try:
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


def describe(entry: VideoEntry, folder: Path, beat: Callable[[], None]) -> VideoEntry:
    """Reads all images of a folder once; see `seqff.video.examine.examine`."""
    files = image_files(folder)
    if not files:
        raise OSError("is a folder, and not one of numbered images")
    digest, damage, seen = hashlib.blake2b(digest_size=16), "", PictureFacts()
    for file in files:
        beat()
        try:
            samples, transparent = load_samples(file)
        except ValueError as error:
            damage = f"damaged at frame {len(seen.sizes)}: {error}"
            break
        digest.update(file.name.encode(errors="surrogateescape") + file.read_bytes())
        seen.note(samples, transparent)
    if not seen.sizes:
        raise ValueError(damage)
    return replace(
        seen.described(entry),
        status="damaged" if damage else "ok",
        cause=damage or "; ".join(seen.remarks()),
        fps=FPS,
        codec="images",
        container="images",
        reader="opencv",
        access="random",
        content_hash=digest.hexdigest(),
    )


class ImagesReader(FrameReader):
    """Reads a folder of numbered images; frame i is the i-th by number.

    Args:
        path: the folder.
        info: what `VideoReader.info` shows.
        levels: of images of 16 bits; see `VideoEntry`.
    """

    name = "opencv"

    def __init__(self, path: str, info: VideoInfo, levels: Levels = DECLARED) -> None:
        super().__init__(info)
        self._levels = levels
        self._files = image_files(Path(path))

    def _frame(self, index: int) -> Frames:
        try:
            return resized(load_image(self._files[index], self._levels), self._info.height, self._info.width)
        except (OSError, ValueError, IndexError) as error:
            raise self._error(f"frame {index}: {error}") from error
