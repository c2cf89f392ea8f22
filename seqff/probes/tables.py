"""Results as plain text for people; made from the content of results.json, fresh or read back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from seqff.terminal import as_lines, printable

SEEN = {
    "seen": "videos seen in training (without labels)",
    "unseen": "videos unseen in training",
    "mixed": "some of the videos seen in training",
    "unknown": "not known whether the videos were seen in training",
}
OTHERS = ("end_to_end", "supervised")
"""Baselines that are encoders of their own, each a column where there is one."""


def result_table(result: Mapping[str, Any]) -> str:
    """One line a layer, with what the numbers rest on above, the narrow and neighbour probes and warnings below.

    Args:
        result: content of results.json.
    """
    notes = [f"note: {warning}" for warning in result["warnings"]]
    return as_lines([headline(result), *align(accuracy_rows(result)), *_narrow(result), *_neighbours(result), *notes])


def headline(result: Mapping[str, Any]) -> str:
    """Say what the numbers rest on."""
    return (
        f"accuracy [95 % interval over {result['videos']} videos], {len(result['classes'])} classes, "
        f"{result['split']}, {SEEN[result['encoder_seen']]}"
    )


def accuracy_rows(result: Mapping[str, Any]) -> list[Sequence[str]]:
    """Return headings and a row of cells a layer, then pixels and the majority class, whose rows are short."""
    layers, pixels = result["layers"], result["pixels"]
    others = [name for name in OTHERS if any(name in layer for layer in layers)]
    rows: list[Sequence[str]] = [("layer", "trained", "untrained", "difference", *others)]
    for layer in layers:
        more = [cell(layer.get(name)) for name in others]
        rows.append((layer["name"], cell(layer), cell(layer["untrained"]), cell(layer["difference"], "+.3f"), *more))
    if pixels is not None:
        rows.append(("pixels", cell(pixels)))
    return [*rows, ("majority", f"{result['majority']:.3f}")]


def align(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table whose columns stand below each other; rows may be short."""
    count = max(map(len, rows))
    full = [[*map(printable, row), *[""] * (count - len(row))] for row in rows]
    widths = [max(map(len, column)) for column in zip(*full, strict=True)]
    return ["  ".join(entry.ljust(width) for entry, width in zip(row, widths, strict=True)).rstrip() for row in full]


def cell(value: Mapping[str, Any] | None, form: str = ".3f") -> str:
    """An accuracy with its interval; nothing for None."""
    if value is None:
        return ""
    low, high = value["interval"]
    return f"{value['accuracy']:{form}} [{low:{form}}, {high:{form}}]"


def _narrow(result: Mapping[str, Any]) -> list[str]:
    """The layers at one width; a layer that has it already stands as it is."""
    layers = result["layers"]
    if not any(layer["matched"] for layer in layers):
        return []
    rows = [("layer", "trained", "untrained")]
    for layer in layers:
        untrained = layer["untrained"]
        other = None if untrained is None else untrained["matched"] or untrained
        rows.append((layer["name"], cell(layer["matched"] or layer), cell(other)))
    head = f"all at the narrowest layer's width, {result['narrowest']} features, by random projection"
    return ["", head, *align(rows)]


def _neighbours(result: Mapping[str, Any]) -> list[str]:
    """The nearest neighbours, every k."""
    probes = [probe for layer in result["layers"] for probe in (layer, layer["untrained"])]
    shown = [probe for probe in [*probes, result["pixels"]] if probe is not None]
    ks = list(shown[0]["knn"])
    rows = [("features", *(f"k = {k}" for k in ks))]
    for probe in shown:
        votes = probe["knn"].values()
        rows.append((probe["name"], *("-" if value is None else f"{value:.3f}" for value in votes)))
    return ["", "nearest neighbours by cosine (-: fewer rows to train on)", *align(rows)]
