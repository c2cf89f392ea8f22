"""`seqff train`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from seqff.cli.arguments import Device, call_arguments, facts_before, parse, print_json, settings_before, show, speaks
from seqff.config import TrainConfig
from seqff.presets import preset_help


@dataclass(frozen=True)
class TrainOptions:
    """Train an encoder on videos without labels, every layer by its own objective.

    Reads:  a folder of videos (searched recursively), one video, or a manifest; settings from --preset, then --config,
            then flags: the later wins.

    Writes: the run folder: encoder.safetensors (and the same net untrained), config.yaml, manifest.json,
            metrics.jsonl and metrics.csv, checkpoints. `seqff watch RUN` shows the figures while it runs.

    Example: seqff train videos/ --out runs/first --steps 1200 --pairs.gap 4
             seqff train videos/ --out runs/first --dry-run
             seqff train --stream rtsp://camera/main --out runs/live --checkpoint-minutes 10

    Several processes: torchrun --nproc-per-node=4 -m seqff train videos/ --out runs/first (see --parallel).
    """

    out: Path
    """Run folder to write; must not exist, unless --resume or --overwrite is given."""
    videos: Annotated[tyro.conf.Positional[str | None], tyro.conf.arg(metavar="VIDEOS")] = None
    """Folder, video, list (*.txt) or manifest (*.json); here or at an address (s3://, gs://, https://, ...)."""
    stream: Annotated[str | None, tyro.conf.arg(metavar="SOURCE")] = None
    """Instead of VIDEOS: what comes once. Number of a camera, address (rtsp://, http://, ...), named pipe, or a folder
    that grows (videos, or numbered images); see --live. Without --steps it learns for as long as frames come."""
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
    """Go on with the run in --out from its last checkpoint; with more --steps, also with one that has ended."""
    overwrite: bool = False
    """Delete the run in --out and start again."""
    max_bad: float = 0.05
    """Stop when more than this share of the videos cannot be read."""
    dry_run: bool = False
    """Do not train: print the plan, the memory, the first batch's figures and the time it would take; --out stays as
    it is."""
    progress: bool = True
    """Show progress bars on a terminal."""
    json: Annotated[bool, tyro.conf.arg(help="Print the last figures as JSON.")] = False
    settings: Annotated[TrainConfig, tyro.conf.arg(name="")] = field(default_factory=TrainConfig)


def run(arguments: Sequence[str]) -> None:
    """Parse the arguments, train, say what to do next."""
    settings, facts, default = settings_before(arguments), facts_before(arguments), None
    if settings is not None:
        default = TrainOptions(tyro.MISSING, seed=facts.get("seed", 0), settings=settings)
    options = parse(TrainOptions, "train", arguments, default)
    if "init" in facts and options.init is None:
        raise ValueError(f"{options.config} is of a run that began with an encoder of its own: name that by --init")
    if options.dry_run:
        show_plan(options)
        return
    from seqff.metrics import by_layer, check_lines
    from seqff.online.facts import describe as describe_stream
    from seqff.train import train

    done = train(**{**call_arguments(options, "settings", "preset", "dry_run"), "config": options.settings})
    if not speaks():
        return
    if options.json:
        came = {"stream": done.stream} if done.stream else {}
        print_json({"run": str(done.path), "seconds": round(done.seconds, 1), "figures": done.figures, **came})
    else:
        show(f"trained {len(done.encoder.layers)} layers in {done.seconds:.0f} s: {done.path}")
        said = describe_stream(done.stream) if options.stream is not None else check_lines(by_layer(done.figures))
        for line in said:
            show(line)
        show(f"next: seqff extract {done.path} {options.videos or 'VIDEOS'} --out FEATURES")


def show_plan(options: TrainOptions) -> None:
    """Print what the training would do, and leave it at that."""
    from seqff.cli.plan import describe
    from seqff.files import check_folder
    from seqff.training.dry_run import dry_run

    if options.videos is None:
        raise ValueError("--dry-run looks at videos: give some; of a stream nobody knows what will come")
    check_folder(options.out, marker="config.yaml", overwrite=options.overwrite, resume=options.resume)
    plan = dry_run(
        options.videos,
        config=options.settings,
        init=options.init,
        seed=options.seed,
        device=options.device,
        max_bad=options.max_bad,
        progress=options.progress,
    )
    print_json(plan.to_dict()) if options.json else show(describe(plan))
