"""Ethogram: clusters over time as SVG, one row per video and one color per cluster."""

from __future__ import annotations

import colorsys
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from seqff.report.html import Html, join, tag

WIDTH, LABELS, TOP, BOTTOM = 1000.0, 230.0, 6.0, 34.0
MOST_ROWS = 300
"""Maximum number of videos drawn; the table has all."""
NAMED_ROWS, CLOSE_ROWS = 40, 150
"""Up to these numbers of videos, rows are labeled in normal or small text; beyond, only folders are."""
MOST_LETTERS = 34
LETTERS = 11.0
"""Height of a line of text, px."""
COLORS = (
    "#1f77b4", "#e8891c", "#2f9e44", "#d6336c", "#7950f2", "#b08900", "#0fa3a3", "#c05ec9", "#7a9a1c", "#a0522d",
    "#4dabf7", "#f06595",
)  # fmt: skip
NONE = "#9aa3ae"
"""Color of moments without a cluster."""
STYLE = (
    ".ethogram{background:#fff;color:#1c2330;font-family:sans-serif}.ethogram text{fill:currentColor}"
    "@media screen and (prefers-color-scheme:dark){.ethogram{background:#14181f;color:#e6eaf0}}"
)


@dataclass(frozen=True)
class Segment:
    """A part of a video within one cluster; 0 means none."""

    video: str
    start_seconds: float
    stop_seconds: float
    cluster: int


def color_of(cluster: int) -> str:
    """Return the color of a cluster: the first ones have fixed colors, later ones hues around the color wheel."""
    if cluster <= len(COLORS):
        return COLORS[cluster - 1] if cluster > 0 else NONE
    turn = (cluster * 0.618034) % 1
    red, green, blue = colorsys.hls_to_rgb(turn, 0.42 if cluster % 2 else 0.62, 0.6)
    return f"#{round(255 * red):02x}{round(255 * green):02x}{round(255 * blue):02x}"


def ethogram(segments: Mapping[str, Sequence[Segment]]) -> Html:
    """Draw the segments of videos.

    Args:
        segments: by path of the video, sorted by time; only the first `MOST_ROWS` videos are drawn.

    Returns:
        An SVG, usable as a file or as part of a page.
    """
    drawn = list(segments.items())[:MOST_ROWS]
    high = 16.0 if len(drawn) <= NAMED_ROWS else 11.0 if len(drawn) <= CLOSE_ROWS else 6.0
    longest = max((parts[-1].stop_seconds for _, parts in drawn if parts), default=0.0) or 1.0
    scale = (WIDTH - LABELS - 10) / longest
    rows = [_row(name, parts, TOP + number * high, high, scale) for number, (name, parts) in enumerate(drawn)]
    bottom = TOP + len(drawn) * high
    height = bottom + BOTTOM
    return tag(
        "svg",
        tag("style", Html(STYLE)),
        *rows,
        *(_folders([name for name, _ in drawn], high) if high < LETTERS else ()),
        _axis(longest, scale, bottom),
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {WIDTH:.0f} {height:.0f}",
        class_="ethogram",
        role="img",
        aria_label="which cluster each video is in over time",
    )


def _row(name: str, parts: Sequence[Segment], top: float, high: float, scale: float) -> Html:
    bars, height = [], f"{high - (2 if high > LETTERS else 1):.1f}"
    for part in parts:
        cluster = f"cluster {part.cluster}" if part.cluster else "in no cluster"
        title = tag("title", f"{part.video}, {part.start_seconds:.2f} to {part.stop_seconds:.2f} s: {cluster}")
        x = f"{LABELS + part.start_seconds * scale:.2f}"
        width = f"{max((part.stop_seconds - part.start_seconds) * scale, 0.3):.2f}"
        bars.append(tag("rect", title, x=x, y=f"{top:.1f}", width=width, height=height, fill=color_of(part.cluster)))
    if high < LETTERS:
        return join(*bars)
    short = name if len(name) <= MOST_LETTERS else f"\u2026{name[1 - MOST_LETTERS :]}"
    return join(_label(short, name, top + high / 2, min(12.0, high - 1)), *bars)


def _label(short: str, name: str, middle: float, size: float) -> Html:
    place = {"x": f"{LABELS - 8:.0f}", "y": f"{middle + size / 3 - 0.5:.1f}"}
    return tag("text", short, tag("title", name), **place, font_size=f"{size:.0f}", text_anchor="end")


def _folders(names: Sequence[str], high: float) -> list[Html]:
    """Label folders at the middle of their rows, where there is space."""
    labels, top = [], TOP
    for folder, members in itertools.groupby(names, lambda name: name.rpartition("/")[0]):
        tall = high * len(list(members))
        if folder and tall >= LETTERS:
            labels.append(_label(folder[:MOST_LETTERS], folder, top + tall / 2, 12.0))
        top += tall
    return labels


def _axis(longest: float, scale: float, bottom: float) -> Html:
    round_steps = (base * 10.0**power for power in range(-3, 9) for base in (1, 2, 5))
    step = next(step for step in round_steps if longest / step <= 10)
    marks = [step * number for number in range(int(longest / step) + 1)]
    lines = [
        tag("line", x1=f"{LABELS + at * scale:.1f}", x2=f"{LABELS + at * scale:.1f}", y1=f"{bottom:.1f}",
            y2=f"{bottom + 5:.1f}", stroke=NONE)
        for at in marks
    ]  # fmt: skip
    words = [
        tag("text", f"{at:g} s", x=f"{LABELS + at * scale:.1f}", y=f"{bottom + 19:.1f}", text_anchor="middle",
            font_size=12)
        for at in marks
    ]  # fmt: skip
    return join(*lines, *words)
