"""`seqff scan`."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path

from seqff.cli.arguments import Json, Progress, Videos, call_arguments, print_json, show, speaks
from seqff.config import VideoConfig


@dataclass(frozen=True)
class Options:
    """Decode every video once and write down what is in it.

    Reads:  a folder of videos (searched recursively), one video, or a manifest to be brought up to date.

    Writes: the manifest: true frame counts, times, damage, and which reader is exact on which file; a table
            (*.sqlite), or JSON (*.json), by its name. A manifest given and another name make one of the other.
            A second scan decodes only what changed; an interrupted one goes on. Processes that scan to the same
            manifest share the work (torchrun --nproc-per-node=4 -m seqff scan ..., or on several machines).

    Example: seqff scan videos/ --out manifest.sqlite
    """

    videos: Videos
    out: Path | None = None
    """Where the manifest is written; by default in the user's cache folder, where the other commands find it."""
    max_bad: float = 0.05
    """Exit with 1 when more than this share of the videos cannot be used."""
    workers: int | None = None
    """Decoding processes; by default one a core."""
    timeout_seconds: float = 60.0
    """A file whose decoding hangs for longer than this is given up."""
    refresh: bool = False
    """Decode everything again, changed or not."""
    progress: Progress = True
    video: VideoConfig = field(default_factory=VideoConfig)
    """How files are read that do not say it themselves."""
    json: Json = False


def run(options: Options) -> None:
    """Scan, print the table."""
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
    skipped.disabled = True  # the table says it
    try:
        tell(scan(**{**call_arguments(options), "progress": options.progress and speaks()}))
    except BadVideosError as error:
        tell(error.manifest)  # what is good and what is not, before the line that says that it is too much
        raise
    finally:
        skipped.disabled = False
