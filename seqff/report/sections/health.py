"""Is each layer healthy? Figures over the steps of the training, and its alarms."""

from __future__ import annotations

from seqff.metrics import CHECKS
from seqff.report.charts import Series, layer_style, legend, line_chart
from seqff.report.html import Content, Html, absent, figure, join, table, tag
from seqff.report.material import Material
from seqff.report.sections.base import Section
from seqff.training.monitors import ROWS, UNTRAINED

POSITIVE, SAME, OTHER = "positive_distance", "same_video_distance", "other_video_distance"
SPREAD = {POSITIVE: "spread_positive", SAME: "spread_same_video", OTHER: "spread_other_video"}


def health(material: Material) -> Section:
    """Show losses, shares within tolerance, distances, ranks and dead units of every layer, alarms first."""
    question = "Is each layer healthy?"
    if not material.metrics:
        body = figure("figure-loss", absent("metrics.jsonl is absent or empty."), "Figures over the steps: absent.")
        return Section("health", "health", question, "Unknown: the run has no metrics.", body)
    many = len(material.layers)
    names = legend([(name, "rule", layer_style(number, many)) for number, name in enumerate(material.layers)])
    body = join(
        _alarms(material),
        _checked(material),
        names,
        tag("div", *_figures(material), class_="grid two"),
        _distances(material),
        tag("h3", "At the end"),
        _table(material),
    )
    return Section("health", "health", question, _answer(material), body)


def alarms_of(material: Material) -> list[tuple[int, str]]:
    """Return (step, sentence) of every alarm the training raised."""
    return [(line["step"], str(words)) for line in material.metrics for words in line.get("alarms", ())]


def _answer(material: Material) -> str:
    step, found = material.metrics[-1]["step"], alarms_of(material)
    looked = any(material.series(layer, "effective_rank") for layer in material.layers)
    if not found:
        return (
            f"No alarm was raised in {step} steps: no layer collapsed, died, or had a tolerance that does nothing."
            if looked
            else f"Nobody looked: monitors were off (monitor_every), so in {step} steps no alarm could be raised."
        )
    return f"{len(found)} alarm{'s' if len(found) > 1 else ''} in {step} steps; see below."


def _alarms(material: Material) -> Html | None:
    found = alarms_of(material)
    if not found:
        return None
    return tag("ul", *(tag("li", tag("b", f"Step {step}: "), words) for step, words in found), class_="alarms")


def _checked(material: Material) -> Html | None:
    """Show the last check without labels, beside the untrained net; nothing where there was none."""
    rows = []
    for layer in material.layers:
        cells = [layer]
        for name in CHECKS:
            for key in (name, UNTRAINED + name):
                series = material.series(layer, key)
                cells.append(f"{series[-1][1]:.0%}" if series else "")
        rows.append(cells)
    if not any(cell for cells in rows for cell in cells[1:]):
        return None
    heads = ["layer", *(head for title in CHECKS.values() for head in (title, "untrained"))]
    words = "Without labels, on frames held aside: how often the frame most like a given one, neighbors in time left "
    words += "out, is of the same video, and of two frames of a video the one nearer in time is the more similar one."
    return join(tag("p", words), table(heads, rows))


def _figures(material: Material) -> list[Html]:
    return [
        _over_steps(material, "figure-loss", "loss", "loss", "The loss of each layer, by its own objective."),
        _over_steps(
            material,
            "figure-within",
            "within_tolerance",
            "positives within tolerance",
            "Share of the positives that are nearer than the layer's tolerance. Near 0 the tolerance asks for too "
            "much, near 1 it asks for nothing.",
            y_to=1.0,
            why="This objective has no tolerance, or the run is not trained with one.",
        ),
        _over_steps(
            material,
            "figure-rank",
            "effective_rank",
            "effective rank",
            f"In how many directions the features vary, by {ROWS} rows of a batch (so at most {ROWS - 1}); dashed: "
            "the same layer untrained, on the same input. Falling to 1 is a collapse.",
        ),
        _over_steps(
            material,
            "figure-dead",
            "dead_units",
            "dead channels",
            "Share of the channels that are the same at every place of every frame; dashed: untrained.",
            y_to=0.1,
        ),
    ]


def _over_steps(
    material: Material, id_: str, name: str, title: str, caption: str, *, y_to: float | None = None, why: str = ""
) -> Html:
    """Draw one figure of all layers, with that of the untrained layers dashed where it was noted."""
    series, many = [], len(material.layers)
    for number, layer in enumerate(material.layers):
        for prefix, dashed in (("", False), (UNTRAINED, True)):
            points = material.series(layer, prefix + name)
            words = f"{layer}{', untrained' if dashed else ''}: {points[-1][1]:.3g} at the end" if points else ""
            series += [Series(points, words, layer_style(number, many), dashed)] if points else []
    if not series:
        why = why or "Not noted: the monitors were off (monitor_every = 0), or the run is of an older seqff."
        return figure(id_, absent(why), f"{title}: absent")
    return figure(id_, line_chart(title, series, y_to=y_to), caption)


def _distances(material: Material) -> Html:
    """Draw how far apart positives and negatives are, a chart a layer."""
    lines = {
        POSITIVE: ("positives", "positive"),
        SAME: ("negatives, same video", "same"),
        OTHER: ("negatives, other videos", "other"),
    }
    charts = []
    for layer in material.layers:
        names = {name: name if material.series(layer, name) else SPREAD[name] for name in lines}
        series = [
            Series(material.series(layer, names[name]), f"{layer}, {words}", f"stroke:var(--{class_})")
            for name, (words, class_) in lines.items()
            if material.series(layer, names[name])
        ]
        for name in ("tolerance", "margin"):
            points = material.series(layer, name)
            if any(y for _, y in points) and series:  # 0 where the objective has none
                words = f"{layer}, {name}: {points[-1][1]:.3g}"
                series.append(Series(points, words, "stroke:var(--ink)", dashed=True))
        charts += [line_chart(layer, series)] if series else []
    caption = (
        "d, the squared distance between embeddings, of positives and of negatives. Positives should come to lie "
        "below the negatives; dashed are the tolerance (lower) and the margin of the negatives (upper), where the "
        "objective has them. Objectives without distances of their own are shown as unit vectors (0 to 4)."
    )
    if not charts:
        return figure("figure-distances", absent("No distances were noted."), "d of positives and negatives: absent.")
    keys = legend(
        [(words, "rule", f"color:var(--{class_})") for words, class_ in lines.values()]
        + [("tolerance, margin", "rule dashed", "")]
    )
    return figure(
        "figure-distances",
        join(tag("h3", "Distances of positives and negatives"), keys, tag("div", *charts, class_="grid")),
        caption,
    )


def _table(material: Material) -> Html:
    columns = {
        "loss": "loss",
        "within tolerance": "within_tolerance",
        "tolerance": "tolerance",
        "d positives": POSITIVE,
        "d same video": SAME,
        "d other videos": OTHER,
        "effective rank": "effective_rank",
        "untrained": UNTRAINED + "effective_rank",
        "dead channels": "dead_units",
    }
    shown = {title: name for title, name in columns.items() if any(material.series(x, name) for x in material.layers)}
    rows: list[list[Content]] = []
    for layer in material.layers:
        last = [material.series(layer, name)[-1:] for name in shown.values()]
        rows.append([layer, *(f"{points[0][1]:.3g}" if points else None for points in last)])
    return table(["layer", *shown], rows)
