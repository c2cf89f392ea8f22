"""`seqff classify`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from seqff.cli.arguments import Device, Json, MaxBad, Progress, Videos, call_arguments, show_result


@dataclass(frozen=True)
class Options:
    """Classify new videos by the linear head that a probe fitted on all its videos.

    Reads:  the folder of a probe (heads.safetensors), the run whose features it probed, and videos.

    Writes: with --out, a table: video, class, its probability, whether the head was fitted on the video, and the
            probability of every class; prints the predictions.

    Example: seqff classify probes/first new_videos/ --out classes.csv
    """

    probe: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="PROBE")]
    """Folder that `seqff probe` wrote."""
    videos: Videos
    out: Path | None = None
    """Table (*.csv)."""
    layer: str | None = None
    """Layer of the head, by name or index; by default the one with the best accuracy in the probe."""
    run: Path | None = None
    """Run folder, if it has moved since the features were extracted."""
    rows: bool = False
    """One prediction per row of features (a frame or a clip), with its time, instead of one per video."""
    workers: int = 1
    """Decoding threads."""
    device: Device = "auto"
    max_bad: MaxBad = 0.05
    overwrite: bool = False
    """Replace an existing file."""
    progress: Progress = True
    json: Json = False


def run(options: Options) -> None:
    """Classify, and print the predictions."""
    from seqff.explore import classify

    found = classify(**call_arguments(options))
    show_result(found, as_json=options.json, written=found.path)
