"""`seqff extract`."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Literal

import tyro

from seqff.cli.arguments import VIDEOS, Device, Json, MaxBad, Progress, call_arguments, print_json, show
from seqff.config import NetworkConfig

EVERYDAY = (
    "run", "videos", "out", "encoder.name", "encoder.weights", "per", "grid", "every", "dtype", "baselines", "workers",
    "device", "resume", "overwrite",
)  # fmt: skip


@dataclass(frozen=True)
class Options:
    """Extract the features of every layer for whole videos; each frame is decoded once for all layers.

    Reads:  a run folder that `seqff train` wrote, and a folder of videos, a video or a manifest. Or only videos, and a
            network that was not trained by seqff (--encoder.name, with a file of its weights).

    Writes: the feature store: one array per layer (arrays/*.npy) for the trained and the untrained net, one for raw
            pixels, index.csv (the origin of each row), meta.json, skipped.csv. If interrupted, --resume continues.

    Example: seqff extract runs/first videos/ --out features/first
             seqff extract videos/ --encoder.name resnet18 --encoder.weights resnet18.pth --out features/resnet18
    """

    out: Path
    """Folder for the store; must not exist, unless --resume or --overwrite is given."""
    run: Annotated[tyro.conf.Positional[str | None], tyro.conf.arg(metavar="[RUN]")] = None
    """Run folder; omitted with --encoder.name."""
    videos: Annotated[tyro.conf.Positional[str | None], tyro.conf.arg(metavar="VIDEOS", help=VIDEOS)] = None
    encoder: NetworkConfig = field(default_factory=NetworkConfig)
    per: Literal["video", "clip", "frame"] = "video"
    """One row per video or clip (statistics over its frames), or per frame."""
    grid: int | Literal["full"] = 2
    """Average maps over this many cells per side; full keeps them whole."""
    every: int = 1
    """Use every n-th frame."""
    every_seconds: float = 0.0
    """Instead, use the first frame in each interval of this many seconds."""
    clip_frames: int = 16
    """Number of (sampled) frames in a clip."""
    clip_stride: int = 0
    """Number of (sampled) frames between the starts of clips; 0 means clip-frames."""
    statistics: tuple[Literal["mean", "std", "mean_abs_difference"], ...] = ("mean", "std", "mean_abs_difference")
    """Statistics over the frames of a video or clip."""
    dtype: Literal["fp32", "fp16"] = "fp32"
    """Storage type of features; fp16 takes half the space."""
    baselines: tuple[Literal["untrained", "pixels"], ...] = ("untrained", "pixels")
    """Baselines to extract besides the trained net."""
    batch_frames: int = 64
    """Frames per forward pass; bounds the memory."""
    workers: int = 1
    """Decoding threads; more than 1 helps if the net is faster than one decoder, as on a GPU."""
    rank: int | None = None
    """Rank of this process among those that share the work, from 0; by default torchrun's RANK."""
    world_size: int | None = None
    """Number of processes that share the work; the last to finish merges the store."""
    device: Device = "auto"
    resume: bool = False
    """Continue an interrupted extraction with the same settings."""
    overwrite: bool = False
    """Delete the store in --out and start over."""
    max_bad: MaxBad = 0.05
    progress: Progress = True
    json: Json = False


def run(options: Options) -> None:
    """Extract, and print what to do next."""
    from seqff.features import extract

    if options.encoder.name and options.videos is None:
        options = replace(options, run=None, videos=options.run)
    store = extract(**call_arguments(options))
    if not store.finished:
        _say_unfinished(options)
        return
    shapes = {name: list(store.array(name).shape) for name in store.names}
    if options.json:
        print_json({"features": str(options.out), "arrays": shapes, "skipped": store.skipped})
        return
    for video, cause in store.skipped.items():
        show(f"  skipped {video}: {cause}")
    for name, (rows, width) in shapes.items():
        show(f"  {name:<20} {rows} rows of {width}")
    show(f"written: {options.out}")
    show(f"next: seqff probe {options.out} --labels folder --out PROBE")


def _say_unfinished(options: Options) -> None:
    if options.json:
        print_json({"features": str(options.out), "finished": False})
    else:
        show(f"this share is done; the rank that finishes last joins the store in {options.out}")
