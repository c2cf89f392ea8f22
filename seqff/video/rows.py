"""Lazy access to the entries in a manifest's table, by row or by column."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from seqff.errors import ManifestError, WriteError
from seqff.files import in_place
from seqff.untrusted import parse_json
from seqff.video.entry import MOST_FRAMES, Stamp, VideoEntry
from seqff.video.sqlite_file import DAMAGE, write_error
from seqff.video.table import COLUMNS, NAMES, Table, changing, entry_of, reading

_BLOCK = 500  # rows read at once
_LEAST_ROW = 16  # minimum bytes of a row


class Rows(Sequence[VideoEntry]):
    """Entries of a table, read and validated on access; only their row numbers, 8 bytes each, are in memory.

    A later scan may change the table. Accessing an entry that it has removed raises `ManifestError`.

    Args:
        table: the file.
        token: token of the table when the numbers were read.
        numbers: row numbers of the entries, int64 (n,).
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
        if self._last is None or self._last[0] != number:  # consecutive accesses are often to the same video
            self._last = number, next(iter(Rows(self.table, self.token, np.array([number]))))
        return self._last[1]

    def __iter__(self) -> Iterator[VideoEntry]:
        for row in self._rows(f"{NAMES}, rest"):
            try:
                yield entry_of(row)
            except DAMAGE as error:
                raise ManifestError(f"{self.table} is damaged ({error}): delete it and scan again") from error

    def stamps(self) -> Iterator[tuple[str, str, Stamp]]:
        """Yield each video's path, status, and stamp."""
        shard = """CASE WHEN instr(rest, '"shard":') > 0 THEN rest ELSE '' END"""
        for path, status, size, mtime_ns, version, rest in self._rows(
            f"path, status, bytes, mtime_ns, version, {shard}"
        ):
            yield path, status, Stamp(size, mtime_ns, version, tuple(parse_json(rest)["shard"]) if rest else (0, 0))

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
        """Return a field of all entries, (n,), without creating the entries."""
        return self._column(name, COLUMNS[name])

    def filled(self, name: str) -> NDArray[np.bool_]:
        """Return for which entries a field is set, (n,) bool."""
        return self._column(f"{name} != ''" if name in COLUMNS else f"instr(rest, '\"{name}\":') > 0", "?")

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
        """Switch to a copy of the table (see `write_table`)."""
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
        return ManifestError(f"{self.table} was scanned again, moved or deleted while it was used: start again")


Entries = Rows | tuple[VideoEntry, ...]


def column(entries: Sequence[VideoEntry], name: str) -> NDArray[Any]:
    """Return a field of all entries, (n,): path, bytes, content_hash, status (both as bytes), frames, height, width."""
    if isinstance(entries, Rows):
        return entries.column(name)
    kind = COLUMNS[name] if COLUMNS[name] != "S32" else "S"
    return np.array([getattr(entry, name) for entry in entries], dtype=kind)


def filled(entries: Sequence[VideoEntry], name: str) -> NDArray[np.bool_]:
    """Return for which entries a field is set, (n,) bool."""
    if isinstance(entries, Rows):
        return entries.filled(name)
    default = VideoEntry.__dataclass_fields__[name].default
    return np.array([getattr(entry, name) != default for entry in entries], dtype=bool)


def chosen(entries: Sequence[VideoEntry], where: NDArray[Any]) -> Entries:
    """Return the entries at these ascending indices, or for which a (n,) bool is true."""
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
    """Yield each video's path, status, and stamp."""
    return entries.stamps() if isinstance(entries, Rows) else ((e.path, e.status, e.stamp) for e in entries)


def load_rows(path: Path) -> tuple[dict[str, Any], Rows]:
    """Return the head of a table, and its entries sorted by path.

    Raises:
        FileNotFoundError: the table does not exist.
        ManifestError: the file is not such a table, or is damaged.
    """
    with reading(path) as table:
        head = table.head()
        asked = islice(table.execute("SELECT id FROM videos ORDER BY path"), _most_rows(path))
        numbers = np.fromiter((number for (number,) in asked), dtype=np.int64)
        if len(np.unique(numbers)) < len(numbers):
            raise ValueError("a row is there twice")
    return head, Rows(path.absolute(), str(head.get("token")), numbers)


def write_table(path: Path, head: dict[str, Any], entries: Sequence[VideoEntry]) -> None:
    """Write entries to a table; those of another table keep their row numbers (see `Rows.move`).

    Raises:
        ManifestError: the other table is damaged.
        WriteError: the table cannot be written.
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
        Path(f"{path}-journal").unlink(missing_ok=True)  # journal of the replaced table


def _copy(entries: Rows, to: Path) -> None:
    with entries.opened() as source:
        try:
            with closing(sqlite3.connect(to)) as copy:
                source.connection.backup(copy)
        except sqlite3.OperationalError as error:
            raise write_error(to, error) from error
    with changing(to) as table:
        there = [number for (number,) in table.execute("SELECT id FROM videos")]
        gone = np.setdiff1d(there, entries.numbers)
        table.executemany("DELETE FROM videos WHERE id = ?", gone[:, None].tolist())


def _most_rows(path: Path) -> int:
    """Return an upper bound of the rows in a file of this size, since circular page references would never end."""
    return path.stat().st_size // _LEAST_ROW


def _limit(name: str) -> int:
    return {"frames": MOST_FRAMES, "height": 2**31, "width": 2**31}.get(name, 2**62)
