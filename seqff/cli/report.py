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

    Writes: the page: one file that needs nothing from outside, for screens of any size and for paper.

    Example: seqff report runs/first probes/first --out page.html
    """

    run: Run
    out: Path
    """The page, *.html; must not exist, unless --overwrite is given."""
    probes: Annotated[tyro.conf.Positional[tuple[Path, ...]], tyro.conf.arg(metavar="[PROBE...]")] = ()
    """Folders of results; without one the page does not say what the features are worth."""
    videos: str | None = None
    """Where the videos lie now, if they have moved (folder, video or manifest); by default where they were."""
    projection: Literal["pca", "tsne", "umap"] = "pca"
    """How the map of clips is laid out; umap needs umap-learn."""
    most_videos: int = 200
    """Videos looked at for the pictures, drawn by the seed where there are more; 0 for none."""
    follow: int = 3
    """Videos followed over their whole length."""
    seed: int = 0
    """Seed of the draw, and of t-SNE and UMAP."""
    device: Device = "auto"
    """Where the encoder runs: auto takes CUDA if there is any."""
    other_encoder: bool = False
    """Show probes of another encoder than the run's, too; the page says so."""
    overwrite: bool = False
    """Replace the page in --out."""
    progress: Progress = True
    json: Json = False


def run(options: Options) -> None:
    """Write the page, say what it lacks."""
    from seqff.report import report

    done = report(**call_arguments(options))
    if options.json:
        print_json({"page": str(done.path), "bytes": done.bytes, "absent": list(done.absent)})
        return
    for what in done.absent:
        show(f"  absent: {what}")
    show(f"written: {done.path} ({done.bytes / 1e6:.1f} MB)")
    show("next: open it in a browser; it needs nothing else, wherever it lies")
