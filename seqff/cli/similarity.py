"""`seqff similarity`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from seqff.cli.arguments import Device, Json, call_arguments, show_result


@dataclass(frozen=True)
class Options:
    """Compare layers, runs and seeds by their features, without labels: linear CKA, RSA, and the rank of each layer.

    Reads:  feature stores that `seqff extract` wrote, of the same videos.

    Writes: the numbers as JSON, if --out is given; prints the table.

    Example: seqff similarity features/seed0 features/seed1 --layers layer1 layer4 untrained/layer4
    """

    features: Annotated[tyro.conf.Positional[tuple[Path, ...]], tyro.conf.arg(metavar="FEATURES...")]
    """Feature stores, one or more."""
    layers: tuple[str, ...] = ()
    """Names of arrays, or numbers of layers: 0 is the first, -1 the last; none for all."""
    rows: int = 1000
    """Rows drawn at random where there are more."""
    out: Path | None = None
    """File for the numbers, JSON."""
    seed: int = 0
    """Seed of the draw."""
    device: Device = "auto"
    overwrite: bool = False
    """Replace the file in --out."""
    json: Json = False


def run(options: Options) -> None:
    """Compare, print the table."""
    from seqff.probes import similarity

    show_result(similarity(**call_arguments(options)), as_json=options.json)
