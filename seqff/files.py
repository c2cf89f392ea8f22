"""Write files and result folders atomically, and never overwrite anything by accident."""

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
"""Names of the manifest in a result folder; older versions of seqff wrote the latter."""
_FORMULA = re.compile(r"'*\s*[=+\-@\t\r]")  # also matches cells already quoted
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)
_MOST_LINE = 2**20
_ERRORS = "surrogateescape"  # file names need not be UTF-8


@contextmanager
def writing(path: Path, needed: int = 0) -> Iterator[None]:
    """Turn an OSError in a `with` block into an error that names the file, the space it needs and what to do.

    Args:
        path: the file or folder.
        needed: bytes to be written; 0 if unknown.

    Raises:
        WriteError: the system refused.
    """
    try:
        yield
    except WriteError:
        raise
    except OSError as error:
        raise WriteError(path, error, needed) from error


@contextmanager
def in_place(path: Path, needed: int = 0) -> Iterator[Path]:
    """Yield a temporary path to write to; it is renamed to `path` if the block succeeds, otherwise removed.

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
    """Delete a folder if a write in the `with` block fails.

    Raises:
        WriteError: a write failed.
    """
    try:
        with writing(path):
            yield
    except WriteError:
        empty_folder(path)
        raise


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a file atomically, also with respect to readers and power cuts; creates its folder if necessary.

    Raises:
        WriteError: it cannot be written; no partial file remains.
    """
    data = content.encode(errors=_ERRORS) if isinstance(content, str) else content
    with in_place(path, len(data)) as partial, partial.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def write_all(file: FileIO, data: Any) -> None:
    """Write a whole buffer to an unbuffered file, which may accept it in pieces."""
    left = memoryview(data).cast("B")
    while left:
        left = left[file.write(left) :]


def append(path: Path, text: str) -> None:
    """Append text to a file, all or nothing.

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
        RunError: the file is damaged, larger than 64 MiB, not a regular file, or not a JSON object.
    """
    try:
        content = parse_json(read_plain(path, MOST_JSON_BYTES).decode(errors=_ERRORS))
    except (ValueError, OSError) as error:
        raise RunError(f"{path} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise RunError(f"{path} holds a {type(content).__name__}, expected a JSON object")
    return content


def manifest_in(folder: Path) -> Path:
    """Return the path of the manifest of a result folder, whether it exists or not."""
    return next((file for name in MANIFESTS if (file := folder / name).exists()), folder / MANIFESTS[0])


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write a table atomically. Floats round-trip exactly; see `quoted`."""
    write_atomically(path, csv_lines(chain([header], rows)))


def csv_lines(rows: Iterable[Sequence[Any]]) -> str:
    """Return rows of a table as CSV text; see `quoted`."""
    buffer = io.StringIO()
    plain, whole = (csv.writer(buffer, lineterminator="\n", quoting=how) for how in (csv.QUOTE_MINIMAL, csv.QUOTE_ALL))
    for row in map(quoted, rows):  # readers take a bare \r as the end of a row, but writers quote it only since 3.13
        (whole if any("\r" in cell for cell in row if isinstance(cell, str)) else plain).writerow(row)
    return buffer.getvalue()


def read_csv(path: Path) -> list[dict[str, str]]:
    """Read a table written by `write_csv` as one dict per row.

    Raises:
        RunError: it cannot be read, or is not such a table.
    """
    return list(rows_of_csv(path))


def rows_of_csv(path: Path) -> Iterator[dict[str, str]]:
    """Like `read_csv`, but yield one row at a time."""
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
    """Return the cells of a row, with a ' before every text that a spreadsheet would run as a formula.

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
        marker: name of the first file written to such a folder; only folders that contain it (or nothing) are replaced.
        overwrite: replace the existing folder.
        resume: continue the existing folder; None if the caller cannot resume.

    Raises:
        ValueError: both overwrite and resume are given.
        RunError: the folder is not empty and neither is given, or it contains foreign files.
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
        ways = "" if resume is None else "resume continues it, "
        raise RunError(f"{out} exists; {ways}overwrite deletes it and starts again, or choose another folder")


def check_file(out: Path, endings: Sequence[str], *, overwrite: bool) -> Path:
    """Return the path of a file, after checking that it may be written.

    Raises:
        ValueError: its name has none of the given suffixes.
        RunError: it exists and `overwrite` is false, or it is a folder.
    """
    if endings and out.suffix.lower() not in endings:
        raise ValueError(f"{out} ends with {out.suffix!r}; it must end with one of {', '.join(endings)}")
    if out.is_dir() or (out.exists() and not overwrite):
        raise RunError(f"{out} exists; overwrite replaces it, or choose another file")
    return out


def not_there(folder: Path, name: str) -> str:
    """Return an error message: the folder has no file of this name, or does not exist."""
    return f"{folder}: no {name} there" if folder.exists() else f"no such folder: {folder}"


def claim_folder(out: Path, *, marker: str, overwrite: bool, resume: bool | None = None) -> None:
    """Check `out` (see `check_folder`), empty it if it is to be overwritten, and create it."""
    check_folder(out, marker=marker, overwrite=overwrite, resume=resume)
    with writing(out):
        if overwrite:
            empty_folder(out)
        out.mkdir(parents=True, exist_ok=True)


def empty_folder(out: Path) -> None:
    """Delete the content of a folder except lock files, and the folder itself if it has none."""
    if not out.exists():
        return
    for entry in out.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        elif entry.name not in LOCKS:
            entry.unlink(missing_ok=True)
    if not any(out.iterdir()):
        out.rmdir()
