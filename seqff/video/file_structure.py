"""Information from a container's structure: whether the file is truncated, and its hidden borders."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from itertools import islice
from typing import BinaryIO

from seqff.video.conversion import WHOLE, Crop
from seqff.video.shards import Source, open_bytes

_BOX_NAME = re.compile(rb"[ -~\xa9]{4}")
_ASF_DATA = bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c")
_SLACK = 8  # error in bytes of sizes that RIFF writers produce
_ENTRY_BYTES = 78  # of a video in `stsd`, before its boxes
_SEGMENT, _TRACKS, _TRACK, _VIDEO = 0x18538067, 0x1654AE6B, 0xAE, 0xE0
_SIZES, _CROPS = (0xB0, 0xBA), (0x54CC, 0x54BB, 0x54DD, 0x54AA)  # width, height; left, top, right, bottom


def is_complete(source: Source) -> bool | None:
    """Whether the parts declared by a container end within the file; None if the format does not tell.

    Counts in headers are ignored, and so is data after the end.
    """
    with open_bytes(source) as file:
        size = file.seek(0, 2)
        file.seek(0)
        head = file.read(12)
        file.seek(0)
        if head[:4] == b"RIFF" and head[8:] == b"AVI ":
            return _riff_complete(file, size)
        if head[:4] == b"\x1a\x45\xdf\xa3":
            return _matroska_complete(file, size)
        if head[:4] == b"\x30\x26\xb2\x75":
            return _asf_complete(file, size)
        if head[:3] == b"FLV":
            return _flv_complete(file, size)
        if head[:4] == b"GIF8":
            return _gif_complete(file.read())
        return _mov_complete(file, size) if _BOX_NAME.fullmatch(head[4:8]) else None


def _mov_complete(file: BinaryIO, size: int) -> bool | None:
    """Whether the top-level boxes with pictures, or their index, end within the file."""
    found = None
    for name, _, end in _boxes(file, 0, size):
        if end is None:  # extends to the end of the file
            return None
        if not _BOX_NAME.fullmatch(name):
            break
        if name in (b"mdat", b"moof", b"moov"):
            if end > size:
                return False
            found = True
    return found


def _matroska_complete(file: BinaryIO, size: int) -> bool | None:
    try:
        for kind, _, end in islice(_elements(file, 0, size), 8):
            if kind == _SEGMENT:  # the last relevant element
                return None if end is None else end <= size
    except IndexError:  # the file ends within an element's header
        pass
    return None


def _riff_complete(file: BinaryIO, size: int) -> bool | None:
    """AVI: whether every list of pictures ends within the file; the index after it may be missing."""
    at, found = 0, None
    while size - at >= 12:
        file.seek(at)
        name, length, kind = struct.unpack("<4sI4s", file.read(12))
        if kind == b"movi" and length not in (0, 2**32 - 1):  # these sizes were never filled in
            found = at + 8 + length <= size + _SLACK
            if not found:
                return False
        elif name == b"RIFF" and kind in (b"AVI ", b"AVIX"):
            at += 12  # descend into it
            continue
        elif not _BOX_NAME.fullmatch(name):
            break
        at += 8 + length + length % 2
    return found


def _gif_complete(data: bytes) -> bool:
    """Follow the blocks up to the trailer."""
    try:
        at = 13 + _palette(data[10])
        while data[at] != 0x3B:
            extension = data[at] == 0x21
            if not extension and data[at] != 0x2C:
                return True  # trailing junk, at which decoders stop, too
            at += 2 if extension else 11 + _palette(data[at + 9])
            while data[at]:
                at += 1 + data[at]
            at += 1
    except IndexError:
        return False
    return True


def _palette(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _asf_complete(file: BinaryIO, size: int) -> bool | None:
    at = 0
    while size - at >= 24:
        file.seek(at)
        name, length = struct.unpack("<16sQ", file.read(24))
        if name == _ASF_DATA:
            return at + length <= size if length > 24 else None
        if length < 24:
            break
        at += length
    return None


def _flv_complete(file: BinaryIO, size: int) -> bool | None:
    """Whether the file ends with the size of its last tag, which a truncated file almost never does."""
    file.seek(max(0, size - 4))
    (length,) = struct.unpack(">I", file.read(4))
    if not 11 <= length <= size - 13:
        return None
    file.seek(size - 4 - length)
    tag = file.read(4)
    ends = tag[0] & 0x1F in (8, 9, 18) and int.from_bytes(tag[1:], "big") + 11 == length
    return True if ends else None


def crop_of(source: Source, container: str, size: tuple[int, int]) -> Crop:
    """Return the hidden borders of the first video track of this size: `clap` of MP4, PixelCrop of Matroska.

    FFmpeg's libraries leave this to the player, so it is read from the file itself. `WHOLE` if there is none, or if it
    leaves no picture.
    """
    find = _mov_crops if "mov" in container else _matroska_crops if "matroska" in container else None
    if find is None:
        return WHOLE
    try:
        with open_bytes(source) as file:
            end = file.seek(0, 2)
            left, top, right, bottom = crop = next(find(file, 0, end, size), WHOLE)
    except (OSError, ValueError, struct.error, ZeroDivisionError, IndexError):
        return WHOLE
    leaves = min(crop) >= 0 and top + bottom < size[0] and left + right < size[1]
    return crop if leaves else WHOLE


def _mov_crops(file: BinaryIO, begin: int, end: int, size: tuple[int, int]) -> Iterator[Crop]:
    for first, last in _within(file, begin, end, b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd"):
        for _, entry, stop in _boxes(file, first + 8, last):
            file.seek(entry + 24)
            if struct.unpack(">HH", file.read(4)) == size[::-1]:
                for place, _ in _within(file, entry + _ENTRY_BYTES, min(stop or last, last), b"clap"):
                    file.seek(place)
                    yield _clean_aperture(struct.unpack(">8i", file.read(32)), size)


def _clean_aperture(clap: tuple[int, ...], size: tuple[int, int]) -> Crop:
    """Convert a clean aperture (width, height, offsets of its center; each a fraction) to a crop."""
    width, height, right, down = (clap[2 * i] / clap[2 * i + 1] for i in range(4))
    left, top = (size[1] - width) / 2 + right, (size[0] - height) / 2 + down
    return round(left), round(top), round(size[1] - width - left), round(size[0] - height - top)


def _matroska_crops(file: BinaryIO, begin: int, end: int, size: tuple[int, int]) -> Iterator[Crop]:
    for kind, first, stop in _elements(file, begin, end):
        last = min(stop or end, end)
        if kind in (_SEGMENT, _TRACKS, _TRACK):
            yield from _matroska_crops(file, first, last, size)
            if kind == _TRACKS:
                return
        elif kind == _VIDEO:
            found = {}
            for name, place, after in _elements(file, first, last):
                file.seek(place)
                found[name] = int.from_bytes(file.read(min((after or last) - place, 8)), "big")
            if tuple(found.get(name) for name in _SIZES) == size[::-1]:
                left, top, right, bottom = (found.get(name, 0) for name in _CROPS)
                yield left, top, right, bottom


def _boxes(file: BinaryIO, begin: int, end: int) -> Iterator[tuple[bytes, int, int | None]]:
    """Yield name, start and end of the content of each ISO media box; end None: extends to the outer end."""
    at = begin
    while end - at >= 8:
        file.seek(at)
        head = file.read(16)
        length, name = struct.unpack(">I4s", head[:8])
        inside = at + 8
        if length == 1 and len(head) == 16:
            inside, (length,) = at + 16, struct.unpack(">Q", head[8:])
        if 0 < length < inside - at:
            return
        yield name, inside, at + length if length else None
        at = at + length if length else end


def _within(file: BinaryIO, begin: int, end: int, *names: bytes) -> Iterator[tuple[int, int]]:
    """Yield start and end of the content of boxes nested in boxes of these names."""
    for name, inside, stop in _boxes(file, begin, end):
        if name == names[0]:
            last = min(stop or end, end)
            yield from _within(file, inside, last, *names[1:]) if names[1:] else ((inside, last),)


def _elements(file: BinaryIO, begin: int, end: int) -> Iterator[tuple[int, int, int | None]]:
    """Yield id, start and end of the content of each EBML element; end None: extends to the outer end."""
    at = begin
    while at < end:
        file.seek(at)
        head = file.read(12)
        id_bytes = 9 - head[0].bit_length()
        size_bytes = 9 - head[id_bytes].bit_length()
        inside, unknown = at + id_bytes + size_bytes, (1 << 7 * size_bytes) - 1
        length = int.from_bytes(head[id_bytes : id_bytes + size_bytes], "big") & unknown
        stop = None if length == unknown else inside + length
        yield int.from_bytes(head[:id_bytes], "big"), inside, stop
        at = end if stop is None else stop
