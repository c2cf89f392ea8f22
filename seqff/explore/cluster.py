"""Cluster moments of videos: which kinds there are, and which video shows which one when."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from seqff.display import framed, html_table
from seqff.explore.ethogram import MOST_ROWS, Segment, color_of, ethogram
from seqff.explore.grouping import METHODS, Grouped, Labels, Method, group, segments_of, smooth
from seqff.explore.moments import Moment, Timeline
from seqff.explore.pictures import read_pictures
from seqff.features import FeatureStore
from seqff.files import check_folder, claim_folder, whole_folder, write_atomically, write_csv, write_json
from seqff.report.html import Html, Section, figure, join, scrolling, table, tag
from seqff.terminal import align, as_lines, counted

SEGMENTS, CLUSTERS, PICTURE, PAGE = "segments.csv", "clusters.json", "ethogram.svg", "page.html"
EXAMPLES = 8
"""Moments shown per cluster on the page."""


@dataclass(frozen=True)
class Cluster:
    """A cluster of similar moments.

    Args:
        number: 1 is the cluster with the most seconds; 0 contains moments without a cluster.
        rows: number of rows of the store.
        seconds: total duration.
        segments: number of segments.
        videos: number of videos.
        examples: moments nearest to the cluster's center, each from another video.
    """

    number: int
    rows: int
    seconds: float
    segments: int
    videos: int
    examples: tuple[Moment, ...]


@dataclass(frozen=True)
class Clustering:
    """Moments assigned to clusters.

    Args:
        method: clustering method.
        layer: layer of the features.
        segments: segments of all videos, in the order of the store, each sorted by time.
        clusters: the clusters, longest first; 0, without a cluster, is last.
        labels: (rows,) int64, cluster of each row, after smoothing.
        path: folder of the written files.
    """

    method: str
    layer: str
    segments: tuple[Segment, ...]
    clusters: tuple[Cluster, ...]
    labels: Labels = field(repr=False, compare=False)
    path: Path

    def to_dict(self) -> dict[str, Any]:
        """The clusters as JSON values; segments are in segments.csv."""
        found = [
            {**{key: value for key, value in vars(one).items() if key != "examples"},
             "examples": [{"video": at.video, "start_seconds": at.start_seconds} for at in one.examples]}
            for one in self.clusters
        ]  # fmt: skip
        return {"method": self.method, "layer": self.layer, "segments": len(self.segments), "clusters": found}

    def table(self) -> str:
        """The clusters as plain text."""
        return as_lines([self._head(), *align(self._rows())])

    def __repr__(self) -> str:
        return f"Clustering({self._head()}, {counted(len(self.segments), 'segment')})"

    def _repr_html_(self) -> str:
        """The clusters and their page, for notebooks."""
        return html_table(self._head(), self._rows()) + framed(self.path / PAGE)

    def _head(self) -> str:
        count = sum(one.number > 0 for one in self.clusters)
        return f"{counted(count, 'cluster')} of {self.layer} by {self.method}"

    def _rows(self) -> list[list[str]]:
        """A header and one line per cluster."""
        total = sum(one.seconds for one in self.clusters) or 1.0
        found = [
            [_name(one.number), f"{one.seconds:.1f}", f"{one.seconds / total:.0%}", str(one.segments),
             str(one.videos), one.examples[0].name if one.examples else ""]
            for one in self.clusters
        ]  # fmt: skip
        return [["cluster", "seconds", "share", "segments", "videos", "for example"], *found]


def cluster(
    features: str | os.PathLike[str] | FeatureStore,
    *,
    out: str | os.PathLike[str],
    k: int = 12,
    method: Method = "kmeans",
    layer: str | int | None = None,
    min_seconds: float = 0.5,
    min_rows: int = 0,
    videos: str | os.PathLike[str] | None = None,
    seed: int = 0,
    overwrite: bool = False,
    progress: bool = True,
) -> Clustering:
    """Cluster the moments of videos without labels, and report which video shows which cluster when.

    Features are scaled to variance 1, projected to at most 50 principal components, and clustered by scikit-learn's
    KMeans or HDBSCAN. With more than 20 000 rows (HDBSCAN: 10 000), clusters are found on a random sample of that size,
    and the other rows join the nearest one. Equal seeds give equal clusters.

    The folder contains segments.csv (video, start_seconds, stop_seconds, cluster), which `probe` accepts as labels with
    columns=["cluster"], ethogram.svg (one row per video, one color per cluster), page.html with frames of each cluster,
    and clusters.json.

    Args:
        features: a feature store or its folder, with one row per frame or clip.
        out: folder for the results.
        k: number of clusters for k-means; HDBSCAN determines it.
        method: "kmeans" assigns every moment to a cluster; "hdbscan" finds dense clusters and leaves other moments out.
        layer: name of the array, or index of the layer (0 is the first); None uses the last of the trained net.
        min_seconds: shortest segment; shorter ones are merged with their neighbors. 0 keeps all.
        min_rows: smallest cluster for HDBSCAN; 0 for a hundredth of the rows, at least 5.
        videos: location of the videos, for the frames; None uses the manifest of the run.
        seed: seed of k-means and of the sample.
        overwrite: replace the content of `out`.
        progress: show progress bars if stderr is a terminal.

    Raises:
        ValueError: an invalid argument, rows that are whole videos, or fewer rows than clusters.
        RunError: the store does not exist, features are not finite, or `out` exists.
    """
    if method not in METHODS:
        raise ValueError(f"method is {method!r}; choose from {', '.join(METHODS)}")
    if k < 2 or min_rows < 0 or min_rows == 1 or not min_seconds >= 0:
        raise ValueError(
            f"k {k}, min_rows {min_rows}, min_seconds {min_seconds}: k is 2 or more, min_rows 2 or more (or 0), "
            "min_seconds 0 or more"
        )
    folder = Path(out)
    check_folder(folder, marker=SEGMENTS, overwrite=overwrite)
    store = features if isinstance(features, FeatureStore) else FeatureStore.open(features)
    if store.per == "video":
        raise ValueError(f"rows of {store.path} are whole videos; extract with --per frame or clip to group moments")
    name, timeline = store.name_of(-1 if layer is None else layer), Timeline(store)
    with tqdm(total=len(store), desc="cluster", unit="row", disable=None if progress else True) as bar:
        grouped = group(timeline, name, method=method, k=k, min_rows=min_rows, seed=seed, tick=bar.update)
    found = _clustering(timeline, name, grouped, method, min_seconds, folder)
    claim_folder(folder, marker=SEGMENTS, overwrite=overwrite)
    with whole_folder(folder):
        _write(timeline, found, {"k": k, "min_seconds": min_seconds, "min_rows": min_rows, "seed": seed})
        _write_page(timeline, found, videos, progress=progress)
    return found


def _clustering(
    timeline: Timeline, name: str, grouped: Grouped, method: str, min_seconds: float, folder: Path
) -> Clustering:
    """Smooth, split into segments, and number the clusters by their seconds."""
    store, labels = timeline.store, grouped.labels.copy()
    parts: dict[str, list[Segment]] = {}
    for video, rows in timeline.rows.items():
        starts = store.index.time_seconds[rows]
        stop = float(np.nanmax([timeline.stops[rows].max(), starts[-1]]))
        labels[rows] = smooth(labels[rows], starts, stop, min_seconds)
        parts[video] = segments_of(video, labels[rows], starts, stop)
    seconds: Counter[int] = Counter()
    rows_in = Counter(labels.tolist())
    for segment in (segment for segments in parts.values() for segment in segments):
        seconds[segment.cluster] += segment.stop_seconds - segment.start_seconds  # type: ignore[assignment]
    order = sorted(rows_in, key=lambda old: (old < 0, -seconds[old], -rows_in[old], old))
    number = {old: 0 if old < 0 else place for place, old in enumerate(order, 1)}
    renamed = np.array([number[old] for old in labels.tolist()], dtype=np.int64)
    segments = tuple(
        Segment(one.video, one.start_seconds, one.stop_seconds, number[one.cluster])
        for video in parts
        for one in parts[video]
    )
    distance = np.where(grouped.labels == labels, grouped.distance, np.inf)  # smoothed rows are not examples
    clusters = tuple(
        Cluster(
            number[old],
            rows_in[old],
            float(seconds[old]),
            sum(one.cluster == number[old] for one in segments),
            len({one.video for one in segments if one.cluster == number[old]}),
            _examples(timeline, np.flatnonzero(renamed == number[old]), distance),
        )
        for old in order
    )
    return Clustering(method, name, segments, clusters, renamed, folder)


def _examples(timeline: Timeline, rows: Labels, distance: NDArray[np.float64]) -> tuple[Moment, ...]:
    """The rows nearest to their center, one per video."""
    chosen: dict[str, int] = {}
    for row in rows[np.argsort(distance[rows], kind="stable")].tolist():
        chosen.setdefault(timeline.store.index.video[row], row)
        if len(chosen) == EXAMPLES:
            break
    return tuple(timeline.moment(row) for row in chosen.values())


def _by_video(found: Clustering) -> dict[str, list[Segment]]:
    parts: dict[str, list[Segment]] = {}
    for segment in found.segments:
        parts.setdefault(segment.video, []).append(segment)
    return parts


def _write(timeline: Timeline, found: Clustering, settings: Mapping[str, Any]) -> None:
    rows = [(one.video, one.start_seconds, one.stop_seconds, one.cluster) for one in found.segments]
    write_csv(found.path / SEGMENTS, ("video", "start_seconds", "stop_seconds", "cluster"), rows)
    write_atomically(found.path / PICTURE, f"{ethogram(_by_video(found))}\n")
    write_json(found.path / CLUSTERS, {"features": str(timeline.store.path), **settings, **found.to_dict()})


def _write_page(
    timeline: Timeline, found: Clustering, videos: str | os.PathLike[str] | None, *, progress: bool
) -> None:
    examples = (moment for one in found.clusters for moment in one.examples)
    pictures = read_pictures(timeline, examples, videos, progress=progress)
    total = sum(one.seconds for one in found.clusters) or 1.0
    folders = _folders(found.segments)

    def shown(one: Cluster) -> Html:
        cells = [tag("div", pictures.show(at), tag("span", at.name), class_="panel") for at in one.examples]
        note = (
            f"{one.seconds:.1f} s, {one.seconds / total:.0%} of the time, {one.segments} segments in {one.videos} "
            f"videos{folders.get(one.number, '')}."
        )
        return join(
            tag("h3", _swatch(one.number), f"Cluster {one.number}" if one.number else "In no cluster"),
            tag("p", note, class_="note"),
            tag("div", *cells, class_="small"),
        )

    rows = [[one.number, one.rows, round(one.seconds, 1), one.segments, one.videos] for one in found.clusters]
    header = ("cluster", "rows", "seconds", "segments", "videos")
    many = len(timeline.rows) > MOST_ROWS
    more = f" The first {MOST_ROWS} videos; all are in {SEGMENTS}." if many else ""
    keys = [tag("span", _swatch(one.number), _name(one.number), class_="key") for one in found.clusters]
    drawing = join(
        tag("div", *keys, class_="legend"), scrolling(tag("div", ethogram(_by_video(found)), style="min-width:44rem"))
    )
    over_time = f"A row a video, a color a cluster. Point at a part for its times.{more}"
    nearest = "The moments nearest to the center of each cluster, at most one of a video, as the encoder sees them."
    count = sum(one.number > 0 for one in found.clusters)
    answer = f"{count} clusters of {found.layer} by {found.method}."
    parts = [
        Section("time", "over time", "Which video shows what, and when?", answer,
                figure("figure-ethogram", drawing, over_time)),
        Section("clusters", "clusters", "What is in each cluster?", None,
                figure("figure-clusters", join(*map(shown, found.clusters)), nearest)),
        Section("table", "table", "How large are they?", None, table(header, rows, id_="table-clusters")),
    ]  # fmt: skip
    pictures.write_page(found.path / PAGE, f"Clusters of {found.layer}", parts)


def _folders(segments: Sequence[Segment]) -> dict[int, str]:
    """Name the folders with most of each cluster's seconds, if there are several."""
    shares: dict[int, Counter[str]] = {}
    for one in segments:
        home = one.video.rpartition("/")[0]
        shares.setdefault(one.cluster, Counter())[home] += one.stop_seconds - one.start_seconds  # type: ignore[assignment]
    if len({home for counts in shares.values() for home in counts}) < 2:
        return {}
    return {
        number: "; most in " + ", ".join(f"{home or '(top)'} ({part / (sum(counts.values()) or 1):.0%})"
                                         for home, part in counts.most_common(3))
        for number, counts in shares.items()
    }  # fmt: skip


def _swatch(number: int) -> Html:
    square = tag("rect", width=12, height=12, rx=2, fill=color_of(number))
    return tag("svg", square, viewBox="0 0 12 12", width=12, height=12, aria_hidden="true", style="margin-right:.4rem")


def _name(number: int) -> str:
    return str(number) if number else "none"
