"""The manifest: the results of scanning a folder of videos, stored as a table or as JSON."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from seqff.display import html_table, import_pandas
from seqff.errors import ManifestError
from seqff.files import write_atomically
from seqff.terminal import Lines, as_lines, counted, printable
from seqff.untrusted import check_inside, parse_json, read_plain
from seqff.video.entry import VideoEntry
from seqff.video.find import as_path
from seqff.video.levels import USED
from seqff.video.remote.address import is_below, shown
from seqff.video.rows import Entries, chosen, column, filled, load_rows, usable, write_table
from seqff.video.table import TABLE

if TYPE_CHECKING:
    import pandas

FORMAT = 3
"""Increased whenever entries of earlier versions become invalid."""

_MOST_BYTES = 2**30
_MOST_LINES = 10_000
_NUMBER = re.compile(r"\d+(\.\d+)?")


class BadVideosError(ManifestError):
    """More videos are unusable than allowed.

    Args:
        message: which ones and why.
        manifest: manifest of all videos, including good ones.
    """

    def __init__(self, message: str, manifest: Manifest) -> None:
        super().__init__(message)
        self.manifest = manifest

    def __reduce__(self) -> tuple[type[BadVideosError], tuple[str, Manifest]]:
        return type(self), (self.args[0], self.manifest)


@dataclass(frozen=True)
class Manifest:
    """The videos under one folder.

    Args:
        root: the folder, absolute.
        entries: one per video, sorted by path; read lazily if they are in a table.
        skipped: what the search found and skipped, one line per kind.
        fps: frame rate of images and arrays given to the scan; 0 if none was given.
        levels: how deep images are shown; see `seqff.config.VideoConfig`.
        format: format of the file it was loaded from.
    """

    root: Path
    entries: Entries
    skipped: tuple[str, ...] = ()
    fps: float = 0.0
    levels: str = USED
    format: int = FORMAT

    @cached_property
    def usable(self) -> Entries:
        """The videos that can be used for training and extraction; see `VideoEntry.usable`."""
        return chosen(self.entries, usable(self.entries))

    @cached_property
    def bad(self) -> Entries:
        """The unusable videos."""
        return chosen(self.entries, ~usable(self.entries))

    @cached_property
    def hash(self) -> str:
        """Hash of everything that is read: the videos, their contents and frame counts; not their location."""
        levels = chosen(self.entries, deep := filled(self.entries, "levels"))
        shown_at = dict(zip(np.flatnonzero(deep).tolist(), (entry.levels for entry in levels), strict=True))
        names = ("path", "content_hash", "status", "frames")
        columns = [column(self.entries, name) for name in names]
        digest = hashlib.blake2b(digest_size=16)
        for number, (path, content, status, frames) in enumerate(zip(*columns, strict=True)):
            line = [path, content.decode(), status.decode(), int(frames)]
            line += [shown_at[number]] if number in shown_at else []
            digest.update(("[" if number == 0 else ", ").encode() + json.dumps(line).encode())
        digest.update(b"]" if len(self) else b"[]")
        return digest.hexdigest()

    @cached_property
    def totals(self) -> dict[str, Any]:
        """Totals of the usable videos: `files`, `frames`, and `seconds` of those with a known frame rate."""
        frames, fps = column(self.usable, "frames"), column(self.usable, "fps")
        seconds = (frames[fps > 0] / fps[fps > 0]).sum()
        return {"files": len(frames), "frames": int(frames.sum()), "seconds": round(float(seconds), 1)}

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[VideoEntry]:
        return iter(self.entries)

    def path(self, entry: VideoEntry) -> Path:
        """Return the path of a video; for a remote one, the path that stands for its address."""
        return self.root / entry.path

    def to_dict(self) -> dict[str, Any]:
        """Return the manifest as plain data."""
        return self.head() | {"entries": [entry.to_dict() for entry in self.entries]}

    def head(self) -> dict[str, Any]:
        """Return everything but the entries, as plain data."""
        more = {"skipped": list(self.skipped), "fps": self.fps}
        head = {"format": FORMAT, "root": shown(self.root), "levels": self.levels}
        return head | {name: value for name, value in more.items() if value}

    def save(self, path: str | PathLike[str]) -> None:
        """Write the manifest atomically, as a table (*.sqlite) or as JSON (*.json).

        Raises:
            ValueError: the name has another extension.
        """
        path = check_ending(Path(path))
        if path.suffix.lower() == TABLE:
            write_table(path, self.head(), self.entries)
        else:
            lines = ",\n".join(json.dumps(entry.to_dict()) for entry in self.entries)
            write_atomically(path, f'{json.dumps(self.head())[:-1]}, "entries": [\n{lines}\n]}}\n')

    @classmethod
    def load(cls, path: str | PathLike[str], *, older: bool = False) -> Manifest:
        """Read a manifest; entries in a table are read lazily.

        Args:
            path: the file, *.sqlite or *.json.
            older: also accept an older format, of which only the list of videos is valid.

        Raises:
            FileNotFoundError: the file does not exist.
            ManifestError: the file is not a manifest, is damaged, or has another version; a damaged entry in a table
                may only be detected when it is read.
        """
        path = Path(path)
        entries: Entries
        try:
            if path.suffix.lower() == TABLE:
                values, entries = load_rows(path)
                found = _format(path, values, older=older)
            else:
                values = parse_json(read_plain(path, _MOST_BYTES))
                found = _format(path, values, older=older)
                entries = tuple(VideoEntry.from_dict(entry, sizes=found == FORMAT) for entry in values["entries"])
                for entry in entries:
                    check_inside(entry.path)
            skipped = tuple(map(str, values.get("skipped", ())))
            fps, levels = float(values.get("fps", 0.0)), str(values.get("levels", USED))
            root = as_path(values["root"])
            remote = is_below(root) and ("://" in values["root"] or values["root"].endswith(":"))
            if not (root.is_absolute() or remote):
                raise ValueError(f"its root {values['root']!r} is neither an absolute path nor an address")
            if not 0 <= fps < math.inf:
                raise ValueError(f"its fps is {fps}")
            return cls(root, entries, skipped, fps, levels, found)
        except FileNotFoundError:
            raise
        except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
            raise ManifestError(
                f"{path} is not a seqff manifest, or damaged ({error}): delete it and scan again"
            ) from error

    def table(self) -> str:
        """Return text: every video with its status, then the totals and what was skipped.

        For more than 10 000 videos, only the problematic ones are listed, up to that number.
        """
        many = len(self) > _MOST_LINES
        listed = chosen(self.entries, column(self.entries, "status") != b"ok")[:_MOST_LINES] if many else self.entries
        rows = [_HEAD, *map(_row, listed)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]
        left_out = [f"... and {counted(len(self) - len(listed), 'more video')}"] * many
        return as_lines([*lines, *left_out, "", self.summary(), *self.skipped])

    def __repr__(self) -> str:
        return f"Manifest({shown(self.root)!r}, {self.summary()})"

    def _repr_html_(self) -> str:
        """The videos as an HTML table, for notebooks."""
        return html_table(self.summary(), [_HEAD, *map(_row, self.entries)], self.skipped)

    def to_frame(self) -> pandas.DataFrame:
        """Return the entries as a pandas DataFrame.

        Returns:
            One row per video, one column per field of `VideoEntry`: "path", "status", "frames", "height", ...

        Raises:
            RunError: pandas is not installed.
        """
        return import_pandas().DataFrame([entry.to_dict() for entry in self.entries])

    def summary(self) -> str:
        """Return one line with the number of videos of each status."""
        counts = zip(*np.unique(column(self.entries, "status"), return_counts=True), strict=True)
        copies = int(filled(self.entries, "duplicate_of").sum())
        parts = [f"{count} {status.decode()}" for status, count in counts] + [f"{copies} copies"] * bool(copies)
        usable = "{files} usable with {frames} frames".format(**self.totals)
        return f"{counted(len(self), 'video')}: {', '.join(parts)}; {usable}"


def check_ending(path: Path) -> Path:
    """Return the path of a manifest if its extension is valid.

    Raises:
        ValueError: it is not.
    """
    if path.suffix.lower() not in (TABLE, ".json"):
        raise ValueError(f"{path}: the name of a manifest must end with {TABLE} (a table) or .json")
    return path


def _format(path: Path, values: dict[str, Any], *, older: bool) -> int:
    found = int(values["format"])
    if found > FORMAT or (found < FORMAT and not older):
        raise ManifestError(f"{path}: manifest of format {found}, this seqff reads {FORMAT}: scan again")
    return found


_HEAD = ("status", "frames", "size", "fps", "codec", "reader", "video", "remark")


def _row(entry: VideoEntry) -> tuple[str, ...]:
    copy = f"same as {entry.duplicate_of}" if entry.duplicate_of else ""
    reader = " ".join(entry.best) if entry.reader else "-"
    size = f"{entry.width}x{entry.height}" if entry.width else "-"
    fps = f"{entry.fps:.4g}{' var' if entry.variable_rate else ''}" if entry.fps else "-"
    remark = "; ".join(filter(None, (entry.cause, entry.depth_remark, copy)))
    cells = (entry.status, str(entry.frames), size, fps, entry.codec or "-", reader, entry.path, remark)
    return tuple(map(printable, cells))


def list_alike(entries: Iterable[VideoEntry], most: int = 10) -> Lines:
    """Return text with one line, and a count, for all videos whose causes differ only by numbers."""
    alike: dict[str, list[VideoEntry]] = {}
    for entry in entries:
        alike.setdefault(f"{entry.status}: {_NUMBER.sub('N', entry.cause)}", []).append(entry)
    lines = [
        f"  {one[0].path}: {one[0].status}: {one[0].cause}{_more(one[1:])}"
        for one in sorted(alike.values(), key=len, reverse=True)
    ]
    return as_lines(lines[:most] + [f"  ... and {counted(len(lines) - most, 'more kind')}"] * (len(lines) > most))


def _more(entries: Sequence[VideoEntry]) -> str:
    named = ", ".join(entry.path for entry in entries[:2]) + ", ..." * (len(entries) > 2)
    return f" (and {len(entries)} more alike: {named})" if entries else ""
