"""Writing files and result folders: never half a file, and nothing overwritten by accident."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from seqff.errors import RunError

_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_ERRORS = "surrogateescape"  # names of files need not be UTF-8


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a file so that neither a reader nor a power cut ever meets half of it; makes its folder if need be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as file:
            file.write(content.encode(errors=_ERRORS) if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
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
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    write_atomically(path, buffer.getvalue())


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
    if not any(not entry.name.endswith(".partial") for entry in out.iterdir()):
        return
    if not (out / marker).exists():
        raise RunError(f"{out} exists and holds other things (no {marker} in it); nothing was touched, choose another")
    if not (overwrite or resume):
        ways = "" if resume is None else "resume goes on with it, "
        raise RunError(f"{out} exists; {ways}overwrite deletes it and starts again, or choose another folder")


def claim_folder(out: Path, *, marker: str, overwrite: bool, resume: bool | None = None) -> None:
    """Check `out` (see `check_folder`), empty it if it is to be overwritten, and create it."""
    check_folder(out, marker=marker, overwrite=overwrite, resume=resume)
    if overwrite and out.exists():
        shutil.rmtree(out)
    out.mkdir(parents=True, exist_ok=True)


def printable(text: str) -> str:
    """Returns a name as it can be shown on one line of a terminal: control characters and foreign bytes as escapes."""
    return _UNPRINTABLE.sub(lambda found: ascii(found[0])[1:-1].replace(r"\udc", r"\x"), text)
