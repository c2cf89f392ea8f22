"""The class and the group of every video: from folders, tables or names.

A group (a subject, a camera, a recording) is never divided between training and test.
"""

from __future__ import annotations

import difflib
import logging
import os
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from numpy.typing import NDArray

from seqff.errors import LabelError
from seqff.probes.csv_file import Rows, read_rows
from seqff.video.shards import outside_shard

Labels = str | os.PathLike[str] | Mapping[str, Any] | Sequence[Any] | NDArray[Any]
log = logging.getLogger(__name__)
_SPLITS = ("dev", "eval", "test", "testing", "train", "training", "trainval", "val", "valid", "validation")
SHOWN = 3
"""Number of names an error message lists."""
ROW_WORDS = ("frame", "frames", "row", "rows", "random")


def labels_by_video(videos: Sequence[str], labels: Labels) -> str | os.PathLike[str] | Mapping[str, str]:
    """Return labels given as values, one per video or a pandas Series by video, as a mapping.

    Args:
        videos: paths, in the order of the values.
        labels: see `seqff.probe`; words and paths are returned unchanged.

    Raises:
        LabelError: the number of values is not that of the videos, or a value is missing.
    """
    if isinstance(labels, (str, os.PathLike)):
        return labels
    if not isinstance(labels, Mapping):
        index = getattr(labels, "index", None)  # of a pandas Series
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
        videos: POSIX paths relative to the folder of videos.
        source: "folder" (the first folder of the path: walk/denis.avi is a "walk"), a CSV file with the header
            `video,label` (more columns may follow), or a mapping from video to label.
        column: the column of the file that holds the class.
        without_features: further videos that the source may name (skipped ones).

    Returns:
        One label per video, in the order of `videos`.

    Raises:
        LabelError: a video has no label, a label is for an unknown video, or the table is unreadable.
    """
    if isinstance(source, Mapping):
        return align(videos, source, "label", "the labels given", without_features)
    if str(source) == "folder":
        return _first_folders(videos)
    return align(videos, read_column(Path(source), column), column, str(source), without_features)


def read_groups(
    videos: Sequence[str],
    source: str | os.PathLike[str] | Mapping[str, str] | None,
    *,
    content_hashes: Sequence[str],
    without_features: Collection[str] = (),
) -> list[str]:
    """Find the group of each video.

    Args:
        videos: POSIX paths relative to the folder of videos.
        source: None (each video is its own group), "folder" (name of the innermost folder: walk/anna/1.avi is in
            "anna"), a CSV file with the header `video,group`, a mapping from video to group, or a regular expression.
            The expression is searched for in the file name, or in the whole path if it has a "/". The value is its
            capture group named `group`, else its first: `(?P<group>[a-z]+)_` puts walk/denis_walk.avi into "denis".
        content_hashes: content hash of each video; copies of one file must share a group.
        without_features: further videos that a table may name (skipped ones).

    Returns:
        One group per video, in the order of `videos`.

    Raises:
        LabelError: a video has no group, the table or expression is unreadable, or copies are in different groups.
    """
    if source is None:
        first = {content: video for video, content in zip(reversed(videos), reversed(content_hashes), strict=True)}
        return [first[content] for content in content_hashes]
    groups = _groups(videos, source, without_features)
    by_content: dict[str, list[int]] = defaultdict(list)
    for number, content in enumerate(content_hashes):
        by_content[content].append(number)
    for copies in by_content.values():
        other = next((number for number in copies if groups[number] != groups[copies[0]]), None)
        if other is not None:
            raise LabelError(
                f"{videos[copies[0]]} and {videos[other]} are the same video but in the groups {groups[copies[0]]!r} "
                f"and {groups[other]!r}; put them into one group, or remove one"
            )
    return groups


def read_column(path: Path, column: str) -> dict[str, str]:
    """Read a column of a CSV file, keyed by its column `video`; raises LabelError if a video has two values."""
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
    """Rows of a CSV file that has the `needed` columns, including `video`; videos are returned with forward slashes.

    Raises:
        LabelError: see `read_rows`.
    """
    rows = read_rows(path, needed)
    return [(line, {**row, "video": row["video"].replace("\\", "/").removeprefix("./")}) for line, row in rows]


def align(
    videos: Sequence[str], values: Mapping[str, str], what: str, source: str, without_features: Collection[str] = ()
) -> list[str]:
    """Return each video's value from a table that must name every video and no unknown ones.

    `what` names the value and `source` the table in the LabelError raised otherwise.
    """
    values, known = _spelt_alike(values, videos), set(videos)
    unknown = [video for video in values if video not in known and video not in without_features]
    if unknown:
        name = PurePosixPath(unknown[0]).name
        near = [video for video in videos if PurePosixPath(video).name == name]
        near = near or difflib.get_close_matches(unknown[0], videos, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise LabelError(
            f"{source} names {listing(unknown, 'video')} that the features do not hold{hint} "
            "(paths are relative to the folder of videos)"
        )
    missing = [video for video in videos if video not in values]
    if missing:
        raise LabelError(f"{source} has no {what} for {listing(missing, 'video')}; every video needs one")
    return [values[video] for video in videos]


def check_classes(labels: Sequence[str], groups: Sequence[str]) -> None:
    """Raise LabelError unless groups can be split: 2 classes or more, each in at least 2 groups."""
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
    """Count names and list the first few: "5 videos (a, b, c, ...)"."""
    shown = ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
    return f"{len(names)} {singular if len(names) == 1 else plural or singular + 's'} ({shown})"


def _check_folders(videos: Sequence[str], what: str, remedy: str) -> None:
    """Raise LabelError if a video is not in a folder below the root of all videos."""
    loose = [video for video in videos if "/" not in outside_shard(video)]
    if loose:
        raise LabelError(f"{what}: {listing(loose, 'video')} in no folder below the folder of videos{remedy}")


def _first_folders(videos: Sequence[str]) -> list[str]:
    remedy = (
        "; lay them out as LABEL/name.mp4 and extract from the folder above, or give a CSV file with the header "
        "video,label"
    )
    _check_folders(videos, "labels 'folder'", remedy)
    labels = [PurePosixPath(outside_shard(video)).parts[0] for video in videos]
    if len(set(labels)) > 1 and all(label.lower() in _SPLITS for label in labels):
        log.warning(
            "labels 'folder': the classes are %s, which look like splits (the first folder below the folder of videos "
            "is the class); if classes lie below these, extract from one of them, or give a CSV file",
            ", ".join(sorted(set(labels))),
        )
    return labels


def _spelt_alike(values: Mapping[str, str], videos: Sequence[str]) -> Mapping[str, str]:
    """Rename keys of values to names of videos that differ only in the encoding of letters, or in a shard."""
    alike: dict[str, list[str]] = defaultdict(list)
    for video in videos:
        if video not in values:
            alike[_spelling(video)].append(video)
    if not alike:
        return values
    found = {name: alike.get(_spelling(name), []) for name in values.keys() - set(videos)}
    return {found[name][0] if len(found.get(name, ())) == 1 else name: value for name, value in values.items()}


def _spelling(name: str) -> str:
    """Normalize a name: without its shard, accents composed, and bytes that are not UTF-8 read as Windows-1252."""
    name = outside_shard(name)
    if any("\udc80" <= letter <= "\udcff" for letter in name):
        name = name.encode(errors="surrogateescape").decode("cp1252", errors="replace")
    return unicodedata.normalize("NFC", name)


def _groups(
    videos: Sequence[str], source: str | os.PathLike[str] | Mapping[str, str], without_features: Collection[str]
) -> list[str]:
    if isinstance(source, Mapping):
        return align(videos, source, "group", "the groups given", without_features)
    if not isinstance(source, str) or source.lower().endswith(".csv") or Path(source).is_file():
        return align(videos, read_column(Path(source), "group"), "group", str(source), without_features)
    if source == "folder":
        _check_folders(videos, "groups 'folder'", "")
        return [PurePosixPath(outside_shard(video)).parts[-2] for video in videos]
    if source in ROW_WORDS:
        raise LabelError(
            f"groups {source!r}: frames of one video are nearly identical, so splitting them between training and test "
            "would measure memorization (0.95 on meaningless labels); split by video (give no groups) or by groups of "
            "videos. To see the effect, allow the leak"
        )
    return _matched(videos, source)


def _matched(videos: Sequence[str], expression: str) -> list[str]:
    try:
        pattern = re.compile(expression)
    except re.error as error:
        raise LabelError(
            f"groups {expression!r}: neither 'folder', nor a CSV file, nor a regular expression ({error})"
        ) from error
    if pattern.groups == 0:
        raise LabelError(
            f"groups {expression!r}: the regular expression marks no group; put the part that names the group in "
            "round brackets, as in '(?P<group>[a-z]+)_'"
        )
    key: str | int = "group" if "group" in pattern.groupindex else 1
    found = [pattern.search(video if "/" in expression else PurePosixPath(video).name) for video in videos]
    missed = [video for video, match in zip(videos, found, strict=True) if match is None or not match.group(key)]
    if missed:
        raise LabelError(f"groups {expression!r}: no match in {listing(missed, 'video')}")
    return [match.group(key) for match in found if match is not None]
