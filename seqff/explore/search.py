"""Search for moments of other videos that are similar to a given one."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from seqff.display import framed, html_table
from seqff.errors import RunError
from seqff.explore.moments import Moment, Timeline, blocks
from seqff.explore.pictures import read_pictures
from seqff.features import FeatureStore
from seqff.files import check_file, write_csv
from seqff.probes.data import finite
from seqff.report.html import Section, figure, table, tag
from seqff.report.page import PAGES
from seqff.terminal import align, as_lines, counted, printable

Center = Literal["all", "video", "none"]
CENTERS = ("all", "video", "none")
NOTHING = 1e-6
"""A feature is constant if its standard deviation is below this share of its largest absolute value."""


@dataclass(frozen=True)
class Hit:
    """A moment and its similarity to the query, -1 to 1."""

    moment: Moment
    similarity: float


@dataclass(frozen=True)
class SearchResult:
    """Moments of other videos, most similar first.

    Args:
        query: the given moment.
        layer: layer of the features.
        center: what was subtracted from the features before the comparison.
        hits: the moments found.
        typical: median similarity of all moments of other videos, for comparison with the hits.
        path: path of the page or table; None if none was written.
    """

    query: Moment
    layer: str
    center: str
    hits: tuple[Hit, ...]
    typical: float
    path: Path | None = None

    def to_dict(self) -> dict[str, Any]:
        """All fields as JSON values."""
        return {
            "query": _plain(self.query),
            "layer": self.layer,
            "center": self.center,
            "typical_similarity": self.typical,
            "hits": [{**_plain(hit.moment), "similarity": hit.similarity} for hit in self.hits],
        }

    def table(self) -> str:
        """The hits as plain text."""
        return as_lines([self._head(), *align(self._rows())])

    def __repr__(self) -> str:
        return f"SearchResult({self.layer}, {counted(len(self.hits), 'moment')} like {printable(self.query.name)})"

    def _repr_html_(self) -> str:
        """The page of the hits if one was written, else a table, for notebooks."""
        if self.path is not None and self.path.suffix.lower() in PAGES:
            return framed(self.path)
        return html_table(self._head(), self._rows())

    def _head(self) -> str:
        return f"{self.layer}, like {self.query.name}; the median of all moments elsewhere is {self.typical:.3f}"

    def _rows(self) -> list[list[str]]:
        """A header and one line per hit."""
        rows = [["", "similarity", "seconds", "video"]]
        for place, hit in enumerate(self.hits, 1):
            when = "whole" if hit.moment.stop_seconds is None else f"{hit.moment.start_seconds:.2f}"
            rows.append([str(place), f"{hit.similarity:.3f}", when, hit.moment.video])
        return rows


def search(
    features: str | os.PathLike[str] | FeatureStore,
    *,
    like: str,
    layer: str | int | None = None,
    top: int = 10,
    per_video: int = 1,
    spacing: float = 1.0,
    center: Center = "all",
    out: str | os.PathLike[str] | None = None,
    videos: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    progress: bool = True,
) -> SearchResult:
    """Find the moments of other videos that are most similar to a given one, by the features of a layer.

    Moments are compared by cosine, after features have been centered and scaled to variance 1. Features after a ReLU
    are never negative, so without centering any two moments have a cosine near 1; with it, the cosine compares their
    deviations from the mean. Scaling keeps a few features with large values from dominating. Copies of the query's
    video (files with the same content) do not count as other videos.

    Args:
        features: a feature store or its folder. Rows may be frames, clips, or whole videos, which are then found.
        like: VIDEO@SECONDS; VIDEO alone if rows are whole videos. The video's path in the store, or a unique suffix.
        layer: name of the array, or index of the layer (0 is the first); None uses the last of the trained net.
        top: number of hits.
        per_video: maximum number of hits per video.
        spacing: minimum distance between hits of one video, seconds.
        center: what is subtracted: the mean over "all" rows; the mean of each row's own "video", so that background
            and persons count less than actions; "none" (then features are not scaled either).
        out: a page (*.html) that shows the frames, or a table (*.csv); None writes nothing.
        videos: location of the videos, for the page; None uses the manifest of the run.
        overwrite: replace an existing file.
        progress: show progress bars if stderr is a terminal.

    Raises:
        ValueError: no such video, moment or layer (the error names candidates), or an invalid argument.
        RunError: the store does not exist, features are not finite or all constant, or `out` exists.
    """
    if min(top, per_video) < 1 or not spacing >= 0:
        raise ValueError(f"top {top}, per_video {per_video}, spacing {spacing}: 1 or more, 1 or more, 0 or more")
    if center not in CENTERS:
        raise ValueError(f"center is {center!r}; choose from {', '.join(CENTERS)}")
    file = None if out is None else check_file(Path(out), (*PAGES, ".csv"), overwrite=overwrite)
    store = features if isinstance(features, FeatureStore) else FeatureStore.open(features)
    if center == "video" and store.per == "video":
        raise ValueError("center 'video' leaves nothing of rows that are whole videos; extract per frame or clip")
    name, timeline = store.name_of(-1 if layer is None else layer), Timeline(store)
    query = timeline.find(like)
    found = _similarities(timeline, name, query, center, progress=progress)
    rows, typical = _best(store, query, found, top, per_video, spacing)
    hits = tuple(Hit(timeline.moment(row), float(found[row])) for row in rows)
    result = SearchResult(query, name, center, hits, typical)
    if file is None:
        return result
    if file.suffix.lower() == ".csv":
        write_csv(file, HEADER, _lines(result))
    else:
        _write_page(file, timeline, result, videos, progress=progress)
    return replace(result, path=file)


HEADER = ("rank", "video", "start_seconds", "stop_seconds", "frame", "similarity")


def _lines(result: SearchResult) -> list[tuple[Any, ...]]:
    return [
        (place, moment.video, moment.start_seconds, "" if moment.stop_seconds is None else moment.stop_seconds,
         moment.frame, hit.similarity)
        for place, hit in enumerate(result.hits, 1)
        for moment in [hit.moment]
    ]  # fmt: skip


def _similarities(timeline: Timeline, name: str, query: Moment, center: str, *, progress: bool) -> NDArray[np.float64]:
    """Cosine of every row with the query, in scaled features."""
    found = np.zeros(len(timeline.store))
    steps = 1 if center == "none" else 2
    with tqdm(total=steps * len(timeline.rows), desc="search", unit="video", disable=None if progress else True) as bar:
        scale = _Scale.of(timeline, name, center, bar)
        rows = timeline.rows[query.video]
        own = scale(rows)[int(np.flatnonzero(rows == query.row)[0])]
        if not np.linalg.norm(own) > NOTHING:
            where = "its video" if center == "video" else "all rows"
            raise RunError(
                f"{name} says of {query.name} what it says of {where} on average; choose another moment or layer"
            )
        own = own / np.linalg.norm(own)
        for rows in timeline.rows.values():
            x = scale(rows)
            length = np.linalg.norm(x, axis=1)
            found[rows] = (x @ own) / np.where(length > 0, length, 1)
            bar.update()
    return found


@dataclass(frozen=True)
class _Scale:
    """Subtracts the mean from rows of one video, and divides each feature by its standard deviation."""

    store: FeatureStore
    name: str
    center: str
    mean: NDArray[np.float64]
    factor: NDArray[np.float64]

    @classmethod
    def of(cls, timeline: Timeline, name: str, center: str, bar: tqdm[Any]) -> _Scale:
        """Fit to the rows of an array; constant features are dropped."""
        store = timeline.store
        zeros = np.zeros(store.array(name).shape[1])
        plain = cls(store, name, center, zeros, zeros + 1)
        if center == "none":
            return plain
        mean, squares, largest = zeros.copy(), zeros.copy(), zeros.copy()
        if center == "all":
            for _, part in blocks(store, name):
                mean += part.sum(axis=0, dtype=np.float64) / len(store)
        centered = replace(plain, mean=mean)
        for rows in timeline.rows.values():
            x = centered(rows)
            squares += np.square(x).sum(axis=0) / len(store)
            np.maximum(largest, np.abs(store.array(name)[rows]).max(axis=0), out=largest)
            bar.update()
        deviation = np.sqrt(squares)
        varies = deviation > NOTHING * largest
        return replace(centered, factor=np.where(varies, 1 / np.where(varies, deviation, 1), 0))

    def __call__(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the scaled rows of one video, (n, D)."""
        x = np.asarray(self.store.array(self.name)[rows], dtype=np.float32)
        wide: NDArray[np.float64] = finite(self.store, self.name, x, rows).astype(np.float64)
        return (wide - (wide.mean(axis=0) if self.center == "video" else self.mean)) * self.factor


def _best(
    store: FeatureStore, query: Moment, found: NDArray[np.float64], top: int, per_video: int, spacing: float
) -> tuple[list[int], float]:
    """The most similar rows, spaced apart, excluding the query's video; and the median similarity of all others."""
    content = {video.path: video.content_hash or video.path for video in store.videos}
    other = np.array([content[video] != content[query.video] for video in store.index.video])
    if not other.any():
        raise RunError(f"{store.path} has no video other than {query.video}")
    times, taken = store.index.time_seconds, dict[str, list[int]]()
    chosen: list[int] = []
    rows = np.flatnonzero(other)
    for row in rows[np.argsort(-found[rows], kind="stable")].tolist():
        before = taken.setdefault(content[store.index.video[row]], [])
        if len(before) < per_video and all(abs(times[row] - times[one]) >= spacing for one in before):
            before.append(row)
            chosen.append(row)
        if len(chosen) == top:
            break
    return chosen, float(np.median(found[other]))


def _plain(moment: Moment) -> dict[str, Any]:
    return {key: value for key, value in vars(moment).items() if key != "row"}


def _write_page(
    file: Path, timeline: Timeline, result: SearchResult, videos: str | os.PathLike[str] | None, *, progress: bool
) -> None:
    moments = [result.query, *(hit.moment for hit in result.hits)]
    pictures = read_pictures(timeline, moments, videos, progress=progress)
    cards = []
    for place, hit in enumerate(result.hits, 1):
        when = "" if hit.moment.stop_seconds is None else f"{hit.moment.start_seconds:.2f} s, "
        words = tag("span", f"{when}similarity {hit.similarity:.3f}")
        cards.append(
            tag("article", pictures.show(hit.moment), tag("p", tag("b", f"{place}. {hit.moment.video}"), words))
        )
    caption = (
        f"Cosine of the features of {result.layer} {_CENTERED[result.center]}. The median over all moments of other "
        f"videos is {result.typical:.3f}. Frames as the encoder sees them."
    )
    asked = tag(
        "div", tag("article", pictures.show(result.query), tag("p", tag("b", result.query.name))), class_="clips"
    )
    found = figure("figure-hits", tag("div", *cards, class_="clips"), caption)
    heads, *rows = result._rows()
    kind, best = "videos" if timeline.store.per == "video" else "moments", result.hits[0]
    answer = f"Most of all {best.moment.name}, with a similarity of {best.similarity:.3f}."
    parts = [
        Section("asked", "asked for", "What was asked for?", f"{result.query.name}, by {result.layer}.", asked),
        Section("hits", "found", f"Which {kind} of other videos are most like it?", answer, found),
        Section("table", "table", "The same as a table", None, table(heads, rows, id_="table-hits")),
    ]
    pictures.write_page(file, f"Like {result.query.name}", parts)


_CENTERED = {
    "all": "less their mean over all rows, scaled to variance 1",
    "video": "less their mean over each video, scaled to variance 1",
    "none": "as they are",
}
