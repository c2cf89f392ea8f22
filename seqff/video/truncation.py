"""Whether a file was cut, by its own structure: not by what a header counts, and whatever lies behind its end."""

from __future__ import annotations

import re
import struct
from pathlib import Path
from typing import BinaryIO

_BOX_NAME = re.compile(rb"[ -~\xa9]{4}")
_ASF_DATA = bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c")
_SLACK = 8  # bytes that writers of RIFF miscount by


def is_complete(path: str) -> bool | None:
    """Whether the parts a container declares end within the file; None where the format does not say."""
    size = Path(path).stat().st_size
    with Path(path).open("rb") as file:
        head = file.read(12)
        file.seek(0)
        if head[:4] == b"RIFF" and head[8:] == b"AVI ":
            return _riff(file, size)
        if head[:4] == b"\x1a\x45\xdf\xa3":
            return _matroska(file, size)
        if head[:4] == b"\x30\x26\xb2\x75":
            return _asf(file, size)
        if head[:3] == b"FLV":
            return _flv(file, size)
        if head[:4] == b"GIF8":
            return _gif(file.read())
        return _boxes(file, size) if _BOX_NAME.fullmatch(head[4:8]) else None


def _boxes(file: BinaryIO, size: int) -> bool | None:
    """ISO media: the top-level boxes that hold pictures, or say where they lie, end within the file."""
    at, found = 0, None
    while size - at >= 8:
        file.seek(at)
        head = file.read(16)
        length, name = struct.unpack(">I4s", head[:8])
        if length == 1 and len(head) == 16:
            (length,) = struct.unpack(">Q", head[8:])
        if length < 8 or not _BOX_NAME.fullmatch(name):
            return found if length else None  # 0: to the end of the file, wherever that is
        if name in (b"mdat", b"moof", b"moov"):
            if at + length > size:
                return False
            found = True
        at += length
    return found


def _riff(file: BinaryIO, size: int) -> bool | None:
    """AVI: every list of pictures ends within the file; the index after it may be missing."""
    at, found = 0, None
    while size - at >= 12:
        file.seek(at)
        name, length, kind = struct.unpack("<4sI4s", file.read(12))
        if kind == b"movi" and length not in (0, 2**32 - 1):  # else never filled in
            found = at + 8 + length <= size + _SLACK
            if not found:
                return False
        elif name == b"RIFF" and kind in (b"AVI ", b"AVIX"):
            at += 12  # into it
            continue
        elif not _BOX_NAME.fullmatch(name):
            break
        at += 8 + length + length % 2
    return found


def _gif(data: bytes) -> bool:
    """Follows the blocks to the trailer."""
    try:
        at = 13 + _palette(data[10])
        while data[at] != 0x3B:
            extension = data[at] == 0x21
            if not extension and data[at] != 0x2C:
                return True  # junk, which decoders end at, too
            at += 2 if extension else 11 + _palette(data[at + 9])
            while data[at]:
                at += 1 + data[at]
            at += 1
    except IndexError:
        return False
    return True


def _palette(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _matroska(file: BinaryIO, size: int) -> bool | None:
    for _ in range(8):
        name = _number(file, keep_marker=True)
        length = _number(file, keep_marker=False)
        if name is None or length is None:
            return None
        end = file.tell() + length
        if name == 0x18538067:  # the segment: all there is
            return end <= size
        file.seek(end)
    return None


def _number(file: BinaryIO, *, keep_marker: bool) -> int | None:
    """Reads a number of EBML; None for "unknown", and at the end of the file."""
    first = file.read(1)
    if not first or not first[0]:
        return None
    more = 8 - first[0].bit_length()
    value = first[0] if keep_marker else first[0] & (0x7F >> more)
    value = int.from_bytes(bytes([value]) + file.read(more), "big")
    return None if not keep_marker and value == 2 ** (7 * (more + 1)) - 1 else value


def _asf(file: BinaryIO, size: int) -> bool | None:
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


def _flv(file: BinaryIO, size: int) -> bool | None:
    """The file ends with the size of its last tag; one that was cut nearly never does."""
    file.seek(max(0, size - 4))
    (length,) = struct.unpack(">I", file.read(4))
    if not 11 <= length <= size - 13:
        return None
    file.seek(size - 4 - length)
    tag = file.read(4)
    ends = tag[0] & 0x1F in (8, 9, 18) and int.from_bytes(tag[1:], "big") + 11 == length
    return True if ends else None
