"""Read the headers of image files before decoding allocates memory: size, pages, transparency, completeness."""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from seqff.untrusted import open_plain
from seqff.video.container import MAX_PIXELS

TIFF_EXTENSIONS = (".tif", ".tiff")
_PNG, _JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8"
_NUMBER = re.compile(rb"\s*(?:#[^\n]*\n\s*)*(\d{1,10})")
_MARKER = re.compile(rb"\xff([^\x00\xff])")
_AFTER_SCAN = re.compile(rb"\xff(?=[^\x00\xd0-\xd7\xff])")
_SUBFILE, _WIDTH, _HEIGHT, _SAMPLES_PER_PIXEL, _TILE_WIDTH, _TILE_HEIGHT = _TAGS = (254, 256, 257, 277, 322, 323)
_REDUCED, _MASK = 1, 4  # bits of _SUBFILE
_MOST_TAGS, _MOST_DIRECTORIES = 4096, 1_000_000

_Data = bytes | memoryview | NDArray[np.uint8]
_Sizes = Iterator[tuple[int, int]]


def check_pixels(data: bytes | memoryview) -> None:
    """Raise ValueError for an image that claims more pixels than a frame may have, or of an unknown format."""
    sizes = list(claimed_sizes(data))
    if not sizes:
        raise ValueError("is damaged, or no BMP, GIF, JPEG, PNG, PNM, TIFF or WebP")
    height, width = max(sizes, key=lambda size: size[0] * size[1])
    if height * width > MAX_PIXELS:
        raise ValueError(f"claims {width} x {height} px; allowed are {MAX_PIXELS} px")


def claimed_sizes(data: bytes | memoryview) -> _Sizes:
    """Yield each (height, width) at which an image may be decoded; nothing for unknown formats."""
    head = bytes(data[:32])
    try:
        if head[:8] == _PNG:
            width, height = struct.unpack(">II", head[16:24])
            yield height, width
        elif head[:2] == _JPEG:
            yield from _jpeg_size(data)
        elif head[:2] == b"BM":
            core = struct.unpack("<I", head[14:18])[0] == 12
            width, height = struct.unpack("<HH" if core else "<ii", head[18 : 22 if core else 26])
            yield abs(height), abs(width)
        elif head[:6] in (b"GIF87a", b"GIF89a"):
            width, height = struct.unpack("<HH", head[6:10])
            yield height, width
        elif head[:1] == b"P" and head[1:2] in b"123456":
            yield from _pnm_size(bytes(data[2:4096]))
        elif head[:4] == b"RIFF" and head[8:12] == b"WEBP":
            yield from _webp_size(head[12:16], bytes(data[20:32]))
        elif head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
            for tags in _tiff_directories(_reading(data)):  # all pages, because the page is chosen elsewhere
                yield tags.get(_HEIGHT, 0), tags.get(_WIDTH, 0)
                yield tags.get(_TILE_HEIGHT, 0), tags.get(_TILE_WIDTH, 0)
    except (struct.error, IndexError, ValueError):
        return


def _jpeg_size(data: bytes | memoryview) -> _Sizes:
    at = 2
    while at + 9 <= len(data):
        if data[at] != 0xFF:
            at += 1
            continue
        kind = data[at + 1]
        if kind in (0x00, 0x01, 0xFF) or 0xD0 <= kind <= 0xD8:
            at += 1 if kind == 0xFF else 2
            continue
        if 0xC0 <= kind <= 0xCF and kind not in (0xC4, 0xC8, 0xCC):
            yield struct.unpack(">HH", data[at + 5 : at + 9])
            return
        if kind in (0xD9, 0xDA):
            return
        at += 2 + struct.unpack(">H", data[at + 2 : at + 4])[0]


def _pnm_size(text: bytes) -> _Sizes:
    width = _NUMBER.match(text)
    height = _NUMBER.match(text, width.end()) if width else None
    if width and height:
        yield int(height[1]), int(width[1])


def _webp_size(kind: bytes, body: bytes) -> _Sizes:
    if kind == b"VP8X":
        yield int.from_bytes(body[7:10], "little") + 1, int.from_bytes(body[4:7], "little") + 1
    elif kind == b"VP8L":
        bits = int.from_bytes(body[1:5], "little")
        yield (bits >> 14 & 0x3FFF) + 1, (bits & 0x3FFF) + 1
    elif kind == b"VP8 ":
        width, height = struct.unpack("<HH", body[6:10])
        yield height & 0x3FFF, width & 0x3FFF


def is_complete_image(data: bytes) -> bool:
    """Whether a JPEG or PNG reaches its end marker; True for other images.

    Decoders fill missing parts with gray. Data after the end (the film of a motion photo, a phone's notes) is ignored.
    """
    if data[:2] == _JPEG:
        return _jpeg_ends(data)
    return _png_ends(data) if data[:8] == _PNG else True


def _jpeg_ends(data: bytes) -> bool:
    at = 2
    while marker := _MARKER.search(data, at):
        name, at = marker[1][0], marker.end()
        if name == 0xD9:
            return True
        if name == 0x01 or 0xD0 <= name <= 0xD8:  # markers without content
            continue
        at += int.from_bytes(data[at : at + 2], "big")
        if name == 0xDA:  # followed by entropy-coded data without a length
            after = _AFTER_SCAN.search(data, at)
            if after is None:
                return False
            at = after.start()
    return False


def _png_ends(data: bytes) -> bool:
    at = 8
    while len(data) - at >= 12 and data[at + 4 : at + 8] != b"IEND":
        at += 12 + int.from_bytes(data[at : at + 4], "big")
    return len(data) - at >= 12


def may_be_transparent(data: bytes) -> bool:
    """Whether an image has an alpha channel; only then may OpenCV leave it unrotated."""
    if data.startswith(_PNG):
        return data[25:26] in (b"\4", b"\6") or b"tRNS" in data[: max(0, data.find(b"IDAT"))]
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        place = {b"VP8X": 20, b"VP8L": 24}.get(data[12:16])
        return place is not None and bool(data[place : place + 1] > b"" and data[place] & 0x10)
    return data[:4] in (b"II*\0", b"MM\0*") and tiff_has_alpha(data)


def tiff_has_alpha(data: _Data) -> bool:
    """Whether the first image of a TIFF has 2 or 4 samples per pixel."""
    try:
        return next(_tiff_directories(_reading(data)), {}).get(_SAMPLES_PER_PIXEL) in (2, 4)
    except ValueError:
        return False


def is_stack(path: Path) -> bool:
    """Whether a file is a TIFF with several pages; False for broken links and unreadable files."""
    if path.suffix.lower() not in TIFF_EXTENSIONS:
        return False
    try:
        return len(full_pages(path, most=2)[0]) > 1
    except (OSError, ValueError):
        return False


def full_pages(path: Path, most: int = _MOST_DIRECTORIES) -> tuple[list[int], str]:
    """Find up to `most` directories of a TIFF that contain full images, not reduced copies or masks.

    Returns:
        Their numbers, and what is wrong if the chain of directories breaks off; else "".

    Raises:
        ValueError: the file is not a TIFF.
        OSError: the file cannot be read.
    """
    pages: list[int] = []
    with open_plain(path) as file:
        size = os.fstat(file.fileno()).st_size

        def read(at: int, count: int) -> bytes:
            file.seek(min(at, size))
            return file.read(count)

        try:
            for number, tags in enumerate(_tiff_directories(read)):
                if not tags.get(_SUBFILE, 0) & (_REDUCED | _MASK):
                    pages.append(number)
                if len(pages) >= most:
                    break
        except _CutShortError as error:
            return pages, str(error)
    return pages, ""


def _reading(data: _Data) -> Callable[[int, int], bytes]:
    return lambda at, count: bytes(data[at : at + count])


class _CutShortError(ValueError):
    """The chain of directories leads beyond the end of the file."""


def _tiff_directories(read: Callable[[int, int], bytes]) -> Iterator[dict[int, int]]:
    """Yield the `_TAGS` of each directory; raises ValueError if the file is not a TIFF, or is truncated."""
    head = read(0, 16)
    order = {b"II": "<", b"MM": ">"}.get(head[:2], "")
    version = struct.unpack(f"{order}H", head[2:4])[0] if order and len(head) >= 8 else 0
    if version not in (42, 43) or (version == 43 and len(head) < 16):
        raise ValueError("no TIFF file")
    pointer, counter, entry_bytes, value_at = ("Q", "Q", 20, 12) if version == 43 else ("I", "H", 12, 8)

    def number(letter: str, at: int) -> int:
        return int(struct.unpack(order + letter, read(at, struct.calcsize(f"={letter}")))[0])

    offset, seen = number(pointer, 8 if version == 43 else 4), set[int]()
    while offset and offset not in seen and len(seen) < _MOST_DIRECTORIES:
        seen.add(offset)
        try:
            count, begin = number(counter, offset), offset + struct.calcsize(f"={counter}")
            some = min(count, _MOST_TAGS) * entry_bytes
            entries, tags = read(begin, some), dict[int, int]()
            for place in range(0, some, entry_bytes):  # raises before the end if truncated
                tag, kind = struct.unpack_from(f"{order}HH", entries, place)
                if tag in _TAGS:
                    letter = {3: "H", 16: "Q"}.get(kind, "I")
                    (value,) = struct.unpack_from(order + letter, entries, place + value_at)
                    tags[tag] = max(value, tags.get(tag, 0))
            yield tags
            offset = number(pointer, begin + count * entry_bytes)
        except struct.error:
            raise _CutShortError(f"cut short: no directory at byte {offset}") from None
