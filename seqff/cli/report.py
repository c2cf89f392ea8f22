"""`seqff report`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from seqff.cli.arguments import Device, Json, Progress, Run, call_arguments, print_json, show


@dataclass(frozen=True)
class Options:
    """Write one HTML page about a run: did it learn, is it healthy, what does each layer see, what went in, the cost.

    Reads:  a run folder that `seqff train` wrote, folders that `seqff probe` wrote, and some frames of the videos.

    Writes: the page: one self-contained file, for screens of any size and for print.

    Example: seqff report runs/first probes/first --out page.html
    """

    run: Run
    out: Path
    """File (*.html); must not exist, unless --overwrite is given."""
    probes: Annotated[tyro.conf.Positional[tuple[Path, ...]], tyro.conf.arg(metavar="[PROBE...]")] = ()
    """Folders of results; without one, the page does not show accuracies."""
    videos: str | None = None
    """Location of the videos (folder, video or manifest), if they have moved."""
    projection: Literal["pca", "tsne", "umap"] = "pca"
    """Layout of the map of clips; umap needs umap-learn."""
    most_videos: int = 200
    """Number of videos used for the pictures, sampled at random if there are more; 0 for none."""
    follow: int = 3
    """Number of videos followed over their whole length."""
    seed: int = 0
    """Seed of the sampling, and of t-SNE and UMAP."""
    device: Device = "auto"
    """Device for the encoder; auto uses CUDA if available."""
    other_encoder: bool = False
    """Also show probes of another encoder; the page says so."""
    overwrite: bool = False
    """Replace an existing page."""
    progress: Progress = True
    json: Json = False


def run(options: Options) -> None:
    """Write the page, and print what it lacks."""
    from seqff.report import report

    done = report(**call_arguments(options))
    if options.json:
        print_json({"page": str(done.path), "bytes": done.bytes, "absent": list(done.absent)})
        return
    for what in done.absent:
        show(f"  absent: {what}")
    show(f"written: {done.path} ({done.bytes / 1e6:.1f} MB)")
    show("next: open it in a browser; it needs nothing else, wherever it lies")
