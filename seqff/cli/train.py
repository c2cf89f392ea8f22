"""`seqff train`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from seqff.cli.arguments import (
    VIDEOS,
    Device,
    Json,
    MaxBad,
    Preset,
    Progress,
    call_arguments,
    print_json,
    show,
    show_result,
    speaks,
)  # fmt: skip
from seqff.config import TrainConfig
from seqff.config_io import seed_of

EVERYDAY = (
    "videos", "out", "preset", "config", "steps", "seed", "device", "resume", "overwrite", "dry_run", "workers",
    "precision", "trainer", "pairs.size_px", "pairs.gap", "pairs.far", "stream",
)  # fmt: skip


@dataclass(frozen=True)
class Options:
    """Train an encoder on videos without labels, every layer by its own objective.

    Reads:  a folder of videos (searched recursively), one video, or a manifest;
            settings from --preset, --config and flags, in rising precedence.

    Writes: the run folder: encoder.safetensors (and the untrained net),
            config.yaml, manifest.sqlite, metrics.jsonl, metrics.csv, checkpoints.
            `seqff watch RUN` shows the progress.

    Example: seqff train videos/ --out runs/first --steps 1200 --pairs.size-px 96
             torchrun --nproc-per-node=4 -m seqff train ... (see --help stages)
    """

    out: Path | None = None
    """Run folder to write; must not exist, unless --resume or --overwrite is given. Optional with --dry-run."""
    videos: Annotated[tyro.conf.Positional[str | None], tyro.conf.arg(metavar="VIDEOS", help=VIDEOS)] = None
    stream: Annotated[str | None, tyro.conf.arg(metavar="SOURCE")] = None
    """A live stream, such as a camera, instead of VIDEOS. The index of a camera, an address (rtsp://, http://, ...), a
    named pipe, or a growing folder (videos, or numbered images); see --live. Without --steps, training continues as
    long as frames arrive."""
    config: Path | None = None
    """YAML file with settings, or a run to repeat. Other settings keep their defaults; flags override it."""
    init: Path | None = None
    """Folder of a run or a pretrained encoder to start from; by default, weights are random."""
    preset: Preset = "default"
    seed: int | None = None
    """Seed of weights, batches and augmentation; by default 0, or that of the run in --config."""
    device: Device = "auto"
    resume: bool = False
    """Continue the run in --out from its last checkpoint; a finished one with more --steps."""
    overwrite: bool = False
    """Delete the run in --out and start over."""
    max_bad: MaxBad = 0.05
    dry_run: bool = False
    """Only report what it would do: the plan, the memory, metrics of the first batch, the time. Leaves --out as is."""
    progress: Progress = True
    json: Json = False
    settings: Annotated[TrainConfig, tyro.conf.arg(name="")] = field(default_factory=TrainConfig)


def run(options: Options) -> None:
    """Train, and print what to do next."""
    from seqff.metrics import by_layer, check_lines
    from seqff.online.statistics import describe as describe_stream
    from seqff.train import train

    given = {**call_arguments(options), "seed": seed_of(options.config, options.seed, options.init)}
    if options.dry_run:
        plan = train(**given)
        without = "" if options.out else "with --out RUN and "
        show_result(plan, as_json=options.json, then=[f"next: the same command {without}without --dry-run"])
        return
    done = train(**given)
    if not speaks():
        return
    if options.json:
        came = {"stream": done.stream} if done.stream else {}
        print_json({"run": str(done.path), "seconds": round(done.seconds, 1), "metrics": done.metrics, **came})
        return
    show(f"trained {len(done.encoder.layers)} layers in {done.seconds:.0f} s: {done.path}")
    for line in describe_stream(done.stream) if done.stream else check_lines(by_layer(done.metrics)):
        show(line)
    show(f"next: seqff extract {done.path} {options.videos or 'VIDEOS'} --out FEATURES")
