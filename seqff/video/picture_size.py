"""How large a picture says it is, read off its header: decoders take the memory for it before they look further."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

from seqff.video.source import MAX_PIXELS

_NUMBER = re.compile(rb"\s*(?:#[^\n]*\n\s*)*(\d{1,10})")
_WIDTH, _HEIGHT, _TILE_WIDTH, _TILE_HEIGHT = 256, 257, 322, 323  # tags of TIFF
_MOST_TAGS = 4096


def check_pixels(data: bytes | memoryview) -> None:
    """Raises ValueError for a picture that claims more than the most pixels a frame may have, or of a kind unknown."""
    sizes = list(claimed_sizes(bytes(data[:32]), data))
    if not sizes:
        raise ValueError("is damaged, or no BMP, GIF, JPEG, PNG, PNM, TIFF or WebP")
    height, width = max(sizes, key=lambda size: size[0] * size[1])
    if height * width > MAX_PIXELS:
        raise ValueError(f"claims {width} x {height} px; allowed are {MAX_PIXELS} px")


def claimed_sizes(head: bytes, data: bytes | memoryview) -> Iterator[tuple[int, int]]:
    """Yields each (height, width) that a picture may be decoded at; none of a kind that is not known.

    Args:
        head: its first 32 bytes.
        data: all of it.
    """
    try:
        if head[:8] == b"\x89PNG\r\n\x1a\n":
            width, height = struct.unpack(">II", head[16:24])
            yield height, width
        elif head[:2] == b"\xff\xd8":
            yield from _jpeg(data)
        elif head[:2] == b"BM":
            core = struct.unpack("<I", head[14:18])[0] == 12
            width, height = struct.unpack("<HH" if core else "<ii", head[18 : 22 if core else 26])
            yield abs(height), abs(width)
        elif head[:6] in (b"GIF87a", b"GIF89a"):
            width, height = struct.unpack("<HH", head[6:10])
            yield height, width
        elif head[:1] == b"P" and head[1:2] in b"123456":
            yield from _pnm(bytes(data[2:4096]))
        elif head[:4] == b"RIFF" and head[8:12] == b"WEBP":
            yield from _webp(head[12:16], bytes(data[20:32]))
        elif head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
            yield from _tiff(data)
    except (struct.error, IndexError):
        return


def _jpeg(data: bytes | memoryview) -> Iterator[tuple[int, int]]:
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


def _pnm(text: bytes) -> Iterator[tuple[int, int]]:
    width = _NUMBER.match(text)
    height = _NUMBER.match(text, width.end()) if width else None
    if width and height:
        yield int(height[1]), int(width[1])


def _webp(kind: bytes, body: bytes) -> Iterator[tuple[int, int]]:
    if kind == b"VP8X":
        yield int.from_bytes(body[7:10], "little") + 1, int.from_bytes(body[4:7], "little") + 1
    elif kind == b"VP8L":
        bits = int.from_bytes(body[1:5], "little")
        yield (bits >> 14 & 0x3FFF) + 1, (bits & 0x3FFF) + 1
    elif kind == b"VP8 ":
        width, height = struct.unpack("<HH", body[6:10])
        yield height & 0x3FFF, width & 0x3FFF


def _tiff(data: bytes | memoryview) -> Iterator[tuple[int, int]]:
    """Yields the size of each directory and of its tiles; a page is chosen by others."""
    order = "<" if bytes(data[:1]) == b"I" else ">"
    big = 43 in bytes(data[2:4])
    (offset,) = struct.unpack(f"{order}{'Q' if big else 'I'}", data[8:16] if big else data[4:8])
    seen: set[int] = set()
    while offset and offset not in seen:
        seen.add(offset)
        begin = offset + (8 if big else 2)
        (count,) = struct.unpack(f"{order}{'Q' if big else 'H'}", data[offset:begin])
        sides: dict[int, int] = {}
        for place in range(begin, begin + min(count, _MOST_TAGS) * (20 if big else 12), 20 if big else 12):
            tag, kind = struct.unpack(f"{order}HH", data[place : place + 4])
            if tag in (_WIDTH, _HEIGHT, _TILE_WIDTH, _TILE_HEIGHT):
                value = place + (12 if big else 8)
                form, length = {3: ("H", 2), 16: ("Q", 8)}.get(kind, ("I", 4))
                side = struct.unpack(f"{order}{form}", data[value : value + length])[0]
                sides[tag] = max(side, sides.get(tag, 0))
        yield sides.get(_HEIGHT, 0), sides.get(_WIDTH, 0)
        yield sides.get(_TILE_HEIGHT, 0), sides.get(_TILE_WIDTH, 0)
        after = begin + count * (20 if big else 12)
        (offset,) = struct.unpack(f"{order}{'Q' if big else 'I'}", data[after : after + (8 if big else 4)])
