"""Rows of a store as moments of videos: their names, start and end times, and frames."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seqff.features import FeatureStore
from seqff.probes.data import finite

MOST_NAMED = 8
"""Maximum number of candidates in an error message."""
BLOCK_VALUES = 2**24
"""Maximum number of values of a store in memory at a time."""
EDGE_SECONDS = 1e-6

Floats = NDArray[np.float32]
Times = NDArray[np.float64]


@dataclass(frozen=True)
class Moment:
    """A row of a store.

    video: its path, as in the store.
    frame: first frame.
    start_seconds: start time.
    stop_seconds: end time; None if rows are whole videos, or the frame rate is unknown.
    row: index in the arrays.
    """

    video: str
    frame: int
    start_seconds: float
    stop_seconds: float | None
    row: int

    @property
    def name(self) -> str:
        """The video, with the time if the row is a part of it."""
        return self.video if self.stop_seconds is None else f"{self.video}@{self.start_seconds:.2f}"


class Timeline:
    """The times of a store's rows within their videos, computed once.

    Args:
        store: the features.

    Attributes:
        rows: by path of a video, the indices of its rows, sorted by time.
        frame_seconds: by path, mean frame interval; for videos with a single row the median of the others, NaN if all
            have one.
        stops: (rows,) float64 seconds, end of each row; NaN if unknown. A row lasts as long as its frames, but not
            beyond its video.
    """

    def __init__(self, store: FeatureStore) -> None:
        self.store = store
        index = store.index
        numbers = {video.path: number for number, video in enumerate(store.videos)}
        number = np.array([numbers[path] for path in index.video], dtype=np.int64)
        order = np.lexsort((index.time_seconds, number))
        cuts = np.cumsum(np.bincount(number, minlength=len(numbers)))[:-1]
        parts = zip(numbers, np.split(order, cuts), strict=True)
        self.rows: dict[str, NDArray[np.int64]] = {path: rows for path, rows in parts if len(rows)}
        self.frame_seconds = self._rates()
        step = np.array([self.frame_seconds[path] for path in index.video])
        taken = float(store.meta.get("every_seconds") or 0) or step * int(store.meta.get("every") or 1)
        length = {video.path: video.frames * self.frame_seconds.get(video.path, np.nan) for video in store.videos}
        stops = np.minimum(index.time_seconds + index.frames * taken, [length[path] for path in index.video])
        self.stops: Times = np.maximum(stops, index.time_seconds)

    def _rates(self) -> dict[str, float]:
        found = {}
        for video, rows in self.rows.items():
            index = self.store.index
            (first, last), (start, stop) = (values[rows[[0, -1]]] for values in (index.frame, index.time_seconds))
            found[video] = float((stop - start) / (last - first)) if last > first else np.nan
        known = [value for value in found.values() if value > 0]
        median = float(np.median(known)) if known else np.nan
        return {video: value if value > 0 else median for video, value in found.items()}

    def moment(self, row: int) -> Moment:
        """Return a row as a moment."""
        stop = None if self.store.per == "video" or np.isnan(self.stops[row]) else float(self.stops[row])
        index = self.store.index
        return Moment(index.video[row], int(index.frame[row]), float(index.time_seconds[row]), stop, row)

    def frames_of(self, moment: Moment, most: int) -> list[int]:
        """Return up to `most` evenly spaced frame numbers that represent a moment."""
        if self.store.per == "frame":
            return [moment.frame]
        stop = next(video.frames for video in self.store.videos if video.path == moment.video)
        if self.store.per == "clip":
            rate = self.frame_seconds[moment.video]
            known = moment.stop_seconds is not None and rate > 0
            span = round(((moment.stop_seconds or 0) - moment.start_seconds) / rate) if known else 1
            stop = min(stop, moment.frame + max(span, 1))
        last = max(stop - 1, moment.frame)
        return [int(frame) for frame in np.unique(np.linspace(moment.frame, last, most).round())]

    def find(self, like: str) -> Moment:
        """Find a row by VIDEO@SECONDS, or by VIDEO if rows are whole videos.

        Args:
            like: the video's path in the store, or a suffix that is unique; then the time in seconds.

        Raises:
            ValueError: no such video, several of them, a missing time, or one after the video's end.
        """
        name, _, time = like.rpartition("@")
        timed = bool(name) and _is_number(time)
        if self.store.per == "video":
            if timed and not _named(list(self.rows), like):
                raise ValueError(
                    f"rows of {self.store.path} are whole videos: give {name!r} alone, or extract with --per frame"
                )
            return self.moment(int(self.rows[self.find_video(like)][0]))
        if not timed:
            video = self.find_video(like)
            raise ValueError(f"{like!r} names no moment of {video}; write VIDEO@SECONDS, such as {video}@1.5")
        video, seconds = self.find_video(name), float(time)
        rows = self.rows[video]
        starts = self.store.index.time_seconds[rows]
        stops = np.where(np.isnan(self.stops[rows]), starts, self.stops[rows])
        if not -EDGE_SECONDS <= seconds <= stops.max() + EDGE_SECONDS:
            raise ValueError(f"{video} has features from {starts[0]:.2f} s to {stops.max():.2f} s, none at {time} s")
        middles = starts if self.store.per == "frame" else (starts + stops) / 2
        return self.moment(int(rows[np.abs(middles - seconds).argmin()]))

    def find_video(self, name: str) -> str:
        """Return the path of a video, given its path or a unique suffix.

        Raises:
            ValueError: there is no such video, or several; the error names candidates.
        """
        have, store = list(self.rows), self.store
        found = _named(have, name)
        if len(found) == 1:
            return found[0]
        if found:
            raise ValueError(f"{name!r} may be {_listed(found)}; write more of the path")
        if name in store.skipped:
            raise ValueError(f"{name!r} has no features: {store.skipped[name]}")
        bases = {path.rpartition("/")[2]: path for path in have}
        near = [path for path in have if name and name.lower() in path.lower()]
        near += [bases.get(one, one) for one in difflib.get_close_matches(name, [*bases, *have], n=MOST_NAMED)]
        hint = f"did you mean {_listed(list(dict.fromkeys(near)))}?" if near else f"it has {_listed(have)}"
        raise ValueError(f"no video {name!r} in {store.path}; {hint}")


def blocks(store: FeatureStore, name: str) -> Iterator[tuple[slice, Floats]]:
    """Yield an array of a store in blocks, (rows, D) float32, with their slices.

    Raises:
        RunError: a value is not finite.
    """
    array = store.array(name)
    step = max(1, BLOCK_VALUES // max(array.shape[1], 1))
    for start in range(0, len(array), step):
        part = slice(start, min(start + step, len(array)))
        yield part, finite(store, name, np.asarray(array[part], dtype=np.float32), np.arange(part.start, part.stop))


def _named(paths: Sequence[str], name: str) -> list[str]:
    """Videos of that path; else those with that suffix, preferably after a slash."""
    if not name:
        return []
    if name in paths:
        return [name]
    return [path for path in paths if path.endswith(f"/{name}")] or [path for path in paths if path.endswith(name)]


def _listed(paths: Sequence[str]) -> str:
    more = f" or {len(paths) - MOST_NAMED} more" if len(paths) > MOST_NAMED else ""
    return ", ".join(paths[:MOST_NAMED]) + more


def _is_number(text: str) -> bool:
    try:
        return bool(np.isfinite(float(text)))
    except ValueError:
        return False
