"""Which part of a stored frame is shown, and in which shape: the container's crop, and pixels that are not square."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO

Crop = tuple[int, int, int, int]
"""Px that are hidden at the (left, top, right, bottom)."""
WHOLE: Crop = (0, 0, 0, 0)
_SQUARE = Fraction(1, 100)  # as near to square is: encoders round sizes, and players show no difference
_MOST_OBLONG = 8  # more is a damaged header
Orientation = tuple[int, int, int, int]
"""A display matrix in signs (a, b, c, d): x' = a x + c y, y' = b x + d y."""
UPRIGHT: Orientation = (1, 0, 0, 1)

_Span = tuple[int, int]  # begin and end of a box or an element in the file
_SEGMENT, _TRACKS, _TRACK, _VIDEO = 0x18538067, 0x1654AE6B, 0xAE, 0xE0
_SIZES, _CROPS = (0xB0, 0xBA), (0x54CC, 0x54BB, 0x54DD, 0x54AA)  # width, height; left, top, right, bottom
_ENTRY_BYTES = 78  # of a video in `stsd`, before the boxes in it


def pixel_aspect(stream: Any) -> Fraction:
    """Returns width to height of a pixel of a PyAV video stream: the container's word, else the codec's, else 1."""
    aspect = stream.sample_aspect_ratio or stream.codec_context.sample_aspect_ratio
    return Fraction(aspect) if aspect and aspect > 0 else Fraction(1)


def plausible_aspect(aspect: Fraction) -> Fraction:
    """Returns the aspect of a pixel, or 1 where it is nearly square or absurd."""
    return Fraction(1) if abs(aspect - 1) <= _SQUARE or is_absurd(aspect) else aspect


def is_absurd(aspect: Fraction) -> bool:
    """Whether pixels are so oblong that the header must be wrong."""
    return not Fraction(1, _MOST_OBLONG) <= aspect <= _MOST_OBLONG


def display_size(stored: tuple[int, int], aspect: Fraction, crop: Crop = WHOLE) -> tuple[int, int]:
    """Returns the (height, width) px at which a stored frame is shown with square pixels, its height kept."""
    left, top, right, bottom = crop
    return stored[0] - top - bottom, max(1, round((stored[1] - left - right) * aspect))


def crop_of(path: str, container: str, size: tuple[int, int]) -> Crop:
    """Returns what the container hides of the first video track of this size: `clap` of MP4, PixelCrop of Matroska.

    FFmpeg's libraries know of it and leave the rest to the player, so it is read from the file itself.

    Args:
        path: the file.
        container: as FFmpeg names the format.
        size: (height, width) px of the stored frames.

    Returns:
        The crop; `WHOLE` where there is none, or none that leaves a picture.
    """
    find = _of_mov if "mov" in container else _of_matroska if "matroska" in container else None
    if find is None:
        return WHOLE
    try:
        with Path(path).open("rb") as file:
            end = file.seek(0, 2)
            left, top, right, bottom = crop = next(find(file, (0, end), size), WHOLE)
    except (OSError, ValueError, struct.error, ZeroDivisionError):
        return WHOLE
    leaves = min(crop) >= 0 and top + bottom < size[0] and left + right < size[1]
    return crop if leaves else WHOLE


def _boxes(file: BinaryIO, span: _Span) -> Iterator[tuple[bytes, _Span]]:
    at, end = span
    while at + 8 <= end:
        file.seek(at)
        size, kind = struct.unpack(">I4s", file.read(8))
        head = 8
        if size == 1:
            size, head = struct.unpack(">Q", file.read(8))[0], 16
        size = end - at if size == 0 else size
        if size < head:
            return
        yield kind, (at + head, min(at + size, end))
        at += size


def _inside(file: BinaryIO, span: _Span, *kinds: bytes) -> Iterator[_Span]:
    for kind, inner in _boxes(file, span):
        if kind == kinds[0]:
            yield from _inside(file, inner, *kinds[1:]) if kinds[1:] else (inner,)


def _of_mov(file: BinaryIO, span: _Span, size: tuple[int, int]) -> Iterator[Crop]:
    for begin, end in _inside(file, span, b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd"):
        for _, (entry, stop) in _boxes(file, (begin + 8, end)):
            file.seek(entry + 24)
            if struct.unpack(">HH", file.read(4)) == size[::-1]:
                for place, _ in _inside(file, (entry + _ENTRY_BYTES, stop), b"clap"):
                    file.seek(place)
                    yield _clean(struct.unpack(">8i", file.read(32)), size)


def _clean(clap: tuple[int, ...], size: tuple[int, int]) -> Crop:
    """Turns a clean aperture (width, height, offsets of its middle; each a fraction) into a crop."""
    width, height, right, down = (clap[2 * i] / clap[2 * i + 1] for i in range(4))
    left, top = (size[1] - width) / 2 + right, (size[0] - height) / 2 + down
    return round(left), round(top), round(size[1] - width - left), round(size[0] - height - top)


def _elements(file: BinaryIO, span: _Span) -> Iterator[tuple[int, _Span]]:
    at, end = span
    while at < end:
        file.seek(at)
        head = file.read(12)
        id_bytes = 9 - head[0].bit_length()
        size_bytes = 9 - head[id_bytes].bit_length()
        begin = at + id_bytes + size_bytes
        size = int.from_bytes(head[id_bytes : id_bytes + size_bytes], "big") & ((1 << 7 * size_bytes) - 1)
        unknown = size == (1 << 7 * size_bytes) - 1
        at = end if unknown else begin + size
        yield int.from_bytes(head[:id_bytes], "big"), (begin, min(at, end))


def _of_matroska(file: BinaryIO, span: _Span, size: tuple[int, int]) -> Iterator[Crop]:
    for kind, inner in _elements(file, span):
        if kind in (_SEGMENT, _TRACK):
            yield from _of_matroska(file, inner, size)
        elif kind == _TRACKS:
            yield from _of_matroska(file, inner, size)
            return
        elif kind == _VIDEO:
            found = {}
            for name, (begin, end) in _elements(file, inner):
                file.seek(begin)
                found[name] = int.from_bytes(file.read(min(end - begin, 8)), "big")
            if tuple(found.get(name) for name in _SIZES) == size[::-1]:
                left, top, right, bottom = (found.get(name, 0) for name in _CROPS)
                yield left, top, right, bottom
