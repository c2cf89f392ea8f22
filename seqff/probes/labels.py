"""The class of every video: from folders or from a table."""

from __future__ import annotations

import csv
import difflib
import os
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path, PurePosixPath

from seqff.errors import LabelError

SHOWN = 3
"""Names an error message lists before it counts the rest."""


def read_labels(
    videos: Sequence[str],
    source: str | os.PathLike[str] | Mapping[str, str],
    *,
    column: str = "label",
    without_features: Collection[str] = (),
) -> list[str]:
    """Find the class of each video.

    Args:
        videos: paths, posix, relative to the folder of videos.
        source: "folder" (the first folder of the path: walk/denis.avi is a "walk"), a CSV file with the header
            `video,label` (more columns may follow), or a mapping from video to label.
        column: the column of the file that holds the class.
        without_features: further videos that the source may name (the skipped ones).

    Returns:
        One label a video, in the order of `videos`.

    Raises:
        LabelError: a video without a label, a label for an unknown video, or an unreadable table.
    """
    if isinstance(source, Mapping):
        return align(videos, source, "label", "the labels given", without_features)
    if str(source) == "folder":
        return _first_folders(videos)
    return align(videos, read_column(Path(source), column), column, str(source), without_features)


def read_column(path: Path, column: str) -> dict[str, str]:
    """Read one column of a CSV file with a header, by the column `video`.

    Args:
        path: the file, UTF-8, comma separated.
        column: name of the column.

    Raises:
        LabelError: missing or unreadable file, missing column, empty value, or a video with two values.
    """
    if not path.is_file():
        hint = " (or is it meant as the word 'folder'?)" if column == "label" else ""
        raise LabelError(f"{path}: no such file of {column}s{hint}")
    values: dict[str, str] = {}
    for line, row in enumerate(read_table(path, ("video", column)), start=2):
        video, value = row["video"], row[column]
        if values.setdefault(video, value) != value:
            raise LabelError(f"{path}, row {line}: {video} has the {column}s {values[video]!r} and {value!r}")
    return values


def read_table(path: Path, needed: Sequence[str]) -> list[dict[str, str]]:
    """Read a CSV file with a header; videos come with forward slashes.

    Args:
        path: the file, UTF-8, comma separated.
        needed: columns that must be there and filled; others may be there.

    Returns:
        One dict a row, values without spaces around them.

    Raises:
        LabelError: the file cannot be read, or a needed column or value is missing.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            table = csv.DictReader(file)
            header = list(table.fieldnames or [])
            rows = [{name: (row[name] or "").strip() for name in header} for row in table]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise LabelError(f"{path} is not a CSV file in UTF-8: {error}") from error
    for name in needed:
        if name not in header:
            raise LabelError(f"{path} has the columns {', '.join(map(repr, header)) or 'none'}; it needs {name!r}")
    for line, row in enumerate(rows, start=2):
        empty = [name for name in needed if not row[name]]
        if empty:
            raise LabelError(f"{path}, row {line}: {empty[0]} is empty")
        row["video"] = _posix(row["video"])
    return rows


def align(
    videos: Sequence[str], values: Mapping[str, str], what: str, source: str, without_features: Collection[str] = ()
) -> list[str]:
    """Pick each video's value from a table that must fit: no video missing, none unknown.

    Args:
        videos: paths of the videos.
        values: value by path.
        what: name of the value, for errors.
        source: where the values come from, for errors.
        without_features: paths that may be in the table though they are not in `videos`.

    Raises:
        LabelError: the table does not fit.
    """
    known = set(videos)
    unknown = [video for video in values if video not in known and video not in without_features]
    if unknown:
        near = _nearest(unknown[0], videos)
        hint = f"; did you mean {near!r}?" if near else ""
        raise LabelError(
            f"{source} names {listing(unknown, 'video')} that the features do not hold{hint} "
            "(paths are relative to the folder of videos)"
        )
    missing = [video for video in videos if video not in values]
    if missing:
        raise LabelError(f"{source} has no {what} for {listing(missing, 'video')}; every video needs one")
    return [values[video] for video in videos]


def check_classes(labels: Sequence[str], groups: Sequence[str]) -> None:
    """Make sure that a probe by groups can be trained and tested at all.

    Args:
        labels: class of each video.
        groups: group of each video.

    Raises:
        LabelError: one class only, one group only, or a class that stands in one group only.
    """
    classes = Counter(labels)
    if len(classes) < 2:
        raise LabelError(f"all videos have the label {labels[0]!r}; a probe needs 2 classes or more")
    if len(set(groups)) < 2:
        raise LabelError(f"all videos are in one group, {groups[0]!r}; a split needs 2 groups or more")
    single = [label for label, count in classes.items() if count == 1]
    if single:
        raise LabelError(
            f"{listing(single, 'class', 'classes')} with one video only; each class needs 2 videos or more, "
            "one to train on and one to test on"
        )
    where: dict[str, set[str]] = defaultdict(set)
    for label, group in zip(labels, groups, strict=True):
        where[label].add(group)
    if list(labels) == list(groups):
        raise LabelError(
            "labels and groups are the same, so a probe would never see the class it is tested on; if both are "
            "'folder', lay videos out as LABEL/GROUP/name.mp4, or give groups as a CSV file or a regular expression"
        )
    alone = [label for label in classes if len(where[label]) == 1]
    if len(alone) == len(classes):
        raise LabelError(
            "every class is in one group only, so a probe would never see the class it is tested on; groups must cut "
            f"across classes (subjects, cameras, days), but class {alone[0]!r} is all in {where[alone[0]].pop()!r}"
        )
    if alone:
        raise LabelError(
            f"{listing(alone, 'class', 'classes')} in one group only; each class needs 2 groups or more, "
            "else no probe sees it in training when it is tested"
        )


def listing(names: Sequence[str], singular: str, plural: str | None = None) -> str:
    """Say how many there are and name the first few: "5 videos (a, b, c, ...)"."""
    shown = ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
    return f"{len(names)} {singular if len(names) == 1 else plural or singular + 's'} ({shown})"


def _first_folders(videos: Sequence[str]) -> list[str]:
    loose = [video for video in videos if len(PurePosixPath(video).parts) < 2]
    if loose:
        raise LabelError(
            f"labels 'folder': {listing(loose, 'video')} in no folder below the folder of videos; lay them out as "
            "LABEL/name.mp4 and extract from the folder above, or give a CSV file with the header video,label"
        )
    return [PurePosixPath(video).parts[0] for video in videos]


def _posix(path: str) -> str:
    clean = path.strip().replace("\\", "/")
    return clean.removeprefix("./")


def _nearest(name: str, videos: Sequence[str]) -> str | None:
    """The video most likely meant: the same file name in another folder, else the closest spelling."""
    same = [video for video in videos if PurePosixPath(video).name == PurePosixPath(name).name]
    return next(iter(same or difflib.get_close_matches(name, videos, n=1)), None)
