"""Open untrusted SQLite files: nothing in them is executed, and other tables than the expected ones are rejected."""

from __future__ import annotations

import errno
import os
import sqlite3
import stat
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from functools import cache
from pathlib import Path

from seqff.errors import ManifestError, WriteError
from seqff.files import write_atomically
from seqff.untrusted import MOST_JSON_BYTES

Schema = tuple[str, ...]
"""The CREATE TABLE statements of a file."""
DAMAGE = (sqlite3.Error, ValueError, KeyError, TypeError, AttributeError, OverflowError)
"""Errors raised when a damaged file is read."""
_PATIENCE_SECONDS = 60.0
_SUPER_JOURNAL = bytes.fromhex("d9d505f920a163d7")


@contextmanager
def open_to_read(path: Path, schema: Schema) -> Iterator[sqlite3.Connection]:
    """Open a file for reading.

    Args:
        path: the file.
        schema: its tables; a file with other tables is rejected.

    Raises:
        FileNotFoundError: the file does not exist.
        ManifestError: the file is not such a table, or is damaged, which may only be detected inside the block.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # without opening it: closing a file releases SQLite's locks on it
            raise ValueError("not a plain file, but a folder, a pipe or a device")
        if _beside(path):
            with suppress(sqlite3.OperationalError), closing(_open(path, "rw")) as table:
                table.execute("SELECT 1 FROM sqlite_master").fetchone()  # rolls back what a killed process began
        with closing(_open(path, "ro")) as table:
            _check_schema(table, schema)
            yield table
    except (FileNotFoundError, WriteError):
        raise
    except sqlite3.OperationalError as error:
        raise ManifestError(f"{path} cannot be read: {error}") from error
    except (*DAMAGE, OSError) as error:
        raise ManifestError(
            f"{path} is not a seqff manifest, or damaged ({error}): delete it and scan again"
        ) from error


@contextmanager
def open_to_change(path: Path, schema: Schema, *, locks: bool = True) -> Iterator[sqlite3.Connection]:
    """Open a file for a transaction, and create it if necessary. Changes made in the block are committed atomically.

    Args:
        path: the file.
        schema: its tables; a file with other tables is rejected.
        locks: other processes may change the file, too.

    Raises:
        ManifestError: the file is not such a table, or is damaged.
        WriteError: the file cannot be written.
    """
    try:
        _beside(path)
        with closing(_open(path, "rwc" if locks else "rwc&nolock=1")) as table:
            table.execute("PRAGMA synchronous = NORMAL")
            table.execute("BEGIN IMMEDIATE")
            try:
                if not table.execute("SELECT 1 FROM sqlite_master").fetchone():
                    for line in schema:
                        table.execute(line)
                _check_schema(table, schema)
                yield table
                table.execute("COMMIT")
            finally:
                if table.in_transaction:
                    table.execute("ROLLBACK")
    except sqlite3.OperationalError as error:
        raise write_error(path, error) from error
    except DAMAGE as error:
        raise ManifestError(
            f"{path} is not a seqff manifest, or damaged ({error}): delete it and scan again"
        ) from error


def _open(path: Path, mode: str) -> sqlite3.Connection:
    address = f"{path.absolute().as_uri()}?mode={mode}"
    table = sqlite3.connect(address, uri=True, timeout=_PATIENCE_SECONDS, isolation_level=None)
    table.text_factory = _decode
    if sys.version_info >= (3, 11):
        table.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MOST_JSON_BYTES)
    table.execute("PRAGMA trusted_schema = OFF")
    table.execute("PRAGMA cell_size_check = ON")
    return table


def _decode(text: bytes) -> str:
    return text.decode("utf-8", "surrogatepass")


def _beside(path: Path) -> bool:
    """Whether a table has a rollback journal; raises if a file beside it is not SQLite's own journal.

    A forged journal may name a file for SQLite to delete; those of our tables never do.
    """
    for ending in ("-wal", "-shm"):
        if os.path.lexists(f"{path}{ending}"):
            raise ManifestError(f"{path}{ending} does not belong to the manifest beside it: delete it")
    journal = Path(f"{path}-journal")
    try:
        if sound := stat.S_ISREG(journal.lstat().st_mode):
            with journal.open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - len(_SUPER_JOURNAL)))
                sound = file.read(len(_SUPER_JOURNAL)) != _SUPER_JOURNAL
    except FileNotFoundError:
        return False
    if not sound:
        raise ManifestError(f"{journal} does not belong to the manifest beside it: delete it")
    return True


def _check_schema(table: sqlite3.Connection, schema: Schema) -> None:
    if set(table.execute("SELECT type, name, sql FROM sqlite_master LIMIT 20")) != _expected(schema):
        raise ValueError("it has other tables")


@cache
def _expected(schema: Schema) -> frozenset[tuple[str, ...]]:
    with closing(sqlite3.connect(":memory:")) as table:
        for line in schema:
            table.execute(line)
        return frozenset(table.execute("SELECT type, name, sql FROM sqlite_master"))


def write_error(path: Path, error: sqlite3.Error) -> WriteError:
    """Return an error with the system's reason, which SQLite hides, found by writing another file in the folder."""
    needed = max(2**16, path.stat().st_size if path.exists() else 0)
    probe = path.with_name(f".{path.name}.{os.getpid()}.probe")
    try:
        write_atomically(probe, bytes(2**16))
        probe.unlink()
    except WriteError as found:
        return WriteError(path, found.cause, needed)
    return WriteError(path, OSError(errno.EIO, str(error)))
