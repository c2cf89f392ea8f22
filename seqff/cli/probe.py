"""`seqff probe`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seqff.cli.arguments import Device, Features, Groups, Json, Progress, Splits, call_arguments, print_json, show
from seqff.files import read_json

EVERYDAY = (
    "features", "labels", "out", "groups", "splits", "folds", "columns", "split_frames", "seed", "overwrite",
)  # fmt: skip


@dataclass(frozen=True)
class Options:
    """Measure each layer's features with linear probes, compared with the untrained net and raw pixels.

    Reads:  a feature store that `seqff extract` wrote, and labels.

    Writes: results.json, results.csv, predictions.csv; prints the table.
            Splits are by whole videos and groups; lambda is chosen inside the training part (protocol v1). Also reports
            all layers at one width, and nearest neighbors for every k.

    Example: seqff probe features/first --labels folder --groups '(?P<group>[a-z]+)_' --out probes/first
    """

    features: Features
    labels: str
    """'folder' (the first folder below VIDEOS names the class) or a CSV file with the columns video,label. Or a CSV
    file with video,start_seconds,stop_seconds,label, for features with one row per frame or clip; or 'video': each
    video is a class (for --split-frames)."""
    out: Path
    """Folder for the results; must not exist, unless --overwrite is given."""
    groups: Groups = None
    columns: tuple[str, ...] | None = None
    """Label columns of the CSV file, one result and subfolder each; by default the column label."""
    splits: Splits = None
    folds: int | None = None
    """Number of folds; by default one per group up to 20 groups, else 5."""
    split_frames: str | None = None
    """Split frames inside videos instead: with every:18, every 18th frame of a video trains, all others test. Needs
    features with one row per frame; for videos that each show an object to be recognized."""
    seed: int = 0
    """Seed of the folds and the bootstrap."""
    device: Device = "auto"
    """Device for matrices of more than 4 million values; auto uses CUDA if available."""
    allow_leak: bool = False
    """Let --groups frame assign frames to folds at random, to show how that inflates the score."""
    overwrite: bool = False
    """Replace the results in --out."""
    progress: Progress = True
    json: Json = False


def run(options: Options) -> None:
    """Probe, and print the table."""
    from seqff.probes import probe

    found = probe(**call_arguments(options))
    results = found if isinstance(found, dict) else {"": found}
    if options.json:
        contents = {column: result.to_dict() for column, result in results.items()}
        print_json(contents if options.columns is not None else contents[""])
        return
    for column, result in results.items():
        show(*([f"{column}:", result.table(), ""] if column else [result.table()]))
    show(f"written: {options.out}")
    probes = " ".join(str(options.out / column) for column in results).rstrip("/")
    meta = read_json(options.features / "meta.json")
    if meta.get("network"):
        show(f"next: seqff compare PROBE {probes}")
    else:
        show(f"next: seqff report {_run_of(meta)} {probes} --out page.html")


def _run_of(meta: dict[str, Any]) -> str:
    """Return the run of the features, if it still exists at its path."""
    run = str(meta.get("encoder", {}).get("run", ""))
    return run if run and Path(run).is_dir() else "RUN"
