"""`seqff search`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from seqff.cli.arguments import Features, Json, Layer, Progress, call_arguments, show_result


@dataclass(frozen=True)
class Options:
    """Find the moments of other videos that are most similar to a given one.

    Reads:  a feature store of `seqff extract --per frame` (or clip); with one row per video, it finds videos.

    Writes: a page that shows the frames, or a table, if --out ends in .html or .csv; prints the table.
            Moments are compared by cosine, after features have been centered and scaled to variance 1.

    Example: seqff search features/frames --like walk/daria.avi@1.5 --out like.html
    """

    features: Features
    like: Annotated[str, tyro.conf.arg(metavar="VIDEO@SECONDS")]
    """The moment; VIDEO alone if rows are whole videos. The video's path in the store, or a unique suffix."""
    layer: Layer = None
    top: int = 10
    """Number of hits."""
    per_video: int = 1
    """Maximum number of hits per video."""
    spacing: float = 1.0
    """Minimum distance between hits of one video, seconds."""
    center: Literal["all", "video", "none"] = "all"
    """Mean that is subtracted before the comparison: over all rows; over each row's own video, so that background and
    persons count less than actions; or none (then features are not scaled either)."""
    out: Path | None = None
    """Page (*.html) or table (*.csv)."""
    videos: str | None = None
    """Location of the videos, to show frames; by default from the manifest of the run."""
    overwrite: bool = False
    """Replace an existing file."""
    progress: Progress = True
    json: Json = False


def run(options: Options) -> None:
    """Search, and print the table."""
    from seqff.explore import search

    found = search(**call_arguments(options))
    show_result(found, as_json=options.json, written=found.path)
