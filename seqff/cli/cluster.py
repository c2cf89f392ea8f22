"""`seqff cluster`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from seqff.cli.arguments import Features, Json, Layer, Progress, call_arguments, show_result


@dataclass(frozen=True)
class Options:
    """Group the moments of videos without labels, and say which video shows which group when.

    Reads:  a feature store that `seqff extract --per frame` (or clip) wrote.

    Writes: segments.csv (video, start_seconds, stop_seconds, cluster), ethogram.svg (a row a video, a color a cluster),
            page.html with frames of each cluster, clusters.json; prints the clusters. The same seed gives the same.

    Example: seqff cluster features/frames --k 12 --out clusters/frames
    """

    features: Features
    out: Path
    """Folder for what is found; must not exist, unless --overwrite is given."""
    k: int = 12
    """Clusters of k-means; HDBSCAN finds by itself how many there are."""
    method: Literal["kmeans", "hdbscan"] = "kmeans"
    """kmeans puts every moment into a cluster; hdbscan finds dense groups, and leaves out what is in none."""
    layer: Layer = None
    min_seconds: float = 0.5
    """Shortest segment; shorter ones join their neighbors. 0 keeps all."""
    min_rows: int = 0
    """Smallest cluster of HDBSCAN; 0 for a hundredth of the rows, at least 5."""
    videos: str | None = None
    """Where the videos are now, to show frames; by default where the manifest of the run says."""
    seed: int = 0
    """Seed of k-means, and of the draw of rows where there are more than 20 000 (HDBSCAN: 10 000)."""
    overwrite: bool = False
    """Replace what is in --out."""
    progress: Progress = True
    json: Json = False


def run(options: Options) -> None:
    """Cluster, print the clusters, say what to do next."""
    from seqff.explore import cluster

    found = cluster(**call_arguments(options))
    then = [f"next: open {found.path / 'page.html'}"]
    show_result(found, as_json=options.json, written=found.path, then=then)
