"""`seqff similarity`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from seqff.cli.arguments import Device, Json, call_arguments, show_result


@dataclass(frozen=True)
class Options:
    """Compare layers, runs and seeds by their features, without labels: linear CKA, RSA, and effective ranks.

    Reads:  feature stores of the same videos that `seqff extract` wrote.

    Writes: the numbers as JSON, if --out is given; prints the table.

    Example: seqff similarity features/seed0 features/seed1 --layers layer1 layer4 untrained/layer4
    """

    features: Annotated[tyro.conf.Positional[tuple[Path, ...]], tyro.conf.arg(metavar="FEATURES...")]
    """One or more feature stores."""
    layers: tuple[str, ...] = ()
    """Names of arrays, or indices of layers (0 is the first, -1 the last); by default all."""
    rows: int = 1000
    """Maximum number of rows; more are subsampled at random."""
    out: Path | None = None
    """File for the numbers (JSON)."""
    seed: int = 0
    """Seed of the subsampling."""
    device: Device = "auto"
    overwrite: bool = False
    """Replace an existing file."""
    json: Json = False


def run(options: Options) -> None:
    """Compare, and print the table."""
    from seqff.probes import similarity

    show_result(similarity(**call_arguments(options)), as_json=options.json)
