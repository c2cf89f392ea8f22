"""`seqff classify`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from seqff.cli.arguments import Device, Json, MaxBad, Progress, Videos, call_arguments, show_result


@dataclass(frozen=True)
class Options:
    """Name the class of new videos by the linear head that a probe fitted on all its videos.

    Reads:  the folder of a probe (heads.safetensors), the run whose features it probed, and videos.

    Writes: a table: video, class, its probability, whether the video was among those that the head was fitted on, and
            the probability of every class, if --out is given; prints the answers.

    Example: seqff classify probes/first new_videos/ --out classes.csv
    """

    probe: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="PROBE")]
    """Folder that `seqff probe` wrote."""
    videos: Videos
    out: Path | None = None
    """Table (*.csv)."""
    layer: str | None = None
    """Layer whose head is used, by name or number; by default the one with the best accuracy in the probe."""
    run: Path | None = None
    """Run folder, if it has moved since the features were extracted."""
    rows: bool = False
    """One answer a row of features (a frame or a clip), with its time, instead of one a video."""
    workers: int = 1
    """Threads that decode."""
    device: Device = "auto"
    max_bad: MaxBad = 0.05
    overwrite: bool = False
    """Replace the file in --out."""
    progress: Progress = True
    json: Json = False


def run(options: Options) -> None:
    """Classify, print the answers."""
    from seqff.explore import classify

    found = classify(**call_arguments(options))
    show_result(found, as_json=options.json, written=found.path)
