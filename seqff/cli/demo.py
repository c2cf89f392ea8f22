"""`seqff demo`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from seqff.cli.arguments import Device, Json, Progress, call_arguments, print_json, show


@dataclass(frozen=True)
class Options:
    """Run the whole pipeline on generated clips: moving handwritten digits over moving textures.

    Reads:  nothing.

    Writes: a folder with the clips as video files, the manifest, the run, the features and the probe's results;
    prints, per layer, the accuracy of linear probes on the trained net, the untrained net and raw pixels.

    Example: seqff demo --out demo
    """

    out: Path | None = None
    """Folder for everything; by default a new one in the temporary folder."""
    clips: int = 800
    """Number of clips, at most 1797 (each shows another image of a digit)."""
    steps: int = 600
    """Training steps."""
    seed: int = 0
    """Seed of clips, training and probe."""
    device: Device = "auto"
    overwrite: bool = False
    """Replace the result of an earlier demo in --out."""
    progress: Progress = True
    json: Json = False


def run(options: Options) -> None:
    """Run the demo, and print the table."""
    from seqff.demo import demo

    done = demo(**call_arguments(options))
    if options.json:
        print_json({"folder": str(done.path), **done.result.to_dict()})
    else:
        show(done.result.table())
        show(f"everything is in {done.path}")
        show(f"with your own videos: seqff train VIDEOS --out RUN   (see also {done.path}/run and seqff --help)")
