"""SVG charts whose colors come from the page, for light and dark mode."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from seqff.report.html import Content, Html, join, tag

WIDTH, HEIGHT = 340.0, 210.0
LEFT, RIGHT, TOP, BOTTOM = 42.0, 10.0, 24.0, 32.0
MOST_POINTS = 300
"""Maximum number of points of a line; longer lines are thinned, which is invisible at this size."""


@dataclass(frozen=True)
class Series:
    """A line of a chart.

    Args:
        points: (x, y), sorted by x.
        name: tooltip, shown with the value.
        style: CSS, such as `stroke`.
        dashed: draw a dashed line.
        raw: the points before smoothing, drawn faintly behind.
    """

    points: Sequence[tuple[float, float]]
    name: str
    style: str
    dashed: bool = False
    raw: Sequence[tuple[float, float]] = ()


@dataclass(frozen=True)
class Mark:
    """A value with its interval, at a position on the x axis.

    Args:
        place: position on the x axis, in categories.
        value: the value.
        low: lower end of the interval.
        high: upper end of the interval.
        name: tooltip.
        class_: CSS class of its kind.
    """

    place: float
    value: float
    low: float
    high: float
    name: str
    class_: str


@dataclass(frozen=True)
class Axes:
    """Linear scales from data to drawing coordinates.

    Args:
        x: minimum and maximum x.
        y: minimum and maximum y.
        width: width of the drawing.
        height: height of the drawing.
    """

    x: tuple[float, float]
    y: tuple[float, float]
    width: float = WIDTH
    height: float = HEIGHT

    def across(self, x: float) -> float:
        """Return the horizontal coordinate of an x."""
        low, high = self.x
        return LEFT + (x - low) / ((high - low) or 1) * (self.width - LEFT - RIGHT)

    def up(self, y: float) -> float:
        """Return the vertical coordinate of a y."""
        low, high = self.y
        return self.height - BOTTOM - (y - low) / ((high - low) or 1) * (self.height - TOP - BOTTOM)


def line_chart(title: str, series: Sequence[Series], *, y_to: float | None = None) -> Html:
    """Draw lines over the steps of a training; the y axis starts at 0 or the minimum.

    Args:
        title: title above the chart.
        series: lines to draw; those with fewer than two points are drawn as dots.
        y_to: maximum of the y axis; None for the maximum of the lines.
    """
    values = [y for line in series for _, y in (*line.points, *line.raw)]
    steps = [x for line in series for x, _ in line.points]
    low, high = min([0.0, *values]), max(values) if y_to is None else max([y_to, *values])
    ticks = nice_ticks(low, high)
    axes = Axes((min(steps), max(steps)), (min(low, ticks[0]), max(high, ticks[-1])))
    parts = [_grid(axes, ticks), _steps(axes)]
    parts += [
        tag("polyline", points=_path(axes, thin(x.raw)), class_="line raw", style=x.style) for x in series if x.raw
    ]
    for line in series:
        kept = thin(line.points)
        name = tag("title", f"{line.name}: {kept[-1][1]:.3g} at the end")
        known: dict[str, Content] = {
            "data_name": line.name,
            "data_x": " ".join(f"{x:.0f}" for x, _ in kept),
            "data_y": " ".join(f"{y:.4g}" for _, y in kept),
        }
        if len(kept) < 2:
            x, y = f"{axes.across(kept[0][0]):.1f}", f"{axes.up(kept[0][1]):.1f}"
            parts.append(tag("circle", name, cx=x, cy=y, r=3, style=f"fill:currentColor;{line.style}", **known))
            continue
        dash = "4 3" if line.dashed else None
        path = _path(axes, kept)
        parts.append(
            tag("polyline", name, points=path, class_="line", style=line.style, stroke_dasharray=dash, **known)
        )
    scale: dict[str, Content] = {"data_from": axes.x[0], "data_to": axes.x[1], "data_left": LEFT}
    return _chart(title, axes, parts, data_right=axes.width - RIGHT, tabindex="0", **scale)


def mark_chart(
    title: str, categories: Sequence[str], marks: Sequence[Mark], levels: Sequence[tuple[float, str, str]]
) -> Html:
    """Draw values with their intervals by category, from 0 to 1.

    Args:
        title: title above the chart.
        categories: names along the x axis.
        marks: values to draw.
        levels: horizontal lines: height, name, CSS class.
    """
    width = max(440.0, 46.0 * len(categories))
    axes = Axes((-0.5, len(categories) - 0.5), (0.0, 1.0), width, height=290.0)
    parts = [_grid(axes, [0, 0.2, 0.4, 0.6, 0.8, 1.0])]
    for number, name in enumerate(categories):
        parts.append(tag("text", name, x=f"{axes.across(number):.1f}", y=axes.height - 12, class_="tick middle"))
    for level, name, class_ in levels:
        at = f"{axes.up(level):.1f}"
        parts.append(tag("line", tag("title", name), x1=LEFT, x2=axes.width - RIGHT, y1=at, y2=at, class_=class_))
    for mark in marks:
        x, y = axes.across(mark.place), axes.up(mark.value)
        ends = {"y1": f"{axes.up(mark.low):.1f}", "y2": f"{axes.up(mark.high):.1f}"}
        bar = tag("line", x1=f"{x:.1f}", x2=f"{x:.1f}", **ends)
        dot = tag("circle", cx=f"{x:.1f}", cy=f"{y:.1f}", r=5)
        parts.append(tag("g", tag("title", mark.name), bar, dot, class_=f"mark {mark.class_}"))
    drawing = _chart(title, axes, parts)
    return drawing if width <= 440 else tag("div", drawing, class_="scroll many")


def nice_ticks(low: float, high: float) -> list[float]:
    """Return about four round values that cover low to high, in steps of 1, 2 or 5 times a power of ten."""
    raw = (high - low) / 4 or abs(high) / 4 or 1.0
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(size * power for size in (1, 2, 5, 10) if size * power >= raw * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [number * step for number in range(first, max(last, first + 1) + 1)]


def smooth(points: Sequence[tuple[float, float]]) -> tuple[list[tuple[float, float]], int]:
    """Return the moving average of a line over a fifteenth of its points, and the window; 1 for short lines."""
    half = len(points) // 30
    total = np.concatenate([[0.0], np.cumsum([y for _, y in points])])
    places = np.arange(len(points))
    low, high = np.maximum(places - half, 0), np.minimum(places + half + 1, len(points))
    means = (total[high] - total[low]) / (high - low)
    return [(x, float(mean)) for (x, _), mean in zip(points, means, strict=True)], 2 * half + 1


def thin(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return about `MOST_POINTS` of the points, including the last."""
    every = max(1, len(points) // MOST_POINTS)
    kept = list(points[::every])
    return kept if not points or kept[-1] == points[-1] else [*kept, points[-1]]


def layer_style(number: int, layers: int) -> str:
    """Return the CSS color of a layer: hues by depth, with the lightness set by the page."""
    hue = 190 + 140 * (number / max(layers - 1, 1))
    color = f"hsl({hue:.0f} 65% var(--light))"
    return f"stroke:{color};color:{color}"


def legend(entries: Sequence[tuple[str, str, str]]) -> Html:
    """Return a legend of (name, CSS class, CSS style) entries."""
    keys = [
        tag("span", tag("i", class_=f"swatch {class_}", style=style or None), name, class_="key")
        for name, class_, style in entries
    ]
    return tag("p", join(*keys), class_="legend")


def _grid(axes: Axes, ticks: Sequence[float]) -> Html:
    parts = []
    digits = max(0, -math.floor(math.log10(abs(ticks[1] - ticks[0])) + 1e-9)) if len(ticks) > 1 else 0
    for tick in ticks:
        y = axes.up(tick)
        parts.append(tag("line", x1=LEFT, x2=axes.width - RIGHT, y1=f"{y:.1f}", y2=f"{y:.1f}", class_="grid"))
        label = f"{tick:.{digits}f}" if abs(tick) < 1e5 else f"{tick:.1e}"
        parts.append(tag("text", label, x=LEFT - 6, y=f"{y + 4:.1f}", class_="tick end"))
    return join(*parts)


def _steps(axes: Axes) -> Html:
    low, high = axes.x
    places = [(low, "start"), ((low + high) / 2, "middle"), (high, "end")] if high > low else [(low, "start")]
    marks = []
    for x, anchor in places:
        label = f"step {x:.0f}" if anchor == "start" else f"{x:.0f}"
        marks.append(tag("text", label, x=f"{axes.across(x):.1f}", y=axes.height - 12, class_=f"tick {anchor}"))
    return join(*marks)


def _path(axes: Axes, points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{axes.across(x):.1f},{axes.up(y):.1f}" for x, y in points)


def _chart(title: str, axes: Axes, parts: Sequence[Html], **attributes: Content) -> Html:
    head = tag("text", title, x=LEFT, y=14, class_="title")
    size = f"0 0 {axes.width:.0f} {axes.height:.0f}"
    return tag("svg", head, join(*parts), viewBox=size, class_="chart", role="img", aria_label=title, **attributes)
