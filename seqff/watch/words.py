"""The progress of a run as lines for people."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping

from seqff.metrics import check_lines
from seqff.terminal import as_lines, printable
from seqff.watch.progress import Progress

COLUMNS: dict[str, tuple[str, ...]] = {
    "loss": ("loss",),
    "within": ("within_tolerance",),
    "d positive": ("positive_distance", "spread_positive"),
    "d same video": ("same_video_distance", "spread_same_video"),
    "d other videos": ("other_video_distance", "spread_other_video"),
    "rank": ("effective_rank",),
    "untrained": ("untrained_effective_rank",),
}
"""What is shown of a layer, and under which names it is noted: the first that is there. Objectives without distances
of their own have those of embeddings as unit vectors."""
LEGEND = (
    "within: share of positives within the tolerance; d: squared distance of embeddings, of positives and of "
    "negatives; rank: effective rank of the features"
)


def describe(now: Progress, *, width: int = 100) -> str:
    """Return what `seqff watch` prints.

    Args:
        now: the progress.
        width: columns; what is longer is wrapped, but for the table and the command.
    """
    lines = textwrap.wrap(headline(now), width)
    if now.layers:
        lines += ["", *table(now.layers), *textwrap.wrap(f"{LEGEND}, beside that of the untrained layer", width)]
    checked = check_lines(now.layers)
    if checked:
        lines += ["", *checked]
    if now.alarms:
        lines += ["", "alarms:"]
        for step, text in now.alarms:
            lines += textwrap.wrap(f"step {step}: {text}", width, initial_indent="  ", subsequent_indent="    ")
    return as_lines([*lines, *_next(now)])


def headline(now: Progress) -> str:
    """Say in a line where the run stands."""
    share = f"step {now.step}" + (f" of {now.steps} ({now.step / now.steps:.0%})" if now.steps else "")
    speed = "" if now.frames_per_second is None else f", {now.frames_per_second:.0f} frames/s"
    left = "" if now.seconds_left is None else f", {clock(now.seconds_left)} left"
    saved = "no checkpoint yet" if now.checkpoint is None else f"last checkpoint: step {now.checkpoint}"
    if now.state == "starting":
        return f"{now.run}: starting, no step has been logged yet"
    if now.state == "finished":
        return f"{now.run}: finished, {now.step} steps{speed}"
    if now.state == "stopped":
        return f"{now.run}: stopped at {share} - killed, interrupted or failed; {saved}"
    return f"{now.run}: running, {share}{speed}{left}; {saved}"


def table(layers: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Return a line a layer, and one of headings; what no layer has is left out."""
    found = {
        title: [next((figures[name] for name in names if name in figures), None) for figures in layers.values()]
        for title, names in COLUMNS.items()
    }
    shown = {title: values for title, values in found.items() if any(value is not None for value in values)}
    rows = [["layer", *shown]]
    for number, layer in enumerate(layers):
        cells = [values[number] for values in shown.values()]
        rows.append([printable(layer), *("-" if cell is None else f"{cell:.3g}" for cell in cells)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for first, *rest in rows:
        aligned = [first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True))]
        lines.append("  ".join(aligned).rstrip())
    return lines


def clock(seconds: float) -> str:
    """Write a time as 1:05 or 2:03:04."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _next(now: Progress) -> list[str]:
    if now.state == "finished":
        return ["", f"next: seqff extract {now.run} VIDEOS --out FEATURES"]
    if now.state != "stopped":
        return []
    again = now.step - (now.checkpoint or 0)
    lost = f"; the {again} steps logged since are taken again" if again > 0 else ""
    begin = "from the start" if now.checkpoint is None else f"from step {now.checkpoint}"
    return ["", f"It goes on {begin}{lost}, by", f"next: {now.command}"]
