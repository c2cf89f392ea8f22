"""`seqff cluster`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from seqff.cli.arguments import Features, Json, Layer, Progress, call_arguments, show_result


@dataclass(frozen=True)
class Options:
    """Cluster the moments of videos without labels, and report which video shows which cluster when.

    Reads:  a feature store of `seqff extract --per frame` (or clip).

    Writes: segments.csv (video, start_seconds, stop_seconds, cluster), ethogram.svg (a row per video, a color per
            cluster), page.html with frames of each cluster, clusters.json; prints the clusters. Equal seeds give equal
            clusters.

    Example: seqff cluster features/frames --k 12 --out clusters/frames
    """

    features: Features
    out: Path
    """Folder for the results; must not exist, unless --overwrite is given."""
    k: int = 12
    """Number of clusters for k-means; HDBSCAN determines it."""
    method: Literal["kmeans", "hdbscan"] = "kmeans"
    """kmeans assigns every moment to a cluster; hdbscan finds dense clusters and leaves other moments out."""
    layer: Layer = None
    min_seconds: float = 0.5
    """Shortest segment; shorter ones are merged with their neighbors. 0 keeps all."""
    min_rows: int = 0
    """Smallest cluster for HDBSCAN; 0 for a hundredth of the rows, at least 5."""
    videos: str | None = None
    """Location of the videos, to show frames; by default from the manifest of the run."""
    seed: int = 0
    """Seed of k-means, and of the sample of rows if there are more than 20 000 (HDBSCAN: 10 000)."""
    overwrite: bool = False
    """Replace the content of --out."""
    progress: Progress = True
    json: Json = False


def run(options: Options) -> None:
    """Cluster, print the clusters and what to do next."""
    from seqff.explore import cluster

    found = cluster(**call_arguments(options))
    then = [f"next: open {found.path / 'page.html'}"]
    show_result(found, as_json=options.json, written=found.path, then=then)
