"""One picture file decoded with OpenCV: its depth kept, transparent parts on black."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from seqff.video.info import Frames
from seqff.video.levels import DECLARED, Levels, in_eight_bits
from seqff.video.pixels import on_black

Samples = NDArray[np.uint8] | NDArray[np.uint16]
"""A picture at the depth of its file, RGB (H, W, 3)."""
_PNG = b"\x89PNG\r\n\x1a\n"
_SAMPLES_PER_PIXEL = 277  # a tag of TIFF


def decode_picture(data: bytes) -> tuple[Samples, bool] | None:
    """Decodes a picture of any kind OpenCV knows, upright as its EXIF says.

    Returns:
        Its samples, uint8 or uint16 (H, W, 3), and whether it has transparent parts; None where nothing can be decoded.

    Raises:
        ValueError: its samples are of another kind.
    """
    import cv2

    coded = np.frombuffer(data, dtype=np.uint8)
    try:
        image = cv2.imdecode(coded, cv2.IMREAD_UNCHANGED) if _may_be_transparent(data) else None
        if image is None or image.ndim < 3 or image.shape[2] != 4:
            image = cv2.imdecode(coded, cv2.IMREAD_ANYDEPTH | cv2.IMREAD_COLOR)
        if image is None:  # OpenCV makes no colors of grey floating-point TIFFs
            image = cv2.imdecode(coded, cv2.IMREAD_ANYDEPTH)
    except cv2.error:
        return None
    return None if image is None else plain_picture(image)


def decode_page(data: NDArray[np.uint8], page: int) -> tuple[Samples, bool] | None:
    """Decodes one page of a TIFF; see `decode_picture`.

    Args:
        data: uint8 (bytes,), the file.
        page: number of its directory.
    """
    import cv2

    wanted = [cv2.IMREAD_ANYDEPTH | cv2.IMREAD_COLOR, cv2.IMREAD_ANYDEPTH]
    for how in [cv2.IMREAD_UNCHANGED] if _samples_per_pixel(data) in (2, 4) else wanted:
        try:
            read, pages = cv2.imdecodemulti(data, how, range=(page, page + 1))
        except cv2.error:
            return None
        if read and pages:
            return plain_picture(pages[0])
    return None


def plain_picture(image: NDArray[Any]) -> tuple[Samples, bool]:
    """Turns a picture as OpenCV gives it, (H, W) or BGR or BGRA, into RGB on black.

    Returns:
        Its samples, uint8 or uint16 (H, W, 3), and whether it has transparent parts.

    Raises:
        ValueError: its samples are of another kind.
    """
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


def shown(samples: Samples, levels: Levels) -> Frames:
    """Returns a picture in 8 bits: deep ones at these levels, by 16 bits where there are none."""
    if samples.dtype == np.uint8:
        return cast(Frames, samples)
    return in_eight_bits(samples.astype(np.uint16, copy=False), (0, 2**16 - 1) if levels == DECLARED else levels)


def _may_be_transparent(data: bytes) -> bool:
    """Whether a picture has a channel for transparency; only then may OpenCV leave it unturned."""
    if data.startswith(_PNG):
        return data[25:26] in (b"\4", b"\6") or b"tRNS" in data[: max(0, data.find(b"IDAT"))]
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        place = {b"VP8X": 20, b"VP8L": 24}.get(data[12:16])
        return place is not None and bool(data[place : place + 1] > b"" and data[place] & 0x10)
    return data[:4] in (b"II*\0", b"MM\0*") and _samples_per_pixel(data) in (2, 4)


def _samples_per_pixel(data: bytes | NDArray[np.uint8]) -> int:
    """Reads a number off the first directory of a TIFF; 1 where it is not there."""
    order: Any = "little" if bytes(data[:2]) == b"II" else "big"

    def number(begin: int, end: int) -> int:
        return int.from_bytes(bytes(data[begin:end]), order)

    begin = number(4, 8)
    for place in range(begin + 2, begin + 2 + 12 * number(begin, begin + 2), 12):
        if number(place, place + 2) == _SAMPLES_PER_PIXEL:
            return number(place + 8, place + 10)
    return 1
