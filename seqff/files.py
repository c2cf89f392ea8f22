"""Write files and result folders: never half a file, and nothing overwritten by accident."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from io import FileIO
from itertools import chain
from pathlib import Path
from typing import Any

from seqff.errors import RunError, WriteError
from seqff.untrusted import MOST_JSON_BYTES, open_plain, parse_json, read_plain

LOCKS = ("training.lock", "in_use.lock")
"""Lock files in result folders (see `seqff.claim.Claim`); they are not part of the results."""
MANIFESTS = ("manifest.sqlite", "manifest.json")
"""Names of the manifest in a result folder; an older seqff wrote the latter."""
_FORMULA = re.compile(r"'*\s*[=+\-@\t\r]")  # and what is quoted already
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)
_MOST_LINE = 2**20
_ERRORS = "surrogateescape"  # names of files need not be UTF-8


@contextmanager
def writing(path: Path, needed: int = 0) -> Iterator[None]:
    """Turn an OSError in a `with` block into an error that names the file, the space it needs and what to do.

    Args:
        path: the file or folder.
        needed: bytes that are to be written; 0 if that is not known.

    Raises:
        WriteError: the system said no.
    """
    try:
        yield
    except WriteError:
        raise
    except OSError as error:
        raise WriteError(path, error, needed) from error


@contextmanager
def in_place(path: Path, needed: int = 0) -> Iterator[Path]:
    """Yield a temporary name to write to; the file gets its own name when the block succeeds, else it is removed.

    Raises:
        WriteError: it cannot be written.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with writing(path, needed):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield partial
            partial.replace(path)
    finally:
        with suppress(OSError):
            partial.unlink()


@contextmanager
def whole_folder(path: Path) -> Iterator[None]:
    """Delete a folder if something in a `with` block could not be written to it.

    Raises:
        WriteError: something cannot.
    """
    try:
        with writing(path):
            yield
    except WriteError:
        empty_folder(path)
        raise


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a file so that neither a reader nor a power cut ever meets half of it; makes its folder if need be.

    Raises:
        WriteError: it cannot be written, and nothing of it stays.
    """
    data = content.encode(errors=_ERRORS) if isinstance(content, str) else content
    with in_place(path, len(data)) as partial, partial.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def write_all(file: FileIO, data: Any) -> None:
    """Write all of a buffer to a file without a buffer of its own, which may take it piece by piece."""
    left = memoryview(data).cast("B")
    while left:
        left = left[file.write(left) :]


def append(path: Path, text: str) -> None:
    """Append text to a file: all of it, or nothing.

    Raises:
        WriteError: it cannot be written.
    """
    data = text.encode(errors=_ERRORS)
    with writing(path, len(data)), path.open("ab", buffering=0) as file:
        before = file.seek(0, os.SEEK_END)
        try:
            write_all(file, data)
        except OSError:
            file.truncate(before)
            raise


def write_json(path: Path, content: Any) -> None:
    """Write strict JSON (no NaN, no Infinity) atomically."""
    text = json.dumps(content, indent=1, allow_nan=False, ensure_ascii=False)
    write_atomically(path, f"{text}\n")


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        RunError: the file is damaged, larger than 64 MiB, no plain file, or holds something else.
    """
    try:
        content = parse_json(read_plain(path, MOST_JSON_BYTES).decode(errors=_ERRORS))
    except (ValueError, OSError) as error:
        raise RunError(f"{path} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise RunError(f"{path} holds a {type(content).__name__}, expected a JSON object")
    return content


def manifest_in(folder: Path) -> Path:
    """Return where the manifest of a result folder is, or would be."""
    return next((file for name in MANIFESTS if (file := folder / name).exists()), folder / MANIFESTS[0])


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write a table atomically. Floats are written so that reading gives the same number again; see `quoted`."""
    write_atomically(path, csv_lines(chain([header], rows)))


def csv_lines(rows: Iterable[Sequence[Any]]) -> str:
    """Return rows of a table as text; see `quoted`."""
    buffer = io.StringIO()
    plain, whole = (csv.writer(buffer, lineterminator="\n", quoting=how) for how in (csv.QUOTE_MINIMAL, csv.QUOTE_ALL))
    for row in map(quoted, rows):  # readers take a bare \r for the end of a row, though writers did not before 3.13
        (whole if any("\r" in cell for cell in row if isinstance(cell, str)) else plain).writerow(row)
    return buffer.getvalue()


def read_csv(path: Path) -> list[dict[str, str]]:
    """Read a table written by `write_csv` as one dict a row.

    Raises:
        RunError: it cannot be read, or is no such table.
    """
    return list(rows_of_csv(path))


def rows_of_csv(path: Path) -> Iterator[dict[str, str]]:
    """Yield what `read_csv` returns, row by row."""
    try:
        with open_plain(path) as opened, io.TextIOWrapper(opened, encoding="utf-8", errors=_ERRORS, newline="") as file:
            rows = (list(map(unquoted, row)) for row in csv.reader(_bounded(file)) if row)
            header = next(rows, None)
            if header is None:
                raise ValueError("it is empty")
            for row in rows:
                yield dict(zip(header, row, strict=True))
    except (OSError, ValueError, csv.Error) as error:
        raise RunError(f"{path} cannot be read: {error}") from error


def _bounded(file: io.TextIOWrapper) -> Iterator[str]:
    while line := file.readline(_MOST_LINE):
        if len(line) == _MOST_LINE:
            raise ValueError(f"a line has more than {_MOST_LINE} characters")
        yield line


def quoted(row: Sequence[Any]) -> list[Any]:
    """Return the cells of a row, with a ' before every text that a spreadsheet would take for a formula.

    `unquoted` removes it from a cell.
    """
    return [f"'{cell}" if isinstance(cell, str) and _may_run(cell) else cell for cell in row]


def unquoted(cell: str) -> str:
    """Return a cell as it was before `quoted`."""
    return cell[1:] if cell[:1] == "'" and _may_run(cell[1:]) else cell


def _may_run(cell: str) -> bool:
    return bool(_FORMULA.match(cell)) and not _NUMBER.fullmatch(cell)


def check_folder(out: Path, *, marker: str, overwrite: bool, resume: bool | None = None) -> None:
    """Raise unless `out` may be written.

    Args:
        out: the folder.
        marker: name of the file that such a folder gets first; only folders that hold it (or nothing) are replaced.
        overwrite: replace what is there.
        resume: go on with what is there; None where the caller cannot resume.

    Raises:
        ValueError: both overwrite and resume.
        RunError: the folder is not empty and neither was asked for, or it holds something that is not ours.
    """
    if overwrite and resume:
        raise ValueError("overwrite and resume exclude each other; give one of them")
    if not out.exists():
        return
    if not out.is_dir():
        raise RunError(f"{out} is a file; give a folder that does not exist yet")
    if not any(not entry.name.endswith(".partial") and entry.name not in LOCKS for entry in out.iterdir()):
        return
    if not (out / marker).exists():
        raise RunError(f"{out} exists and holds other things (no {marker} in it); nothing was touched, choose another")
    if not (overwrite or resume):
        ways = "" if resume is None else "resume goes on with it, "
        raise RunError(f"{out} exists; {ways}overwrite deletes it and starts again, or choose another folder")


def check_file(out: Path, endings: Sequence[str], *, overwrite: bool) -> Path:
    """Return a file that may be written.

    Raises:
        ValueError: its name ends with none of the endings, if any are given.
        RunError: it exists and is not to be overwritten, or is a folder.
    """
    if endings and out.suffix.lower() not in endings:
        raise ValueError(f"{out} ends with {out.suffix!r}; it must end with one of {', '.join(endings)}")
    if out.is_dir() or (out.exists() and not overwrite):
        raise RunError(f"{out} exists; overwrite replaces it, or choose another file")
    return out


def not_there(folder: Path, name: str) -> str:
    """Say that a folder has no file of this name, or is not there itself."""
    return f"{folder}: no {name} there" if folder.exists() else f"no such folder: {folder}"


def claim_folder(out: Path, *, marker: str, overwrite: bool, resume: bool | None = None) -> None:
    """Check `out` (see `check_folder`), empty it if it is to be overwritten, and create it."""
    check_folder(out, marker=marker, overwrite=overwrite, resume=resume)
    with writing(out):
        if overwrite:
            empty_folder(out)
        out.mkdir(parents=True, exist_ok=True)


def empty_folder(out: Path) -> None:
    """Delete what is in a folder but for lock files and, if there are none, the folder itself."""
    if not out.exists():
        return
    for entry in out.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        elif entry.name not in LOCKS:
            entry.unlink(missing_ok=True)
    if not any(out.iterdir()):
        out.rmdir()
