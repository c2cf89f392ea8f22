"""`seqff search`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from seqff.cli.arguments import Features, Json, Layer, Progress, call_arguments, show_result


@dataclass(frozen=True)
class Options:
    """Find the moments of other videos that are most like a given one.

    Reads:  a feature store that `seqff extract --per frame` (or clip) wrote; one with a row a video finds videos.

    Writes: a page that shows the frames, or a table, as --out ends in .html or .csv; prints the table.
            Moments are compared by cosine, after features have been centered and scaled to variance 1.

    Example: seqff search features/frames --like walk/daria.avi@1.5 --out like.html
    """

    features: Features
    like: Annotated[str, tyro.conf.arg(metavar="VIDEO@SECONDS")]
    """The moment; VIDEO alone where rows are whole videos. The video as the store names it, or an ending of its path
    that only it has."""
    layer: Layer = None
    top: int = 10
    """How many to find."""
    per_video: int = 1
    """How many of one video at most."""
    spacing: float = 1.0
    """Seconds that hits of one video lie apart at least."""
    center: Literal["all", "video", "none"] = "all"
    """What is taken away before moments are compared: the mean over all rows; that of each row's own video, so that
    background and persons count less than what happens; nothing, and then nothing is scaled either."""
    out: Path | None = None
    """Page (*.html) or table (*.csv)."""
    videos: str | None = None
    """Where the videos are now, to show frames; by default where the manifest of the run says."""
    overwrite: bool = False
    """Replace the file in --out."""
    progress: Progress = True
    json: Json = False


def run(options: Options) -> None:
    """Search, print the table."""
    from seqff.explore import search

    found = search(**call_arguments(options))
    show_result(found, as_json=options.json, written=found.path)
