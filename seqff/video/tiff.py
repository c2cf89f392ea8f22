"""How many full pictures a TIFF file holds, read off its directories alone."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import IO

from seqff.untrusted import open_plain

TIFF_EXTENSIONS = (".tif", ".tiff")
_SUBFILE = 254  # a tag: what kind of picture a directory describes
_REDUCED, _MASK = 1, 4
_MOST = 1_000_000


def is_stack(path: Path) -> bool:
    """Whether a file is a TIFF of several pages; of links to nowhere and unreadable files, no."""
    if path.suffix.lower() not in TIFF_EXTENSIONS:
        return False
    try:
        return len(full_pages(path, most=2)[0]) > 1
    except (OSError, ValueError):
        return False


def full_pages(path: Path, most: int = _MOST) -> tuple[list[int], str]:
    """Finds the directories of a TIFF that hold pictures; smaller copies of others and masks are none.

    Args:
        path: the file.
        most: stop when so many are found.

    Returns:
        Their numbers, and what is wrong where the chain of directories breaks off; "" if it does not.

    Raises:
        ValueError: it is no TIFF.
        OSError: it cannot be read.
    """
    with open_plain(path) as file:
        head = file.read(16)
        order = {b"II": "<", b"MM": ">"}.get(head[:2], "")
        version = struct.unpack(f"{order}H", head[2:4])[0] if order and len(head) >= 8 else 0
        if version not in (42, 43) or (version == 43 and len(head) < 16):
            raise ValueError("no TIFF file")
        big = version == 43
        offset = struct.unpack(f"{order}Q", head[8:16])[0] if big else struct.unpack(f"{order}I", head[4:8])[0]
        pages: list[int] = []
        seen: set[int] = set()
        while offset and offset not in seen and len(seen) < _MOST and len(pages) < most:
            try:
                kind, following = _directory(file, offset, order, big=big)
            except struct.error:
                return pages, f"cut short: no directory at byte {offset}"
            if not kind & (_REDUCED | _MASK):
                pages.append(len(seen))
            seen.add(offset)
            offset = following
    return pages, ""


def _directory(file: IO[bytes], offset: int, order: str, *, big: bool) -> tuple[int, int]:
    """Returns the kind of picture a directory describes, and where the next one is; 0 if there is none.

    Raises:
        struct.error: the file ends before.
    """
    file.seek(offset)
    entry, counted = (20, "Q") if big else (12, "H")
    (count,) = struct.unpack(f"{order}{counted}", file.read(8 if big else 2))
    entries = file.read(min(count, 65536) * entry)
    (following,) = struct.unpack(f"{order}{'Q' if big else 'I'}", file.read(8 if big else 4))
    for place in range(0, len(entries), entry):
        if struct.unpack(f"{order}H", entries[place : place + 2])[0] == _SUBFILE:
            value = place + (12 if big else 8)
            return struct.unpack(f"{order}I", entries[value : value + 4])[0], following
    return 0, following
