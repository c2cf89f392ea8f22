"""The table of a manifest: an SQLite file with one row per video, which scans update."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from seqff.files import in_place, writing
from seqff.untrusted import check_inside, parse_json
from seqff.video.entry import VideoEntry
from seqff.video.sqlite_file import open_to_change, open_to_read

TABLE = ".sqlite"
COLUMNS: dict[str, str] = {
    "path": "O", "bytes": "i8", "mtime_ns": "i8", "version": "O", "content_hash": "S32", "status": "S10",
    "frames": "i8", "height": "i8", "width": "i8", "fps": "f8", "codec": "O",
    "duplicate_of": "O",
}  # fmt: skip
"""Fields with their own column, and the dtype of their array; other fields that are set are stored as JSON."""
NAMES = ", ".join(COLUMNS)
"""The columns, as listed in queries."""
_SCHEMA = (
    "CREATE TABLE head (line TEXT NOT NULL)",
    "CREATE TABLE videos (id INTEGER PRIMARY KEY AUTOINCREMENT, path TEXT NOT NULL UNIQUE, bytes INTEGER, "
    "mtime_ns INTEGER, version TEXT, content_hash TEXT, status TEXT, frames INTEGER, height INTEGER, width INTEGER, "
    "fps REAL, codec TEXT, duplicate_of TEXT, rest TEXT)",
    "CREATE TABLE claims (path TEXT PRIMARY KEY, process TEXT NOT NULL)",
)
_TEXT = "CAST(? AS TEXT)"  # from bytes: file names need not be UTF-8
_ROW = f"({NAMES}, rest) VALUES ({', '.join(_TEXT if kind == 'O' else '?' for kind in COLUMNS.values())}, ?)"
_NEW = ", ".join(f"{name} = excluded.{name}" for name in [*COLUMNS, "rest"] if name != "path")


def _encode(text: str) -> bytes:
    """Encode a name such that bytes sort like characters, even if it is not UTF-8."""
    return text.encode("utf-8", "surrogatepass")


def _row_of(entry: VideoEntry) -> list[Any]:
    rest = {name: value for name, value in entry.to_dict().items() if name not in COLUMNS}
    return [*(getattr(entry, name) for name in COLUMNS), json.dumps(rest)]


def _encoded(row: Sequence[Any]) -> list[Any]:
    return [_encode(value) if kind == "O" else value for value, kind in zip(row, [*COLUMNS.values(), ""], strict=True)]


def entry_of(row: Sequence[Any]) -> VideoEntry:
    """Return the validated entry of a row: values of `COLUMNS`, and the rest as JSON."""
    rest = parse_json(row[-1])
    if not isinstance(rest, dict):
        raise TypeError("an entry is no JSON object")
    entry = VideoEntry.from_dict({**rest, **dict(zip(COLUMNS, row, strict=False))})
    check_inside(entry.path)
    return entry


class Table:
    """An open table; see `reading` and `changing`.

    Args:
        connection: connection to the file.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self.execute, self.executemany = connection.execute, connection.executemany

    def head(self) -> dict[str, Any]:
        """Metadata of all videos; empty for a new table."""
        line = self.execute("SELECT line FROM head").fetchone()
        head = parse_json(line[0]) if line else {}
        if not isinstance(head, dict):
            raise ValueError("its head is no JSON object")
        return head

    def write_head(self, head: dict[str, Any]) -> None:
        """Write the metadata of all videos; the token of the table does not change."""
        token = self.head().get("token") or uuid.uuid4().hex
        self.execute("DELETE FROM head")
        self.execute("INSERT INTO head VALUES (?)", [json.dumps(head | {"token": token})])

    def add(self, entries: Iterable[VideoEntry]) -> None:
        """Insert entries; an existing video gets a new row number."""
        self.executemany(f"INSERT OR REPLACE INTO videos {_ROW}", map(_encoded, map(_row_of, entries)))

    def update(self, rows: Iterable[Sequence[Any]]) -> None:
        """Insert or update rows; an existing video keeps its row number."""
        self.executemany(f"INSERT INTO videos {_ROW} ON CONFLICT (path) DO UPDATE SET {_NEW}", map(_encoded, rows))

    def update_from(self, source: Table, paths: set[str]) -> None:
        """Copy the rows of these videos from another table unchanged."""
        self.update(row for row in source.execute(f"SELECT {NAMES}, rest FROM videos") if row[0] in paths)

    def keep(self, paths: set[str]) -> None:
        """Delete all other videos."""
        gone = [[_encode(path)] for (path,) in self.execute("SELECT path FROM videos") if path not in paths]
        self.executemany(f"DELETE FROM videos WHERE path = {_TEXT}", gone)

    def claim(self, paths: Iterable[str], process: str) -> None:
        """Record that a process works on these videos."""
        claims = [(_encode(path), process) for path in paths]
        self.executemany(f"INSERT OR REPLACE INTO claims VALUES ({_TEXT}, ?)", claims)

    def release(self, paths: Iterable[str]) -> None:
        """Delete claims on these videos."""
        self.executemany(f"DELETE FROM claims WHERE path = {_TEXT}", ([_encode(path)] for path in paths))

    def settle(self, change: Callable[[VideoEntry], VideoEntry]) -> None:
        """Update values that depend on the scan's settings: times of images and arrays, levels of deep videos."""
        asked = f"""SELECT {NAMES}, rest FROM videos
                    WHERE instr(rest, '"samples":') > 0 OR codec IN ('images', 'array')"""
        entries = map(entry_of, self.execute(asked))
        self.update([_row_of(new) for new, old in ((change(entry), entry) for entry in entries) if new != old])

    def mark_copies(self) -> None:
        """Record at each copy the first video with the same bytes."""
        first: dict[str, str] = {}
        changed = []
        for number, path, content, before in self.execute(
            "SELECT id, path, content_hash, duplicate_of FROM videos WHERE duplicate_of != '' OR content_hash IN "
            "(SELECT content_hash FROM videos WHERE content_hash != '' GROUP BY content_hash HAVING count(*) > 1) "
            "ORDER BY path"
        ):
            original = first.setdefault(content, path) if content else path
            now = "" if original == path else original
            if now != before:
                changed.append((_encode(now), number))
        self.executemany(f"UPDATE videos SET duplicate_of = {_TEXT} WHERE id = ?", changed)


@contextmanager
def reading(path: Path) -> Iterator[Table]:
    """Open a table for reading (see `open_to_read`).

    Raises:
        FileNotFoundError: the table does not exist.
        ManifestError: the file is not such a table, or is damaged, which may only be detected inside the block.
    """
    with open_to_read(path, _SCHEMA) as connection:
        yield Table(connection)


@contextmanager
def changing(path: Path, *, locks: bool = True) -> Iterator[Table]:
    """Open a table for a transaction, and create it if necessary. Changes made in the block are committed atomically.

    Args:
        path: the file.
        locks: other processes may change the file, too.

    Raises:
        ManifestError: the file is not such a table, or is damaged.
        WriteError: the file cannot be written.
    """
    with open_to_change(path, _SCHEMA, locks=locks) as connection:
        yield Table(connection)


def move_table(table: Path, to: Path, *, copy: bool) -> None:
    """Rename a table to its manifest, or write a copy there."""
    with writing(to, table.stat().st_size):
        Path(f"{to}-journal").unlink(missing_ok=True)  # journal of the replaced table
        with in_place(to, table.stat().st_size) if copy else nullcontext(table) as file:
            if copy:
                shutil.copyfile(table, file)
            with file.open("rb") as written:
                os.fsync(written.fileno())
            if not copy:
                file.replace(to)
