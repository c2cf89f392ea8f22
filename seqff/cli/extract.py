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
    """Write the features of every layer for whole videos; each frame is decoded once for all of them.

    Reads:  a run folder that `seqff train` wrote, and a folder of videos, a video or a manifest. Or videos alone, and
            a network that was not trained here (--encoder.name, with a file of its weights).

    Writes: the feature store: one array a layer (arrays/*.npy), of the trained net, the untrained net and raw pixels,
            index.csv (what each row is), meta.json, skipped.csv. Stopped at any moment it goes on with --resume.

    Example: seqff extract runs/first videos/ --out features/first
             seqff extract videos/ --encoder.name resnet18 --encoder.weights resnet18.pth --out features/resnet18
    """

    out: Path
    """Folder for the store; must not exist, unless --resume or --overwrite is given."""
    run: Annotated[tyro.conf.Positional[str | None], tyro.conf.arg(metavar="[RUN]")] = None
    """Run folder; left out with --encoder.name."""
    videos: Annotated[tyro.conf.Positional[str | None], tyro.conf.arg(metavar="VIDEOS", help=VIDEOS)] = None
    encoder: NetworkConfig = field(default_factory=NetworkConfig)
    per: Literal["video", "clip", "frame"] = "video"
    """A row a video or a clip (statistics over its frames), or a row a frame."""
    grid: int | Literal["full"] = 2
    """Maps are averaged over this many cells along each side; full keeps them whole."""
    every: int = 1
    """Take every n-th frame."""
    every_seconds: float = 0.0
    """Instead, take the first frame in each interval of so many seconds."""
    clip_frames: int = 16
    """Frames (of those taken) in a clip."""
    clip_stride: int = 0
    """Frames (of those taken) from the start of a clip to the next; 0 = clip-frames."""
    statistics: tuple[Literal["mean", "std", "mean_abs_difference"], ...] = ("mean", "std", "mean_abs_difference")
    """What a row a video or a clip holds of each number, over its frames."""
    dtype: Literal["fp32", "fp16"] = "fp32"
    """How features are stored; fp16 takes half the space."""
    baselines: tuple[Literal["untrained", "pixels"], ...] = ("untrained", "pixels")
    """What is extracted beside the trained net."""
    batch_frames: int = 64
    """Frames that go through the net together; bounds the memory."""
    workers: int = 1
    """Threads that decode; more than 1 helps where the net is faster than one decoder, as on a GPU."""
    rank: int | None = None
    """Of several processes that share the work, which this is, from 0; by default torchrun's RANK."""
    world_size: int | None = None
    """How many processes share the work; the last to finish joins the store."""
    device: Device = "auto"
    resume: bool = False
    """Go on where an extraction with the same settings stopped."""
    overwrite: bool = False
    """Delete the store in --out and start again."""
    max_bad: MaxBad = 0.05
    progress: Progress = True
    json: Json = False


def run(options: Options) -> None:
    """Extract, say what to do next."""
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
