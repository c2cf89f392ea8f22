"""`seqff export`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from seqff.cli.arguments import Features, Json, call_arguments, print_json, show


@dataclass(frozen=True)
class Options:
    """Export a feature store to one file in a common format.

    Reads:  a feature store that `seqff extract` wrote.

    Writes: a .npz, .safetensors or .parquet file, by its extension, with the arrays, the index (video, frame, frames,
            time in seconds) and meta.json. Parquet needs pip install 'seqff[parquet]'.

    Example: seqff export features/first --out first.npz --arrays layer2 layer3
    """

    features: Features
    out: Path
    """File (.npz, .safetensors or .parquet)."""
    arrays: tuple[str, ...] = ()
    """Arrays to export; by default all."""
    overwrite: bool = False
    """Replace an existing file."""
    json: Json = False


def run(options: Options) -> None:
    """Export, and print the path."""
    from seqff.features import export

    file = export(**call_arguments(options))
    if options.json:
        print_json({"file": str(file), "bytes": file.stat().st_size})
    else:
        show(f"written: {file} ({file.stat().st_size / 1e6:.1f} MB)")
