"""The table of a manifest: an SQLite file with a row a video, of which every process reads what it needs."""

from __future__ import annotations

import errno
import json
import os
import shutil
import sqlite3
import stat
import sys
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext, suppress
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from seqff.errors import ManifestError, WriteError
from seqff.files import in_place, write_atomically, writing
from seqff.untrusted import MOST_JSON_BYTES, check_inside, parse_json
from seqff.video.entry import MOST_FRAMES, Stamp, VideoEntry

TABLE = ".sqlite"
_KINDS: dict[str, str] = {
    "path": "O", "bytes": "i8", "mtime_ns": "i8", "version": "O", "content_hash": "S32", "status": "S10",
    "frames": "i8", "height": "i8", "width": "i8", "fps": "f8", "codec": "O",
    "duplicate_of": "O",
}  # fmt: skip
"""Fields with a column of their own, and the kind of array they make; the others are JSON, where they are given."""
_NAMES = ", ".join(_KINDS)
_SCHEMA = (
    "CREATE TABLE head (line TEXT NOT NULL)",
    "CREATE TABLE videos (id INTEGER PRIMARY KEY AUTOINCREMENT, path TEXT NOT NULL UNIQUE, bytes INTEGER, "
    "mtime_ns INTEGER, version TEXT, content_hash TEXT, status TEXT, frames INTEGER, height INTEGER, width INTEGER, "
    "fps REAL, codec TEXT, duplicate_of TEXT, rest TEXT)",
    "CREATE TABLE claims (path TEXT PRIMARY KEY, process TEXT NOT NULL)",
)
_TEXT = "CAST(? AS TEXT)"  # of bytes: names of files need not be UTF-8
_ROW = f"({_NAMES}, rest) VALUES ({', '.join(_TEXT if kind == 'O' else '?' for kind in _KINDS.values())}, ?)"
_NEW = ", ".join(f"{name} = excluded.{name}" for name in [*_KINDS, "rest"] if name != "path")
_BLOCK = 500  # rows that are read at once
_LEAST_ROW = 16  # bytes
_PATIENCE_SECONDS = 60.0
_DAMAGE = (sqlite3.Error, ValueError, KeyError, TypeError, AttributeError, OverflowError)
_SUPER_JOURNAL = bytes.fromhex("d9d505f920a163d7")


def _encode(text: str) -> bytes:
    """Return a name in the order of its characters, also where it is no UTF-8."""
    return text.encode("utf-8", "surrogatepass")


def _row_of(entry: VideoEntry) -> list[Any]:
    rest = {name: value for name, value in entry.to_dict().items() if name not in _KINDS}
    return [*(getattr(entry, name) for name in _KINDS), json.dumps(rest)]


def _encoded(row: Sequence[Any]) -> list[Any]:
    return [_encode(value) if kind == "O" else value for value, kind in zip(row, [*_KINDS.values(), ""], strict=True)]


def _entry_of(row: Sequence[Any]) -> VideoEntry:
    rest = parse_json(row[-1])
    if not isinstance(rest, dict):
        raise TypeError("an entry is no JSON object")
    entry = VideoEntry.from_dict({**rest, **dict(zip(_KINDS, row, strict=False))})
    check_inside(entry.path)
    return entry


class Table:
    """A table that is open; see `reading` and `changing`.

    Args:
        connection: to the file.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self.execute, self.executemany = connection.execute, connection.executemany

    def head(self) -> dict[str, Any]:
        """What is said of all videos; nothing of a table that is new."""
        line = self.execute("SELECT line FROM head").fetchone()
        head = parse_json(line[0]) if line else {}
        if not isinstance(head, dict):
            raise ValueError("its head is no JSON object")
        return head

    def write_head(self, head: dict[str, Any]) -> None:
        """Write what is said of all videos; the token of the table stays."""
        token = self.head().get("token") or uuid.uuid4().hex
        self.execute("DELETE FROM head")
        self.execute("INSERT INTO head VALUES (?)", [json.dumps(head | {"token": token})])

    def add(self, entries: Iterable[VideoEntry]) -> None:
        """Write entries; a video that was there gets a new number."""
        self.executemany(f"INSERT OR REPLACE INTO videos {_ROW}", map(_encoded, map(_row_of, entries)))

    def update(self, rows: Iterable[Sequence[Any]]) -> None:
        """Write rows; a video that was there keeps its number."""
        self.executemany(f"INSERT INTO videos {_ROW} ON CONFLICT (path) DO UPDATE SET {_NEW}", map(_encoded, rows))

    def update_from(self, source: Table, paths: set[str]) -> None:
        """Write the rows of these videos from another table into this one, as they are."""
        self.update(row for row in source.execute(f"SELECT {_NAMES}, rest FROM videos") if row[0] in paths)

    def keep(self, paths: set[str]) -> None:
        """Delete all videos but these."""
        gone = [[_encode(path)] for (path,) in self.execute("SELECT path FROM videos") if path not in paths]
        self.executemany(f"DELETE FROM videos WHERE path = {_TEXT}", gone)

    def claim(self, paths: Iterable[str], process: str) -> None:
        """Write down that a process is at these videos."""
        claims = [(_encode(path), process) for path in paths]
        self.executemany(f"INSERT OR REPLACE INTO claims VALUES ({_TEXT}, ?)", claims)

    def release(self, paths: Iterable[str]) -> None:
        """Take claims back."""
        self.executemany(f"DELETE FROM claims WHERE path = {_TEXT}", ([_encode(path)] for path in paths))

    def settle(self, change: Callable[[VideoEntry], VideoEntry]) -> None:
        """Change what depends on the settings of a scan: times of pictures and arrays, levels of deep videos."""
        asked = f"""SELECT {_NAMES}, rest FROM videos
                    WHERE instr(rest, '"samples":') > 0 OR codec IN ('images', 'array')"""
        entries = map(_entry_of, self.execute(asked))
        self.update([_row_of(new) for new, old in ((change(entry), entry) for entry in entries) if new != old])

    def mark_copies(self) -> None:
        """Write at each video the first with the same bytes, if it is another."""
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


class Rows(Sequence[VideoEntry]):
    """Entries of a table, each read and checked when it is asked for; in memory is its number alone, 8 bytes.

    A later scan may change the table. An entry that has left it, because its video has, is a `ManifestError`.

    Args:
        table: the file.
        token: that it had when its numbers were read.
        numbers: of the entries, int64 (n,).
    """

    def __init__(self, table: Path, token: str, numbers: NDArray[np.int64]) -> None:
        self.table, self.token, self.numbers = table, token, numbers
        self._last: tuple[int, VideoEntry] | None = None

    def __len__(self) -> int:
        return len(self.numbers)

    @overload
    def __getitem__(self, index: int) -> VideoEntry: ...

    @overload
    def __getitem__(self, index: slice | NDArray[Any]) -> Rows: ...

    def __getitem__(self, index: int | slice | NDArray[Any]) -> VideoEntry | Rows:
        if isinstance(index, (slice, np.ndarray)):
            return Rows(self.table, self.token, self.numbers[index])
        number = int(self.numbers[index])
        if self._last is None or self._last[0] != number:  # one video is asked for several times in a row
            self._last = number, next(iter(Rows(self.table, self.token, np.array([number]))))
        return self._last[1]

    def __iter__(self) -> Iterator[VideoEntry]:
        for row in self._rows(f"{_NAMES}, rest"):
            try:
                yield _entry_of(row)
            except _DAMAGE as error:
                raise ManifestError(f"{self.table} is damaged ({error}): delete it and scan anew") from error

    def stamps(self) -> Iterator[tuple[str, str, Stamp]]:
        """Yield of each video its path, its status, and what tells its file from a later one."""
        for path, status, *values in self._rows("path, status, bytes, mtime_ns, version"):
            yield path, status, Stamp(*values)

    def _rows(self, names: str) -> Iterator[tuple[Any, ...]]:
        for start in range(0, len(self), _BLOCK):
            yield from self._read(self.numbers[start : start + _BLOCK].tolist(), names)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, (Rows, tuple)):
            return NotImplemented
        return len(self) == len(other) and all(mine == theirs for mine, theirs in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]

    def _read(self, numbers: list[int], names: str) -> list[tuple[Any, ...]]:
        asked = f"SELECT id, {names} FROM videos WHERE id IN ({','.join(map(str, numbers))})"
        with self.opened() as table:
            found = {number: values for number, *values in table.execute(asked)}
            if len(found) < len(numbers):
                raise self._gone()
            return [found[number] for number in numbers]

    def column(self, name: str) -> NDArray[Any]:
        """Return a field of all entries, (n,), without making the entries."""
        return self._column(name, _KINDS[name])

    def filled(self, name: str) -> NDArray[np.bool_]:
        """Return whether a field is given, (n,) bool."""
        return self._column(f"{name} != ''" if name in _KINDS else f"instr(rest, '\"{name}\":') > 0", "?")

    def _column(self, name: str, kind: str) -> NDArray[Any]:
        with self.opened() as table:
            rows = islice(table.execute(f"SELECT id, {name} FROM videos ORDER BY id"), _most_rows(self.table))
            read = np.fromiter(rows, dtype=[("id", "i8"), ("value", kind)])
            if kind == "i8" and len(read) and not 0 <= read["value"].min() <= read["value"].max() <= _limit(name):
                raise ValueError(f"{name} cannot be so")
            places = np.minimum(np.searchsorted(read["id"], self.numbers), len(read) - 1)
            if not np.array_equal(read["id"][places], self.numbers):
                raise self._gone()
        values: NDArray[Any] = read["value"][places]
        return values

    def move(self, table: Path) -> None:
        """Read from a copy of the table from now on (see `write_table`)."""
        self.table = table.absolute()

    def usable(self) -> NDArray[np.bool_]:
        """Return which entries are usable (see `VideoEntry.usable`), (n,) bool."""
        return self._column("status = 'ok' OR (status = 'damaged' AND frames >= 2)", "?")

    @contextmanager
    def opened(self) -> Iterator[Table]:
        """Open the table."""
        try:
            with reading(self.table) as table:
                if table.head().get("token") != self.token:
                    raise self._gone()
                yield table
        except FileNotFoundError as error:
            raise self._gone() from error

    def _gone(self) -> ManifestError:
        return ManifestError(f"{self.table} was scanned anew, moved or deleted while it was used: start again")


Entries = Rows | tuple[VideoEntry, ...]


def column(entries: Sequence[VideoEntry], name: str) -> NDArray[Any]:
    """Return a field of all entries, (n,): path, bytes, content_hash, status (both as bytes), frames, height, width."""
    if isinstance(entries, Rows):
        return entries.column(name)
    kind = _KINDS[name] if _KINDS[name] != "S32" else "S"
    return np.array([getattr(entry, name) for entry in entries], dtype=kind)


def filled(entries: Sequence[VideoEntry], name: str) -> NDArray[np.bool_]:
    """Return of which entries a field is given, (n,) bool."""
    if isinstance(entries, Rows):
        return entries.filled(name)
    default = VideoEntry.__dataclass_fields__[name].default
    return np.array([getattr(entry, name) != default for entry in entries], dtype=bool)


def chosen(entries: Sequence[VideoEntry], where: NDArray[Any]) -> Entries:
    """Return the entries with these places, ascending, or those where a (n,) bool is true."""
    if isinstance(entries, Rows):
        return entries[where]
    places: list[int] = (np.flatnonzero(where) if where.dtype == bool else where).tolist()
    return tuple(entries[place] for place in places)


def shapes(entries: Sequence[VideoEntry]) -> list[tuple[int, int]]:
    """Return (height, width) of each video, px."""
    return list(zip(column(entries, "height").tolist(), column(entries, "width").tolist(), strict=True))


def usable(entries: Sequence[VideoEntry]) -> NDArray[np.bool_]:
    """Return which entries are usable (see `VideoEntry.usable`), (n,) bool."""
    return entries.usable() if isinstance(entries, Rows) else np.array([entry.usable for entry in entries], dtype=bool)


def stamps(entries: Sequence[VideoEntry]) -> Iterator[tuple[str, str, Stamp]]:
    """Yield of each video its path, its status, and what tells its file from a later one."""
    return entries.stamps() if isinstance(entries, Rows) else ((e.path, e.status, e.stamp) for e in entries)


def load_rows(path: Path) -> tuple[dict[str, Any], Rows]:
    """Return the head of a table, and its entries in the order of their paths.

    Raises:
        FileNotFoundError: there is none.
        ManifestError: it is no such table, or damaged.
    """
    with reading(path) as table:
        head = table.head()
        asked = islice(table.execute("SELECT id FROM videos ORDER BY path"), _most_rows(path))
        numbers = np.fromiter((number for (number,) in asked), dtype=np.int64)
        if len(np.unique(numbers)) < len(numbers):
            raise ValueError("a row is there twice")
    return head, Rows(path.absolute(), str(head.get("token")), numbers)


def write_table(path: Path, head: dict[str, Any], entries: Sequence[VideoEntry]) -> None:
    """Write a table of entries; those of another table keep their numbers (see `Rows.move`).

    Raises:
        ManifestError: the other table is damaged.
        WriteError: it cannot be written.
    """
    with in_place(path) as partial:
        try:
            if isinstance(entries, Rows):
                _copy(entries, partial)
            with changing(partial) as table:
                if not isinstance(entries, Rows):
                    table.add(entries)
                table.write_head(head)
        except WriteError as error:
            raise WriteError(path, error.cause, error.needed) from error
        Path(f"{path}-journal").unlink(missing_ok=True)  # of what is replaced


def _copy(entries: Rows, to: Path) -> None:
    with entries.opened() as source:
        try:
            with closing(sqlite3.connect(to)) as copy:
                source.connection.backup(copy)
        except sqlite3.OperationalError as error:
            raise _write_error(to, error) from error
    with changing(to) as table:
        there = [number for (number,) in table.execute("SELECT id FROM videos")]
        gone = np.setdiff1d(there, entries.numbers)
        table.executemany("DELETE FROM videos WHERE id = ?", gone[:, None].tolist())


def move_table(table: Path, to: Path, *, copy: bool) -> None:
    """Give a table the name of its manifest, or that name to a copy."""
    with writing(to, table.stat().st_size):
        Path(f"{to}-journal").unlink(missing_ok=True)  # of what is replaced
        with in_place(to, table.stat().st_size) if copy else nullcontext(table) as file:
            if copy:
                shutil.copyfile(table, file)
            with file.open("rb") as written:
                os.fsync(written.fileno())
            if not copy:
                file.replace(to)


@contextmanager
def reading(path: Path) -> Iterator[Table]:
    """Open a table that strangers may have made: nothing in it is executed, and nothing that is no table is opened.

    Raises:
        FileNotFoundError: there is none.
        ManifestError: it is no such table, or damaged; also what is found to be so in the block.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # not by opening it: closing any file lets go of SQLite's locks on it
            raise ValueError("not a plain file, but a folder, a pipe or a device")
        if _beside(path):
            with suppress(sqlite3.OperationalError), closing(_open(path, "rw")) as table:
                table.execute("SELECT 1 FROM sqlite_master").fetchone()  # undoes what a killed process had begun
        with closing(_open(path, "ro")) as table:
            _check_schema(table)
            yield Table(table)
    except (FileNotFoundError, WriteError):
        raise
    except sqlite3.OperationalError as error:
        raise ManifestError(f"{path} cannot be read: {error}") from error
    except (*_DAMAGE, OSError) as error:
        raise ManifestError(f"{path} is not a seqff manifest, or damaged ({error}): delete it and scan anew") from error


@contextmanager
def changing(path: Path, *, locks: bool = True) -> Iterator[Table]:
    """Open a table, made if need be; what is changed in the block is there after it as a whole, or not at all.

    Args:
        path: the file.
        locks: other processes may change it, too.

    Raises:
        ManifestError: it is no such table, or damaged.
        WriteError: it cannot be written.
    """
    try:
        _beside(path)
        with closing(_open(path, "rwc" if locks else "rwc&nolock=1")) as table:
            table.execute("PRAGMA synchronous = NORMAL")
            table.execute("BEGIN IMMEDIATE")
            try:
                if not table.execute("SELECT 1 FROM sqlite_master").fetchone():
                    for line in _SCHEMA:
                        table.execute(line)
                _check_schema(table)
                yield Table(table)
                table.execute("COMMIT")
            finally:
                if table.in_transaction:
                    table.execute("ROLLBACK")
    except sqlite3.OperationalError as error:
        raise _write_error(path, error) from error
    except _DAMAGE as error:
        raise ManifestError(f"{path} is not a seqff manifest, or damaged ({error}): delete it and scan anew") from error


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
    """Say whether a process was or is at work in a table; raise where what lies beside it is not SQLite's own journal.

    A journal may name a file that SQLite would delete, which ours never do.
    """
    for ending in ("-wal", "-shm"):
        if os.path.lexists(f"{path}{ending}"):
            raise ManifestError(f"{path}{ending} lies beside a manifest, which has no such file: delete it")
    journal = Path(f"{path}-journal")
    try:
        if sound := stat.S_ISREG(journal.lstat().st_mode):
            with journal.open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - len(_SUPER_JOURNAL)))
                sound = file.read(len(_SUPER_JOURNAL)) != _SUPER_JOURNAL
    except FileNotFoundError:
        return False
    if not sound:
        raise ManifestError(f"{journal} lies beside a manifest and is not of it: delete it")
    return True


def _check_schema(table: sqlite3.Connection) -> None:
    if set(table.execute("SELECT type, name, sql FROM sqlite_master LIMIT 20")) != _expected():
        raise ValueError("its tables are others")


@cache
def _expected() -> frozenset[tuple[str, ...]]:
    with closing(sqlite3.connect(":memory:")) as table:
        for line in _SCHEMA:
            table.execute(line)
        return frozenset(table.execute("SELECT type, name, sql FROM sqlite_master"))


def _most_rows(path: Path) -> int:
    """Return more than a file of this size has: pages that refer to each other in circles would have no end."""
    return path.stat().st_size // _LEAST_ROW


def _limit(name: str) -> int:
    return {"frames": MOST_FRAMES, "height": 2**31, "width": 2**31}.get(name, 2**62)


def _write_error(path: Path, error: sqlite3.Error) -> WriteError:
    """Return the system's own reason, which SQLite does not hand on, as a file beside meets it, too."""
    needed = max(2**16, path.stat().st_size if path.exists() else 0)
    probe = path.with_name(f".{path.name}.{os.getpid()}.probe")
    try:
        write_atomically(probe, bytes(2**16))
        probe.unlink()
    except WriteError as found:
        return WriteError(path, found.cause, needed)
    return WriteError(path, OSError(errno.EIO, str(error)))
