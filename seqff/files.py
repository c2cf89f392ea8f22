"""Writing files and result folders: never half a file, and nothing overwritten by accident."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path
from typing import Any

from seqff.errors import RunError, WriteError
from seqff.terminal import printable as printable

LOCKS = ("training.lock", "in_use.lock")
"""Files in result folders that say who is at work there (see `seqff.locks.Claim`); they are no results."""
_ERRORS = "surrogateescape"  # names of files need not be UTF-8


@contextmanager
def writing(path: Path, needed: int = 0) -> Iterator[None]:
    """Name the file, the room it needs and what to do if something in such a block cannot be written.

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
    """Yield the name under which to write a file, which takes its own when the block ends; else nothing of it stays.

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
    """Delete a folder of which something cannot be written in such a block.

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
    """Write behind what is in a file; all of it, or nothing.

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
        RunError: the file is damaged or holds something else.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8", errors=_ERRORS))
    except (ValueError, OSError) as error:
        raise RunError(f"{path} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise RunError(f"{path} holds a {type(content).__name__}, expected a JSON object")
    return content


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write a table atomically. Floats are written so that reading gives the same number again."""
    write_atomically(path, csv_lines([header, *rows]))


def csv_lines(rows: Iterable[Sequence[Any]]) -> str:
    """Return rows of a table as text."""
    buffer = io.StringIO()
    plain, quoted = (csv.writer(buffer, lineterminator="\n", quoting=how) for how in (csv.QUOTE_MINIMAL, csv.QUOTE_ALL))
    for row in rows:  # readers take a bare carriage return for the end of a row, though writers did not before 3.13
        (quoted if any("\r" in cell for cell in row if isinstance(cell, str)) else plain).writerow(row)
    return buffer.getvalue()


def read_csv(path: Path) -> list[dict[str, str]]:
    """Read a table written by `write_csv` as one dict a row."""
    with path.open(encoding="utf-8", errors=_ERRORS, newline="") as file:
        return list(csv.DictReader(file))


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


def claim_folder(out: Path, *, marker: str, overwrite: bool, resume: bool | None = None) -> None:
    """Check `out` (see `check_folder`), empty it if it is to be overwritten, and create it."""
    check_folder(out, marker=marker, overwrite=overwrite, resume=resume)
    with writing(out):
        if overwrite:
            empty_folder(out)
        out.mkdir(parents=True, exist_ok=True)


def empty_folder(out: Path) -> None:
    """Delete what is in a folder, if there is one; who is at work in it stays known, and else it is gone, too."""
    if not out.exists():
        return
    for entry in out.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        elif entry.name not in LOCKS:
            entry.unlink(missing_ok=True)
    if not any(out.iterdir()):
        out.rmdir()
