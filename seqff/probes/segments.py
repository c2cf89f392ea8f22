"""Labels of parts of videos: a table that says from when to when a video shows what."""

from __future__ import annotations

import csv
import itertools
import os
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from seqff.errors import LabelError
from seqff.features import FeatureIndex
from seqff.probes.labels import align, read_table

START, STOP = "start_seconds", "stop_seconds"


@dataclass(frozen=True)
class Segment:
    """A stretch of a video, `start` <= time < `stop` in seconds, and its label."""

    start: float
    stop: float
    label: str


def has_segments(source: str | os.PathLike[str] | Mapping[str, str]) -> bool:
    """Whether the labels are a CSV file with times."""
    if isinstance(source, Mapping) or not Path(source).is_file():
        return False
    try:
        with Path(source).open(encoding="utf-8-sig", newline="") as file:
            header = next(csv.reader(file), [])
    except (OSError, UnicodeDecodeError, csv.Error):
        return False
    return START in header or STOP in header


def read_segments(path: Path, column: str = "label") -> dict[str, list[Segment]]:
    """Read a table with the columns video, start_seconds, stop_seconds and a label.

    Args:
        path: the CSV file.
        column: the one that holds the label.

    Returns:
        The segments of each video, by start.

    Raises:
        LabelError: an unreadable table, times that are not numbers in order, or overlapping segments.
    """
    found: dict[str, list[Segment]] = defaultdict(list)
    for line, row in enumerate(read_table(path, ("video", START, STOP, column)), start=2):
        try:
            segment = Segment(float(row[START]), float(row[STOP]), row[column])
        except ValueError:
            raise LabelError(f"{path}, row {line}: {row[START]!r} to {row[STOP]!r} are not both seconds") from None
        if not 0 <= segment.start < segment.stop < np.inf:
            raise LabelError(
                f"{path}, row {line}: {START} {row[START]} must be at least 0 and below {STOP} {row[STOP]}"
            )
        found[row["video"]].append(segment)
    for video, segments in found.items():
        segments.sort(key=lambda segment: segment.start)
        for one, two in itertools.pairwise(segments):
            if two.start < one.stop:
                raise LabelError(
                    f"{path}: {video} is {one.label!r} until {one.stop:g} s and {two.label!r} from {two.start:g} s; "
                    "segments of a video must not overlap"
                )
    return dict(found)


def label_rows(
    index: FeatureIndex, videos: Sequence[str], path: Path, *, column: str, without_features: Collection[str]
) -> list[str | None]:
    """Find the label of each row of a store: of the segment in which its first frame is shown.

    Args:
        index: the rows.
        videos: paths of the videos that have rows; each needs a segment.
        path: the table.
        column: the one that holds the label.
        without_features: further videos that the table may name.

    Returns:
        One label a row; None between segments.

    Raises:
        LabelError: the table does not fit the videos, or no row lies in a segment.
    """
    table: Any = read_segments(path, column)
    align(videos, table, column, str(path), without_features)
    starts = {video: np.array([segment.start for segment in segments]) for video, segments in table.items()}
    labels: list[str | None] = []
    for video, time in zip(index.video, index.time_seconds.tolist(), strict=True):
        place = int(np.searchsorted(starts[video], time, side="right")) - 1
        segment = table[video][place] if place >= 0 else None
        labels.append(segment.label if segment is not None and time < segment.stop else None)
    if not any(labels):
        raise LabelError(f"{path}: no frame of the features lies in any of its segments; are the times in seconds?")
    return labels
