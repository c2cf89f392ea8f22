"""A folder of numbered images as a video, read with OpenCV."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from seqff.video.base import FrameReader
from seqff.video.changes import changes, shot_cuts, still_pairs
from seqff.video.complete import is_complete_image
from seqff.video.entry import VideoEntry
from seqff.video.info import Frames, VideoInfo
from seqff.video.runs import pack

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


def load_image(file: Path) -> Frames:
    """Reads one image as RGB, uint8 (H, W, 3).

    Raises:
        ValueError: it is damaged or no image.
        OSError: it cannot be read.
    """
    import cv2

    data = file.read_bytes()
    whole = data and is_complete_image(data)
    try:
        image = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_COLOR) if whole else None
    except cv2.error:
        image = None
    if image is None:
        raise ValueError(f"{file.name} is damaged or no image")
    colours: Frames = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    return colours


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
    digest, sizes, damage = hashlib.blake2b(digest_size=16), [], ""

    def sound() -> Iterator[Frames]:
        for file in files:
            beat()
            image = load_image(file)
            digest.update(file.name.encode(errors="surrogateescape") + file.read_bytes())
            sizes.append(image.shape[:2])
            yield image

    levels: list[float] = []
    try:
        levels.extend(changes(sound()))
    except ValueError as error:
        damage = f"damaged at frame {len(sizes)}: {error}"
        levels.extend(changes(load_image(file) for file in files[: len(sizes)]))
    if not sizes:
        raise ValueError(damage)
    change = np.asarray(levels)
    return replace(
        entry,
        status="damaged" if damage else "ok",
        cause=damage or ("" if len(set(sizes)) == 1 else "images of several sizes; shown at the size of the first"),
        frames=len(sizes),
        height=int(sizes[0][0]),
        width=int(sizes[0][1]),
        fps=FPS,
        codec="images",
        container="images",
        reader="opencv",
        access="random",
        content_hash=digest.hexdigest(),
        key_runs=pack(range(len(sizes))),
        cut_runs=pack(shot_cuts(change)),
        still_runs=pack(still_pairs(change)),
    )


class ImagesReader(FrameReader):
    """Reads a folder of numbered images; frame i is the i-th by number.

    Args:
        path: the folder.
        info: what `VideoReader.info` shows.
    """

    name = "opencv"

    def __init__(self, path: str, info: VideoInfo) -> None:
        super().__init__(info)
        self._files = image_files(Path(path))

    def _frame(self, index: int) -> Frames:
        try:
            return resized(load_image(self._files[index]), self._info.height, self._info.width)
        except (OSError, ValueError, IndexError) as error:
            raise self._error(f"frame {index}: {error}") from error
