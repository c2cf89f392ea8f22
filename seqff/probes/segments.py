"""Labels of parts of videos: tables with start and stop times."""

from __future__ import annotations

import itertools
import logging
import os
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from seqff.errors import LabelError
from seqff.features import FeatureIndex
from seqff.probes.csv_file import header_of
from seqff.probes.labels import align, listing, read_table

log = logging.getLogger(__name__)
START, STOP = "start_seconds", "stop_seconds"


@dataclass(frozen=True)
class Segment:
    """A time span of a video, `start` <= time < `stop` in seconds, and its label."""

    start: float
    stop: float
    label: str


def has_segments(source: str | os.PathLike[str] | Mapping[str, str]) -> bool:
    """Whether the labels are a CSV file with start or stop times."""
    if isinstance(source, Mapping) or not Path(source).is_file():
        return False
    header = header_of(Path(source))
    return START in header or STOP in header


def read_segments(path: Path, column: str = "label") -> dict[str, list[Segment]]:
    """The segments of each video, by start, from a table `video,start_seconds,stop_seconds` with a label `column`.

    Raises:
        LabelError: an unreadable table, invalid or reversed times, or overlapping segments.
    """
    found: dict[str, list[Segment]] = defaultdict(list)
    for line, row in read_table(path, ("video", START, STOP, column)):
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
    """The label of each row of a store: that of the segment in which its first frame is shown; None between segments.

    Raises:
        LabelError: the table does not fit the videos (each needs a segment), or no row lies in a segment.
    """
    found: Any = read_segments(path, column)
    aligned: Any = align(videos, found, column, str(path), without_features)
    table: dict[str, list[Segment]] = dict(zip(videos, aligned, strict=True))
    starts = {video: np.array([segment.start for segment in segments]) for video, segments in table.items()}
    labels: list[str | None] = []
    caught: set[tuple[str, int]] = set()
    for video, time in zip(index.video, index.time_seconds.tolist(), strict=True):
        place = int(np.searchsorted(starts[video], time, side="right")) - 1
        inside = place >= 0 and time < table[video][place].stop
        labels.append(table[video][place].label if inside else None)
        if inside:
            caught.add((video, place))
    if not any(labels):
        raise LabelError(f"{path}: no frame of the features lies in any of its segments; are the times in seconds?")
    placed = [(video, place, segment) for video in videos for place, segment in enumerate(table[video])]
    missed = [f"{v} {s.start:g} to {s.stop:g} s" for v, place, s in placed if (v, place) not in caught]
    if missed:
        log.warning("%s: of %d segments no row lies in %s", path, len(placed), listing(missed, "segment"))
    return labels
