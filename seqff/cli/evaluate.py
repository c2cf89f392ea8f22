"""`seqff evaluate`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro

from seqff.cli.arguments import (
    Device,
    Groups,
    Json,
    MaxBad,
    Preset,
    Progress,
    Splits,
    Videos,
    call_arguments,
    show_result,
)  # fmt: skip
from seqff.config import TrainConfig

EVERYDAY = (
    "videos", "out", "labels", "groups", "splits", "folds", "seeds", "baselines", "preset", "config", "steps", "device",
    "resume", "overwrite", "workers",
)  # fmt: skip


@dataclass(frozen=True)
class Options:
    """Train, extract and probe fold by fold, on videos that no encoder has seen.

    Reads:  a folder of videos (searched recursively) or a manifest, and labels;
            settings as for `seqff train`.

    Writes: a run and a feature store per seed and fold, one result over all folds
            per seed (seedN/probe), summary.json; prints a table that includes the
            untrained encoder, raw pixels and the majority class.

    Example: seqff evaluate videos/ --groups '(?P<group>[a-z]+)_' --folds 3 --out E
    """

    videos: Videos
    out: Path
    """Folder for everything; must not exist, unless --resume or --overwrite is given."""
    labels: str = "folder"
    """'folder' (the first folder below VIDEOS names the class) or a CSV file with the columns video,label."""
    groups: Groups = None
    splits: Splits = None
    folds: int | None = None
    """Number of folds, one training each; by default one per group up to 20 groups, else 5."""
    baselines: tuple[Literal["end_to_end", "supervised"], ...] = ()
    """Additional trainings for comparison: the same objective by backpropagation; labels by backpropagation."""
    config: Path | None = None
    """YAML file with training settings; others keep their defaults. Flags override the file."""
    preset: Preset = "default"
    seeds: tuple[int, ...] = (0,)
    """Seeds of the trainings; one result each, and their mean and standard deviation."""
    per: Literal["video", "clip", "frame"] = "video"
    """One row of features per video, clip or frame."""
    grid: Literal[1, 2, 4] = 2
    """Average maps over this many cells per side."""
    every: int = 1
    """Use every n-th frame."""
    seed: int = 0
    """Seed of the folds and the bootstrap."""
    device: Device = "auto"
    resume: bool = False
    """Continue the evaluation in --out; finished folds are not repeated, and seeds may be added."""
    overwrite: bool = False
    """Delete the evaluation in --out and start over."""
    max_bad: MaxBad = 0.05
    progress: Progress = True
    json: Json = False
    settings: Annotated[TrainConfig, tyro.conf.arg(name="")] = field(default_factory=TrainConfig)


def run(options: Options) -> None:
    """Evaluate, and print the table."""
    from seqff.probes import evaluate

    done = evaluate(**call_arguments(options))
    seconds = ", ".join(f"{phase} {seconds:.1f}" for phase, seconds in done.summary["seconds"].items())
    first = done.path / f"seed{options.seeds[0]}"
    then = [f"seconds: {seconds}", f"next: seqff report {first / 'fold1' / 'run'} {first / 'probe'} --out page.html"]
    show_result(done, as_json=options.json, written=done.path, then=then)
