"""`seqff compare`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from seqff.cli.arguments import Json, call_arguments, show_result


@dataclass(frozen=True)
class Options:
    """Compare results; refuses those that differ in protocol, videos, labels or splits.

    Reads:  folders that `seqff probe` or `seqff evaluate` (seedN/probe) wrote.

    Writes: a figure, if --out is given; prints a table with paired differences from the first result.

    Example: seqff compare probes/first probes/second --out comparison.svg
             seqff compare --seeds evaluations/first/seed*/probe
    """

    probes: Annotated[tyro.conf.Positional[tuple[Path, ...]], tyro.conf.arg(metavar="PROBE...")]
    """Two or more folders of results."""
    names: tuple[str, ...] | None = None
    """Names of the results in the table; by default the parts in which their paths differ."""
    seeds: bool = False
    """Treat the results as seeds of the same settings: print mean and standard deviation."""
    out: Path | None = None
    """File for the figure, *.png or *.svg."""
    seed: int = 0
    """Seed of the bootstrap."""
    overwrite: bool = False
    """Replace an existing figure."""
    json: Json = False


def run(options: Options) -> None:
    """Compare, and print the table."""
    from seqff.probes import compare

    found = compare(**call_arguments(options))
    show_result(found, as_json=options.json, written=found.figure)
