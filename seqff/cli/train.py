"""`seqff train`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from seqff.cli.arguments import Device, call_arguments, parse, print_json, settings_before
from seqff.config import TrainConfig
from seqff.presets import preset_help


@dataclass(frozen=True)
class TrainOptions:
    """Train an encoder on videos without labels, every layer by its own objective.

    Reads:  a folder of videos (searched recursively), one video, or a manifest; settings from --preset, then --config,
            then flags: the later wins.

    Writes: the run folder: encoder.safetensors (and the same net untrained), config.yaml, manifest.json,
            metrics.jsonl, checkpoints.

    Example: seqff train videos/ --out runs/first --steps 600 --pairs.gap 4

    Several processes: torchrun --nproc-per-node=4 -m seqff train videos/ --out runs/first (see --parallel).
    """

    videos: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="VIDEOS")]
    """Folder, video, or manifest (*.json)."""
    out: Path
    """Run folder to write; must not exist, unless --resume or --overwrite is given."""
    config: Path | None = None
    """YAML file with settings; what it does not name keeps its default. Flags win over the file."""
    init: Path | None = None
    """Run folder, or folder of a pretrained encoder, whose encoder to begin with; without it, fresh weights."""
    preset: Annotated[
        str | None, tyro.conf.arg(metavar="NAME", help=f"Settings of a published method:\n\n{preset_help()}")
    ] = None
    seed: int = 0
    """Of the initial weights, the batches and the augmentation."""
    device: Device = "auto"
    """Where to compute: auto takes CUDA if there is any."""
    resume: bool = False
    """Go on with the run in --out from its last checkpoint."""
    overwrite: bool = False
    """Delete the run in --out and start again."""
    max_bad: float = 0.05
    """Stop when more than this share of the videos cannot be read."""
    progress: bool = True
    """Show progress bars on a terminal."""
    json: Annotated[bool, tyro.conf.arg(help="Print the last figures as JSON.")] = False
    settings: Annotated[TrainConfig, tyro.conf.arg(name="")] = field(default_factory=TrainConfig)


def run(arguments: Sequence[str]) -> None:
    """Parse the arguments, train, say what to do next."""
    settings = settings_before(arguments)
    default = None if settings is None else TrainOptions(videos=tyro.MISSING, out=tyro.MISSING, settings=settings)
    options = parse(TrainOptions, "train", arguments, default)
    from seqff.training import train

    done = train(**{**call_arguments(options, "settings", "preset"), "config": options.settings})
    if os.environ.get("RANK", "0") != "0":  # of the processes that torchrun starts, the first one speaks
        return
    if options.json:
        print_json({"run": str(done.path), "seconds": round(done.seconds, 1), "figures": done.figures})
    else:
        print(f"trained {len(done.encoder.layers)} layers in {done.seconds:.0f} s: {done.path}")
        print(f"next: seqff extract {done.path} {options.videos} --out FEATURES")
