"""Health of the layers: metrics over the training steps, and alarms."""

from __future__ import annotations

from collections.abc import Sequence

from seqff.metrics import CHECKS
from seqff.objectives.registry import parse_terms
from seqff.report.charts import Series, layer_style, legend, line_chart, smooth
from seqff.report.data import ReportData
from seqff.report.html import Content, Html, Section, absent, absent_figure, figure, join, table, tag
from seqff.terminal import counted
from seqff.training.monitors import ROWS, UNTRAINED

POSITIVE, SAME, OTHER = "positive_distance", "same_video_distance", "other_video_distance"
SPREAD = {POSITIVE: "spread_positive", SAME: "spread_same_video", OTHER: "spread_other_video"}


def health(data: ReportData) -> Section:
    """Show losses, shares within tolerance, distances, ranks and dead units of each layer, alarms first."""
    question = "Is each layer healthy?"
    if not data.metrics:
        body = absent_figure("figure-loss", "metrics.jsonl is absent or empty.", "Figures over the steps")
        return Section("health", "health", question, "Unknown: the run has no metrics.", body)
    alarms = [
        tag("li", tag("b", f"Step {line['step']}: "), str(words))
        for line in data.metrics
        for words in line.get("alarms", ())
    ]
    many = len(data.layers)
    names = legend([(name, "rule", layer_style(number, many)) for number, name in enumerate(data.layers)])
    body = join(
        tag("ul", *alarms, class_="alarms") if alarms else None,
        _checked(data),
        tag("p", words) if (words := term_words(data)) else None,
        names,
        tag("div", *_figures(data), class_="grid two"),
        _distances(data),
        tag("h3", "At the end"),
        _table(data),
    )
    return Section("health", "health", question, _answer(data, len(alarms)), body)


def _answer(data: ReportData, alarms: int) -> str:
    step = data.metrics[-1]["step"]
    if alarms:
        return f"{counted(alarms, 'alarm')} in {step} steps; see below."
    if any(data.series(layer, "effective_rank") for layer in data.layers):
        return f"No alarm was raised in {step} steps: no layer collapsed, died, or had a tolerance that does nothing."
    return f"Nobody looked: monitors were off (monitor_every), so in {step} steps no alarm could be raised."


def _checked(data: ReportData) -> Html | None:
    """Show the last check without labels, compared with the untrained net; None if there was none."""
    rows = []
    for layer in data.layers:
        cells = [layer]
        for name in CHECKS:
            for key in (name, UNTRAINED + name):
                series = data.series(layer, key)
                cells.append(f"{series[-1][1]:.0%}" if series else "")
        rows.append(cells)
    if not any(cell for cells in rows for cell in cells[1:]):
        return None
    heads = ["layer", *(head for title in CHECKS.values() for head in (title, "untrained"))]
    words = "On frames held aside: how often the frame most like a given one, neighbors in time left out, is of the "
    words += "same video, and how often of two frames of a video the one nearer in time is the more similar one."
    found = [
        check_words(title, [(row[0], row[2 * number + 1], row[2 * number + 2]) for row in rows])
        for number, title in enumerate(CHECKS.values())
    ]
    title = tag("h3", "Without labels")
    return tag(
        "div", title, *(tag("p", line) for line in found if line), table(heads, rows), tag("p", words, class_="note")
    )


def check_words(title: str, rows: Sequence[tuple[str, str, str]]) -> str:
    """Describe for which layers a check without labels was better or worse than for the untrained layer.

    Args:
        title: what was checked, as a sentence: "nearer in time is more similar".
        rows: layer, its share and that of the untrained layer, as displayed ("88%"); empty if unknown.
    """
    known = [(name, float(now.rstrip("%")) - float(then.rstrip("%"))) for name, now, then in rows if now and then]
    if not known:
        return ""
    kinds = {
        "more often than untrained": [name for name, gain in known if gain > 0],
        "as often": [name for name, gain in known if gain == 0],
        "less often": [name for name, gain in known if gain < 0],
    }
    parts = [f"{kind} in {', '.join(names)}" for kind, names in kinds.items() if names]
    return f"{title[0].upper()}{title[1:]}: {'; '.join(parts)}."


def term_words(data: ReportData) -> str:
    """Describe how much each term contributes to the final loss of each layer; empty if there is only one term."""
    objective = data.config.get("objective")
    try:
        weights = parse_terms(tuple(objective["terms"]), len(data.layers)) if isinstance(objective, dict) else []
    except (AttributeError, KeyError, TypeError, ValueError):  # a damaged run, or one of an earlier version
        return ""
    shares: dict[str, list[str]] = {}
    for layer, of_layer in zip(data.layers, weights, strict=bool(weights)):
        last = {name: data.series(layer, f"{name}_loss")[-1:] for name in of_layer}
        parts = {name: of_layer[name] * points[0][1] for name, points in last.items() if points}
        total = sum(parts.values())
        for name, part in parts.items() if total > 0 else ():
            shares.setdefault(f"{name} (weight {of_layer[name]:g})", []).append(f"{part / total:.0%} of {layer}")
    listed = [f"{name} is {', '.join(found)}" for name, found in shares.items()]
    return f"What each term adds to the loss at the end: {'; '.join(listed)}." if listed else ""


def _figures(data: ReportData) -> list[Html]:
    return [
        _over_steps(data, "figure-loss", "loss", "loss", "The loss of each layer, by its own objective", smoothed=True),
        _over_steps(
            data,
            "figure-within",
            "within_tolerance",
            "positives within tolerance",
            "Share of the positives that are nearer than the layer's tolerance. Near 0 the tolerance asks for too "
            "much, near 1 it asks for nothing.",
            y_to=1.0,
            why="This objective has no tolerance, or the run is not trained with one.",
        ),
        _over_steps(
            data,
            "figure-rank",
            "effective_rank",
            "effective rank",
            f"In how many directions the features vary, by {ROWS} rows of a batch (so at most {ROWS - 1}); dashed: "
            "the same layer untrained, on the same input. Falling to 1 is a collapse.",
        ),
        _over_steps(
            data,
            "figure-dead",
            "dead_units",
            "dead channels",
            "Share of the channels that are the same at every place of every frame; dashed: untrained.",
            y_to=0.1,
        ),
    ]


def _over_steps(
    data: ReportData,
    id_: str,
    name: str,
    title: str,
    caption: str,
    *,
    y_to: float | None = None,
    why: str = "",
    smoothed: bool = False,
) -> Html:
    """Draw one metric of all layers, with that of the untrained layers dashed if it was logged."""
    series, many, widest = [], len(data.layers), 1
    for number, layer in enumerate(data.layers):
        for prefix, dashed in (("", False), (UNTRAINED, True)):
            points = data.series(layer, prefix + name)
            if points:
                line, over = smooth(points) if smoothed else (points, 1)
                words, widest = f"{layer}{', untrained' if dashed else ''}", max(widest, over)
                raw = points if over > 1 else ()
                series.append(Series(line, words, layer_style(number, many), dashed, raw))
    if not series:
        why = why or "Not noted: the monitors were off (monitor_every = 0), or the run is of an older seqff."
        return figure(id_, absent(why), f"{title}: absent")
    if smoothed:
        caption += f"; the mean of {widest} logged steps before what was logged." if widest > 1 else "."
    return figure(id_, line_chart(title, series, y_to=y_to), caption)


def _distances(data: ReportData) -> Html:
    """Draw the distances of positives and negatives, one chart per layer."""
    lines = {
        POSITIVE: ("positives", "positive"),
        SAME: ("negatives, same video", "same"),
        OTHER: ("negatives, other videos", "other"),
    }
    charts = []
    for layer in data.layers:
        names = {name: name if data.series(layer, name) else SPREAD[name] for name in lines}
        series = [
            Series(data.series(layer, names[name]), f"{layer}, {words}", f"stroke:var(--{class_})")
            for name, (words, class_) in lines.items()
            if data.series(layer, names[name])
        ]
        for name in ("tolerance", "margin"):
            points = data.series(layer, name)
            if any(y for _, y in points) and series:  # 0 if the objective has none
                series.append(Series(points, f"{layer}, {name}", "stroke:var(--ink)", dashed=True))
        charts += [line_chart(layer, series)] if series else []
    caption = (
        "d, the squared distance between embeddings, of positives and of negatives. Positives should come to lie "
        "below the negatives; dashed are the tolerance (lower) and the margin of the negatives (upper), where the "
        "objective has them. Objectives without distances of their own are shown as unit vectors (0 to 4)."
    )
    if not charts:
        return absent_figure("figure-distances", "No distances were noted.", "d of positives and negatives")
    keys = legend(
        [(words, "rule", f"color:var(--{class_})") for words, class_ in lines.values()]
        + [("tolerance, margin", "rule dashed", "")]
    )
    return figure(
        "figure-distances",
        join(tag("h3", "Distances of positives and negatives"), keys, tag("div", *charts, class_="grid")),
        caption,
    )


def _table(data: ReportData) -> Html:
    columns = {
        "loss": "loss",
        "effective rank": "effective_rank",
        "untrained": UNTRAINED + "effective_rank",
        "dead channels": "dead_units",
        "within tolerance": "within_tolerance",
        "tolerance": "tolerance",
        "d positives": POSITIVE,
        "d same video": SAME,
        "d other videos": OTHER,
    }
    shown = {title: name for title, name in columns.items() if any(data.series(x, name) for x in data.layers)}
    rows: list[list[Content]] = []
    for layer in data.layers:
        last = [data.series(layer, name)[-1:] for name in shown.values()]
        rows.append([layer, *(f"{points[0][1]:.3g}" if points else None for points in last)])
    return table(["layer", *shown], rows)
