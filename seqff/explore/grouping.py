"""Cluster features by k-means or HDBSCAN on scaled principal components, and derive segments."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import HDBSCAN, KMeans
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors
from threadpoolctl import threadpool_limits

from seqff.explore.ethogram import Segment
from seqff.explore.moments import EDGE_SECONDS, Floats, Timeline, blocks
from seqff.probes.data import finite

Method = Literal["kmeans", "hdbscan"]
METHODS = ("kmeans", "hdbscan")
MOST_ROWS = {"kmeans": 20_000, "hdbscan": 10_000}
"""Maximum number of rows that clusters are found on; of more, a random sample. The others join the nearest cluster."""
COMPONENTS = 50
CONSTANT = 1e-6
"""A feature is constant if its standard deviation is below this share of its largest absolute value."""
LEAST_ROWS = 5

Labels = NDArray[np.int64]


@dataclass(frozen=True)
class Grouped:
    """Rows with their clusters.

    Args:
        labels: (rows,) number of the cluster, from 0; -1 for none.
        distance: (rows,) distance to the cluster's center, in principal components of scaled features.
    """

    labels: Labels
    distance: NDArray[np.float64]


def group(
    timeline: Timeline,
    name: str,
    *,
    method: Method,
    k: int,
    min_rows: int,
    seed: int,
    tick: Callable[[int], object],
) -> Grouped:
    """Cluster the rows of an array.

    Features are scaled to variance 1 and projected to at most `COMPONENTS` principal components, without whitening.

    Args:
        timeline: timeline of the store.
        name: name of the array.
        method: "kmeans" or "hdbscan".
        k: number of clusters for k-means.
        min_rows: smallest cluster for HDBSCAN; 0 for a hundredth of the rows.
        seed: seed of the sample, the principal components and k-means.
        tick: called with the number of rows processed.

    Raises:
        ValueError: fewer rows than clusters.
        RunError: features that are not finite, or all constant.
    """
    store = timeline.store
    drawn = np.sort(np.random.default_rng(seed).permutation(len(store))[: MOST_ROWS[method]])
    if len(drawn) < (k if method == "kmeans" else LEAST_ROWS):
        raise ValueError(f"{store.path} has {len(drawn)} rows, too few for {k} clusters; lower k, or extract more")
    sample = finite(store, name, np.asarray(store.array(name)[drawn], dtype=np.float32), drawn)
    with threadpool_limits(limits=1):  # sums over several threads are not reproducible
        reduce = _fit_components(sample, seed)
        points = reduce(sample)
        assign, centers = _fit(points, drawn, method, k, min_rows or max(LEAST_ROWS, len(drawn) // 100), seed)
        labels = np.empty(len(store), dtype=np.int64)
        distance = np.empty(len(store))
        for part, x in blocks(store, name):
            z = reduce(x)
            found = assign(z, np.arange(part.start, part.stop))
            labels[part] = found
            distance[part] = np.linalg.norm(z - centers[found], axis=1) if len(centers) else 0.0
            tick(len(x))
    return Grouped(labels, distance)


def _fit_components(sample: Floats, seed: int) -> Callable[[Floats], NDArray[np.float64]]:
    wide = sample.astype(np.float64)
    mean, deviation = wide.mean(axis=0), wide.std(axis=0)
    kept = deviation > CONSTANT * np.abs(wide).max(axis=0)
    if not kept.any():
        raise ValueError("all rows have the same features; choose another layer")
    count = min(COMPONENTS, int(kept.sum()), len(sample))
    scaled = (wide[:, kept] - mean[kept]) / deviation[kept]
    turned = PCA(count, random_state=seed).fit(scaled)

    def reduce(x: Floats) -> NDArray[np.float64]:
        found: NDArray[np.float64] = turned.transform((x[:, kept].astype(np.float64) - mean[kept]) / deviation[kept])
        return found

    return reduce


def _fit(
    points: NDArray[np.float64], drawn: NDArray[np.int64], method: Method, k: int, min_rows: int, seed: int
) -> tuple[Callable[[NDArray[np.float64], NDArray[np.int64]], Labels], NDArray[np.float64]]:
    """Return a function that assigns rows, given with their indices, to clusters; and the clusters' centers."""
    if method == "kmeans":
        fitted: Any = KMeans(k, n_init=10, random_state=seed).fit(points)
        return lambda z, rows: fitted.predict(z).astype(np.int64), fitted.cluster_centers_
    labels = HDBSCAN(min_cluster_size=min_rows, copy=True).fit(points).labels_.astype(np.int64)
    numbers = range(int(labels.max()) + 1)
    centers = np.array([points[labels == number].mean(axis=0) for number in numbers]).reshape(-1, points.shape[1])
    nearest = NearestNeighbors(n_neighbors=1).fit(points)
    known = dict(zip(drawn.tolist(), labels.tolist(), strict=True))

    def assign(z: NDArray[np.float64], rows: NDArray[np.int64]) -> Labels:
        found: Labels = labels[nearest.kneighbors(z, return_distance=False)[:, 0]]
        own = np.array([known.get(row, -2) for row in rows.tolist()])  # a duplicate may be as near as the row itself
        return np.where(own > -2, own, found)

    return assign, centers


def smooth(labels: Labels, starts: NDArray[np.float64], stop: float, min_seconds: float) -> Labels:
    """Remove short changes of cluster within one video.

    Each row first takes the most frequent cluster of the rows within `min_seconds` around it (its own if tied).
    Segments that are still shorter are then merged with the longer neighbor, shortest first.

    Args:
        labels: (n,) sorted by time, any integers.
        starts: (n,) seconds, start of each row.
        stop: end of the last row.
        min_seconds: shortest segment; 0 changes nothing.

    Returns:
        (n,); no segment is shorter than `min_seconds`, unless the video is.
    """
    if min_seconds <= 0 or len(labels) < 2:
        return labels
    smoothed = _majority(labels, starts, min_seconds)
    while True:
        cuts = np.flatnonzero(np.diff(smoothed)) + 1
        firsts = np.concatenate([[0], cuts])
        length = np.diff(np.append(starts[firsts], stop))
        place = int(length.argmin())
        if not len(cuts) or length[place] >= min_seconds - EDGE_SECONDS:
            return smoothed
        before = length[place - 1] if place else -1.0
        after = length[place + 1] if place < len(cuts) else -1.0
        end = firsts[place + 1] if place < len(cuts) else len(smoothed)
        smoothed[firsts[place] : end] = smoothed[firsts[place] - 1] if before >= after else smoothed[end]


def _majority(labels: Labels, starts: NDArray[np.float64], min_seconds: float) -> Labels:
    """The most frequent cluster of the rows that begin within half of `min_seconds` of each row."""
    kinds, codes = np.unique(labels, return_inverse=True)
    counts = np.zeros((len(labels) + 1, len(kinds)), dtype=np.int64)
    np.cumsum(np.eye(len(kinds), dtype=np.int64)[codes], axis=0, out=counts[1:])
    low = np.searchsorted(starts, starts - min_seconds / 2 - EDGE_SECONDS)
    high = np.searchsorted(starts, starts + min_seconds / 2 + EDGE_SECONDS, side="right")
    around = 2 * (counts[high] - counts[low])
    around[np.arange(len(labels)), codes] += 1  # ties go to the row's own cluster
    found: Labels = kinds[around.argmax(axis=1)]
    return found


def segments_of(video: str, labels: Labels, starts: NDArray[np.float64], stop: float) -> list[Segment]:
    """Return the segments of a video, each within one cluster."""
    firsts = np.concatenate([[0], np.flatnonzero(np.diff(labels)) + 1])
    ends = np.append(starts[firsts[1:]], stop)
    return [
        Segment(video, float(starts[first]), float(end), int(labels[first]))
        for first, end in zip(firsts.tolist(), ends, strict=True)
    ]
