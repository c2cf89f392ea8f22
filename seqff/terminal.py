"""Text for terminals: names are untrusted, and control characters in them are shown as escapes."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Sequence

_FOREIGN = r"\ud800-\udfff"  # bytes of file names that are not UTF-8
_CONTROLS = r"\x00-\x1f\x7f-\x9f\u2028\u2029"
_DIRECTIONS = r"\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_UNSEEN = r"\u200b\u2060-\u2064\u206a-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f"
_UNPRINTABLE = re.compile(f"[{_CONTROLS}{_DIRECTIONS}{_UNSEEN}{_FOREIGN}]")


class Lines(str):
    """Text whose line breaks are layout; in any other text, a line break belongs to a name and is escaped."""

    __slots__ = ()


def printable(text: str) -> str:
    """Return a name for one line of a terminal, with control and invisible characters and undecodable bytes escaped."""
    return _UNPRINTABLE.sub(lambda found: ascii(found[0])[1:-1].replace(r"\udc", r"\x"), text)


def counted(count: int, what: str) -> str:
    """Return a count with its noun, as "1 video" or "2 videos"."""
    return f"{count} {what}{'s' * (count != 1)}"


def visible(text: str) -> str:
    """Return text for a terminal: like `printable`, but `Lines` keep their line breaks."""
    return "\n".join(map(printable, text.split("\n"))) if isinstance(text, Lines) else printable(text)


def as_lines(lines: Iterable[str]) -> Lines:
    """Join lines of text; a line break within one is escaped."""
    return Lines("\n".join(map(printable, lines)))


def align(rows: Sequence[Sequence[str]], *, numbers: bool = False) -> list[str]:
    """Return the lines of a table with aligned columns; rows may be short.

    Args:
        rows: cells, the headings first.
        numbers: right-align all columns but the first.
    """
    count = max(map(len, rows))
    full = [[*map(printable, row), *[""] * (count - len(row))] for row in rows]
    widths = [max(map(len, column)) for column in zip(*full, strict=True)]
    lines, side = [], str.rjust if numbers else str.ljust
    for first, *rest in full:
        cells = [first.ljust(widths[0]), *(side(cell, width) for cell, width in zip(rest, widths[1:], strict=True))]
        lines.append("  ".join(cells).rstrip())
    return lines


def log_line(record: logging.LogRecord) -> str:
    """Return a log message for a terminal; its format string is ours, its arguments may be untrusted names."""
    given = record.args
    if isinstance(given, tuple):
        given = tuple(one if isinstance(one, (int, float)) else visible(_text(one)) for one in given)
    text = str(record.msg) % given if given else str(record.msg)
    return visible(Lines(text))


def _text(value: object) -> str:
    return value if isinstance(value, str) else str(value)


def holds_escapes(text: str) -> bool:
    """Return whether lines of text contain control or unprintable characters."""
    return _UNPRINTABLE.search(text.replace("\n", "")) is not None
