"""`seqff scan`."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path

from seqff.cli.arguments import Json, Progress, Videos, call_arguments, print_json, show, speaks
from seqff.config import VideoConfig


@dataclass(frozen=True)
class Options:
    """Decode every video once and record its properties.

    Reads:  a folder of videos (searched recursively), one video, or a manifest to update.

    Writes: the manifest: true frame counts, times, damage, and the exact reader for each file, as a table (*.sqlite)
            or JSON (*.json). To convert a manifest, scan it with --out. A repeated scan decodes only what changed; an
            interrupted one continues. Processes that scan to the same manifest share the work (torchrun
            --nproc-per-node=4 -m seqff scan ..., or on several machines).

    Example: seqff scan videos/ --out manifest.sqlite
    """

    videos: Videos
    out: Path | None = None
    """File of the manifest; by default in the user's cache folder, where other commands find it."""
    max_bad: float = 0.05
    """Exit with code 1 if more than this share of the videos is unusable."""
    workers: int | None = None
    """Decoding processes; by default one per core."""
    timeout_seconds: float = 60.0
    """Give up a file whose decoding hangs for longer than this."""
    refresh: bool = False
    """Decode everything again, even if unchanged."""
    progress: Progress = True
    video: VideoConfig = field(default_factory=VideoConfig)
    """Properties that files do not contain."""
    json: Json = False


def run(options: Options) -> None:
    """Scan, and print the table."""
    from seqff.video import BadVideosError, Manifest, scan
    from seqff.video.scanning import SKIPPED_LOG

    def tell(manifest: Manifest) -> None:
        if not speaks():
            return
        if options.json:
            print_json(manifest.to_dict())
        else:
            show(manifest.table())
            if manifest.usable:
                show(f"next: seqff train {options.out or options.videos} --out RUN")

    skipped = logging.getLogger(SKIPPED_LOG)
    skipped.disabled = True  # the table shows it
    try:
        tell(scan(**{**call_arguments(options), "progress": options.progress and speaks()}))
    except BadVideosError as error:
        tell(error.manifest)  # the table comes before the error
        raise
    finally:
        skipped.disabled = False
