"""The class of every video: from folders or from a table."""

from __future__ import annotations

import difflib
import logging
import os
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from numpy.typing import NDArray

from seqff.errors import LabelError
from seqff.probes.csv_file import Rows, read_rows

Labels = str | os.PathLike[str] | Mapping[str, Any] | Sequence[Any] | NDArray[Any]
log = logging.getLogger(__name__)
_SPLITS = ("dev", "eval", "test", "testing", "train", "training", "trainval", "val", "valid", "validation")
SHOWN = 3
"""Names an error message lists before it counts the rest."""


def labels_by_video(videos: Sequence[str], labels: Labels) -> str | os.PathLike[str] | Mapping[str, str]:
    """Return labels as a mapping, if they are given as values: one a video, or a Series of pandas by video.

    Args:
        videos: paths, in the order in which values stand.
        labels: see `seqff.probe`; words and paths are returned as they are.

    Raises:
        LabelError: another number of values than of videos, or a missing value.
    """
    if isinstance(labels, (str, os.PathLike)):
        return labels
    if not isinstance(labels, Mapping):
        index = getattr(labels, "index", None)  # of a Series
        named = index is not None and not callable(index) and all(isinstance(video, str) for video in index)
        if not named and len(labels) != len(videos):
            raise LabelError(
                f"{len(labels)} labels for {listing(videos, 'video')}: give one a video, in their order, or a mapping"
            )
        labels = dict(zip(index if named else videos, labels, strict=True))  # type: ignore[arg-type]
    empty = [video for video, label in labels.items() if label is None or label != label]
    if empty:
        raise LabelError(f"no label for {listing(empty, 'video')}; every video needs one")
    return {str(video): str(label) for video, label in labels.items()}


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
        path: the file; see `read_rows`.
        column: name of the column.

    Raises:
        LabelError: missing or unreadable file, missing column, empty value, or a video with two values.
    """
    if not path.is_file():
        hint = " (or is it meant as the word 'folder'?)" if column == "label" else ""
        raise LabelError(f"{path}: no such file of {column}s{hint}")
    values: dict[str, str] = {}
    for line, row in read_table(path, ("video", column)):
        video, value = row["video"], row[column]
        if values.setdefault(video, value) != value:
            raise LabelError(f"{path}, row {line}: {video} has the {column}s {values[video]!r} and {value!r}")
    return values


def read_table(path: Path, needed: Sequence[str]) -> Rows:
    """Read a CSV file with a header; videos come with forward slashes.

    Args:
        path: the file.
        needed: columns that must be there and filled, `video` among them; others may be there.

    Returns:
        For each row its number in the file and a dict, values without spaces around them.

    Raises:
        LabelError: see `read_rows`.
    """
    return [(line, {**row, "video": _posix(row["video"])}) for line, row in read_rows(path, needed)]


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
    values, known = _spelt_alike(values, videos), set(videos)
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
    labels = [PurePosixPath(video).parts[0] for video in videos]
    if len(set(labels)) > 1 and all(label.lower() in _SPLITS for label in labels):
        log.warning(
            "labels 'folder': the classes are %s, which look like splits (the first folder below the folder of videos "
            "is the class); if classes lie below these, extract from one of them, or give a CSV file",
            ", ".join(sorted(set(labels))),
        )
    return labels


def _spelt_alike(values: Mapping[str, str], videos: Sequence[str]) -> Mapping[str, str]:
    """Give values the names of the videos where both differ only by how a system stores letters."""
    alike: dict[str, list[str]] = defaultdict(list)
    for video in videos:
        if video not in values:
            alike[_spelling(video)].append(video)
    if not alike:
        return values
    found = {name: alike.get(_spelling(name), []) for name in values.keys() - set(videos)}
    return {found[name][0] if len(found.get(name, ())) == 1 else name: value for name, value in values.items()}


def _spelling(name: str) -> str:
    """A name with accents joined to their letters, and bytes that are no UTF-8 as Windows-1252."""
    if any("\udc80" <= letter <= "\udcff" for letter in name):
        name = name.encode(errors="surrogateescape").decode("cp1252", errors="replace")
    return unicodedata.normalize("NFC", name)


def _posix(path: str) -> str:
    clean = path.strip().replace("\\", "/")
    return clean.removeprefix("./")


def _nearest(name: str, videos: Sequence[str]) -> str | None:
    """The video most likely meant: the same file name in another folder, else the closest spelling."""
    same = [video for video in videos if PurePosixPath(video).name == PurePosixPath(name).name]
    return next(iter(same or difflib.get_close_matches(name, videos, n=1)), None)
