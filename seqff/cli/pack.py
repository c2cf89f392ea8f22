"""`seqff pack`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from seqff.cli.arguments import Json, Progress, arg, call_arguments, print_json, show
from seqff.errors import size_text
from seqff.terminal import counted


@dataclass(frozen=True)
class Options:
    """Pack the videos of a folder into tar files, for object stores and for file systems that dislike small files.

    Reads:  a folder of videos (searched recursively).

    Writes: OUT/shard-000000.tar, OUT/shard-000001.tar, ... in the layout of WebDataset: paths are kept, and files that
            share the name of a video up to the first dot (walk/anna_1.json) follow it. OUT can be given to all
            commands in place of the folder. If interrupted, the same command continues.

    Example: seqff pack videos/ --out shards/
    """

    folder: Annotated[tyro.conf.Positional[str], arg(metavar="FOLDER", help="Folder of videos.")]
    out: Path
    """Folder of the tar files."""
    shard_mb: float = 1000.0
    """Largest size of a tar file, in 10^6 bytes."""
    progress: Progress = True
    json: Json = False


def run(options: Options) -> None:
    """Pack, and print the path."""
    from seqff.video import pack

    shards = pack(**call_arguments(options))
    size = sum(shard.stat().st_size for shard in shards)
    if options.json:
        print_json({"shards": list(map(str, shards)), "bytes": size})
    else:
        show(f"written: {options.out} ({counted(len(shards), 'tar file')}, {size_text(size)})")
        show(f"next: seqff scan {options.out} --out manifest.sqlite")
