"""The metrics of a training on disk: metrics.jsonl, one JSON object per logged step, and the same as a table."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from seqff.errors import RunError
from seqff.files import append, csv_lines, write_atomically, write_csv
from seqff.terminal import align, printable
from seqff.untrusted import open_plain, parse_json

METRICS, TABLE, LOCK = "metrics.jsonl", "metrics.csv", "training.lock"
EVERY_STEP = 2**62
_MOST_LINE = 2**24
CHECKS = {
    "retrieval": "the most similar frame is of the same video",
    "time_order": "nearer in time is more similar",
}
"""Descriptions of the metrics of the check without labels (see `seqff.training.callbacks.check`)."""
COLUMNS: dict[str, tuple[str, ...]] = {
    "loss": ("loss",),
    "within": ("within_tolerance",),
    "d positive": ("positive_distance", "spread_positive"),
    "d same video": ("same_video_distance", "spread_same_video"),
    "d other videos": ("other_video_distance", "spread_other_video"),
    "rank": ("effective_rank",),
    "untrained": ("untrained_effective_rank",),
}
"""Columns of a layer's table, and the metrics that provide them: the first that exists. Objectives without their own
distances use those of normalized embeddings."""
LEGEND = (
    "within: share of positives within the tolerance; d: squared distance of embeddings, of positives and of "
    "negatives; rank: effective rank of the features"
)


class MetricsLog:
    """Writes metrics.jsonl and, under the same names, metrics.csv: one row per line, one column per metric.

    The table is derived from the lines. On resume, lines after the checkpoint are removed and the table is rewritten. A
    metric that first appears later (of a layer that learns later, or an alarm) gets a new column, for which the table
    is also rewritten; cells without a metric are empty.

    Args:
        run: the run folder.
        step: steps already taken; later lines are dropped.

    Attributes:
        kept: existing lines that are kept.
    """

    def __init__(self, run: Path, *, step: int) -> None:
        self.path, self.table = run / METRICS, run / TABLE
        self.kept = read_metrics(self.path, step=step)
        write_atomically(self.path, "".join(json.dumps(line) + "\n" for line in self.kept))
        self.columns = columns_of(self.kept)
        self._write_table(self.kept)

    def write(self, metrics: dict[str, Any]) -> None:
        """Append one line."""
        append(self.path, json.dumps(metrics) + "\n")
        known = len(self.columns)
        self.columns = columns_of([dict.fromkeys(self.columns), metrics])
        if len(self.columns) > known:
            self._write_table(read_metrics(self.path, step=EVERY_STEP))
        else:
            append(self.table, csv_lines([_row(metrics, self.columns)]))

    def _write_table(self, lines: list[dict[str, Any]]) -> None:
        if lines:
            write_csv(self.table, self.columns, [_row(line, self.columns) for line in lines])
        else:  # no columns, no table
            self.table.unlink(missing_ok=True)


def columns_of(lines: Iterable[dict[str, Any]]) -> list[str]:
    """Return the names in some lines, in order of first appearance."""
    return list(dict.fromkeys(name for line in lines for name in line))


def _row(line: dict[str, Any], columns: list[str]) -> list[Any]:
    """Return the cells of a row: empty if there is no metric, alarms joined."""
    cells = [line.get(name, "") for name in columns]
    return [" | ".join(cell) if isinstance(cell, list) else cell for cell in cells]


def read_metrics(path: Path, *, step: int = EVERY_STEP) -> list[dict[str, Any]]:
    """Return the lines of metrics.jsonl up to a step; empty if there is no such file.

    Raises:
        RunError: a line was not written by a training.
    """
    lines: list[dict[str, Any]] = []
    if not path.exists():
        return lines
    with open_plain(path) as file:
        while text := file.readline(_MOST_LINE):
            line = parse_line(text, path)
            if line is None:  # truncated by a kill
                break
            if line["step"] <= step:
                lines.append(line)
    return lines


def parse_line(text: str | bytes, path: Path) -> dict[str, Any] | None:
    """Return a line of metrics.jsonl, or None if it is truncated.

    Raises:
        RunError: the line was not written by a training.
    """
    try:
        line = parse_json(text)
    except ValueError:
        return None
    if not isinstance(line, dict) or type(line.get("step")) is not int or not all(map(_is_metric, line.items())):
        raise RunError(
            f"{path}: a line without a step, or with other than metrics, is not from a training: {text[:80]!r}"
        )
    return line


def _is_metric(cell: tuple[str, Any]) -> bool:
    """Return whether the value is valid for a metric of this name."""
    name, value = cell
    if name == "alarms":
        return isinstance(value, list) and all(isinstance(text, str) for text in value)
    counted = name in ("step", "seconds", "frames") or "/" in name
    return not counted or value is None or isinstance(value, (int, float))


def check_lines(layers: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Describe the check without labels for each layer, compared with the untrained net; empty if there was none."""
    lines = []
    for layer, metrics in layers.items():
        found = [
            f"{title} {metrics[name]:.0%} (untrained {metrics[f'untrained_{name}']:.0%})"
            for name, title in CHECKS.items()
            if name in metrics
        ]
        if found:
            lines.append(f"  {layer}: {', '.join(found)}")
    return ["without labels, on frames held aside:", *lines] if lines else []


def by_layer(metrics: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """Turn `layer/name` -> value into layer -> name -> value."""
    found: dict[str, dict[str, float]] = {}
    for key, value in metrics.items():
        layer, _, name = key.partition("/")
        found.setdefault(layer, {})[name] = value
    return found


def layer_rows(layers: Mapping[str, Mapping[str, float]]) -> list[list[str]]:
    """Return one row of cells per layer, after a header; columns that no layer has are omitted."""
    found = {
        title: [next((metrics[name] for name in names if name in metrics), None) for metrics in layers.values()]
        for title, names in COLUMNS.items()
    }
    shown = {title: values for title, values in found.items() if any(value is not None for value in values)}
    rows = [["layer", *shown]]
    for number, layer in enumerate(layers):
        cells = [values[number] for values in shown.values()]
        rows.append([printable(layer), *("-" if cell is None else f"{cell:.3g}" for cell in cells)])
    return rows


def table(layers: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Return these rows as lines with aligned columns."""
    return align(layer_rows(layers), numbers=True)


def clock(seconds: float) -> str:
    """Format a duration as 1:05 or 2:03:04."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
