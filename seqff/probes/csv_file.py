"""Read CSV files as written by spreadsheets; errors name the row."""

from __future__ import annotations

import codecs
import csv
import io
import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from seqff.errors import LabelError
from seqff.files import unquoted

log = logging.getLogger(__name__)
_DELIMITERS = (",", ";", "\t", "|")
_NAMES = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
_SEPARATOR = "sep="  # first line that some spreadsheets write, before the header

Rows = list[tuple[int, dict[str, str]]]
"""For each row, its line number in the file, from 1, and its values by column."""


def read_rows(path: Path, needed: Sequence[str]) -> Rows:
    """Read a CSV file that has a header with the `needed` columns, which must not have empty values.

    Other columns are allowed. Columns are separated by commas, semicolons, tabs or bars. Spaces around names and
    values, empty rows, and empty fields beyond the header are ignored. Text that is not UTF-8 is read as
    Windows-1252, with a warning.

    Raises:
        LabelError: the file cannot be read, a needed column or value is missing, the header repeats a name, or a row
            has more fields than the header.
    """
    text, first = _text(path), 1
    delimiters: Sequence[str] = _DELIMITERS
    if text[: len(_SEPARATOR)].lower() == _SEPARATOR:
        line, _, text = text.partition("\n")
        delimiters, first = [line[len(_SEPARATOR) :].strip("\r") or "\t"], 2
    delimiter = max(delimiters, key=lambda delimiter: _fits(text, delimiter, needed))
    try:
        return _parse(path, text, first, delimiter, needed)
    except LabelError as error:
        if delimiter == ",":
            raise
        parted = f"{_NAMES.get(delimiter, repr(delimiter))}s"
        hint = f"columns were read as separated by {parted}: if they are not, save it with commas"
        raise LabelError(f"{error}; {hint}") from error


def _parse(path: Path, text: str, first: int, delimiter: str, needed: Sequence[str]) -> Rows:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True, strict=True)
    header: list[str] = []
    rows: Rows = []
    start = first
    try:
        for fields in reader:
            values, row = [unquoted(field.strip()) for field in fields], start
            start = reader.line_num + first
            if not any(values):
                continue
            if not header:
                header = _checked(path, values, needed)
            else:
                rows.append((row, _row(path, row, header, values, needed)))
    except csv.Error as error:
        raise LabelError(f"{path}, row {start}: {error}; is a quote or a comma not where it belongs?") from error
    if not header:
        _checked(path, [], needed)
    return rows


def header_of(path: Path) -> list[str]:
    """Names of the columns, for any separator; empty if the file is not a table."""
    try:
        text = _text(path, quiet=True)
    except LabelError:
        return []
    lines = [line for line in text.splitlines() if line.strip() and not line.lower().startswith(_SEPARATOR)]
    return max(([name.strip() for name in _first(lines[0] if lines else "", by)] for by in _DELIMITERS), key=len)


def _text(path: Path, *, quiet: bool = False) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise LabelError(f"{path} is not a CSV file in UTF-8: {error}") from error
    wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = data.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        try:
            text = data.decode("cp1252")
        except UnicodeDecodeError:
            raise LabelError(f"{path} is not a CSV file in UTF-8: {error}") from error
        row = data.count(b"\n", 0, error.start) + 1
        if not quiet:
            log.warning("%s is not UTF-8 (row %d); read as Windows-1252: are its letters right?", path, row)
    if "\0" in text:
        raise LabelError(f"{path} is not a CSV file in UTF-8, but a binary one; save the table as CSV")
    return text


def _fits(text: str, delimiter: str, needed: Sequence[str]) -> tuple[int, int]:
    """Number of needed columns in the header with this delimiter, and number of all columns."""
    names = _first(next((line for line in text.splitlines() if line.strip()), ""), delimiter)
    return len({name.strip() for name in names} & {*needed}), len(names)


def _first(line: str, delimiter: str) -> list[str]:
    return next(csv.reader([line], delimiter=delimiter, skipinitialspace=True), [])


def _checked(path: Path, header: list[str], needed: Iterable[str]) -> list[str]:
    for name in needed:
        if name not in header:
            raise LabelError(f"{path} has the columns {', '.join(map(repr, header)) or 'none'}; it needs {name!r}")
    twice = [name for name, count in Counter(header).items() if name and count > 1]
    if twice:
        raise LabelError(f"{path}, row 1: the header has {twice[0]!r} more than once: rename all but the one meant")
    return header


def _row(path: Path, line: int, header: list[str], values: list[str], needed: Iterable[str]) -> dict[str, str]:
    if any(values[len(header) :]):
        raise LabelError(
            f"{path}, row {line} has {len(values)} fields, the header {len(header)}: is a comma unquoted? "
            'Put values with commas in double quotes, as in "run, fast"'
        )
    filled = [*values, *[""] * (len(header) - len(values))]
    row = dict(zip(header, filled, strict=False))
    empty = [name for name in needed if not row[name]]
    if empty:
        raise LabelError(f"{path}, row {line}: {empty[0]} is empty")
    return row
