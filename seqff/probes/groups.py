"""Which videos belong together (a subject, a camera, a recording): they never stand on both sides of a split."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path, PurePosixPath

from seqff.errors import LabelError
from seqff.probes.labels import align, listing, read_column

ROW_WORDS = ("frame", "frames", "row", "rows", "random")


def read_groups(
    videos: Sequence[str],
    source: str | os.PathLike[str] | Mapping[str, str] | None,
    *,
    content_hashes: Sequence[str],
    without_features: Collection[str] = (),
) -> list[str]:
    """Find the group of each video.

    Args:
        videos: paths, posix, relative to the folder of videos.
        source: None (each video is a group of its own), "folder" (name of the innermost folder: walk/anna/1.avi is in
            "anna"), a CSV file with the header `video,group`, a mapping from video to group, or a regular expression.
            The expression is searched for in the file name, or in the whole path if it has a "/"; its group named
            `group`, else its first one, is the answer: `(?P<group>[a-z]+)_` puts walk/denis_walk.avi into "denis".
        content_hashes: of the videos; copies of one file must share a group.
        without_features: further videos that a table may name (the skipped ones).

    Returns:
        One group a video, in the order of `videos`.

    Raises:
        LabelError: a video without a group, an unreadable table or expression, or copies in different groups.
    """
    if source is None:
        first = {content: video for video, content in zip(reversed(videos), reversed(content_hashes), strict=True)}
        return [first[content] for content in content_hashes]
    groups = _read(videos, source, without_features)
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


def _read(
    videos: Sequence[str], source: str | os.PathLike[str] | Mapping[str, str], without_features: Collection[str]
) -> list[str]:
    if isinstance(source, Mapping):
        return align(videos, source, "group", "the groups given", without_features)
    if not isinstance(source, str) or source.lower().endswith(".csv") or Path(source).is_file():
        return align(videos, read_column(Path(source), "group"), "group", str(source), without_features)
    if source == "folder":
        return _innermost_folders(videos)
    if source in ROW_WORDS:
        raise LabelError(
            f"groups {source!r}: frames of one video cannot be split between training and test, they are nearly alike "
            "and the score would be that of a memory (0.95 on labels that mean nothing); splits are by video (give no "
            "groups) or by groups of videos. To see it for yourself, allow the leak"
        )
    return _match(videos, source)


def _innermost_folders(videos: Sequence[str]) -> list[str]:
    loose = [video for video in videos if len(PurePosixPath(video).parts) < 2]
    if loose:
        raise LabelError(f"groups 'folder': {listing(loose, 'video')} in no folder below the folder of videos")
    return [PurePosixPath(video).parts[-2] for video in videos]


def _match(videos: Sequence[str], expression: str) -> list[str]:
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
