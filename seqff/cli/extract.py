"""`seqff extract`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from seqff.cli.arguments import Device, call_arguments, parse, print_json


@dataclass(frozen=True)
class ExtractOptions:
    """Write the features of every layer for whole videos; each frame is decoded once for all of them.

    Reads:  a run folder that `seqff train` wrote, and a folder of videos, a video or a manifest.

    Writes: the feature store: one array a layer (arrays/*.npy), of the trained net, the untrained net and raw pixels,
            index.csv (what each row is), meta.json, skipped.csv.

    Example: seqff extract runs/first videos/ --out features/first
    """

    run: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """Run folder."""
    videos: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="VIDEOS")]
    """Folder, video, or manifest (*.json)."""
    out: Path
    """Folder for the store; must not exist, unless --resume or --overwrite is given."""
    per: Literal["video", "frame"] = "video"
    """A row a video (mean, standard deviation and mean |difference| over time) or a row a frame."""
    grid: int = 2
    """Maps are averaged over this many cells along each side."""
    every: int = 1
    """Take every n-th frame."""
    baselines: tuple[Literal["untrained", "pixels"], ...] = ("untrained", "pixels")
    """What is extracted beside the trained net."""
    batch_frames: int = 64
    """Frames that go through the net together; bounds the memory."""
    device: Device = "auto"
    """Where to compute: auto takes CUDA if there is any."""
    seed: int = 0
    """Taken by every command; nothing in extraction is random."""
    resume: bool = False
    """Go on where an extraction with the same settings stopped."""
    overwrite: bool = False
    """Delete the store in --out and start again."""
    max_bad: float = 0.05
    """Stop when more than this share of the videos cannot be read."""
    progress: bool = True
    """Show progress bars on a terminal."""
    json: Annotated[bool, tyro.conf.arg(help="Print what was written as JSON.")] = False


def run(arguments: Sequence[str]) -> None:
    """Parse the arguments, extract, say what to do next."""
    options = parse(ExtractOptions, "extract", arguments)
    from seqff.features import extract

    store = extract(**call_arguments(options))
    shapes = {name: list(store.to_numpy(name).shape) for name in store.names}
    if options.json:
        print_json({"features": str(options.out), "arrays": shapes})
        return
    for name, (rows, width) in shapes.items():
        print(f"  {name:<20} {rows} rows of {width}")
    print(f"written: {options.out}")
    print(f"next: seqff probe {options.out} --labels folder --out PROBE")
