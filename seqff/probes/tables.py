"""Results as plain text, for one result or the mean over seeds, from the content of results.json."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from seqff.terminal import align, as_lines

SEEN = {
    "seen": "videos seen in training (without labels)",
    "unseen": "videos unseen in training",
    "mixed": "some of the videos seen in training",
    "unknown": "not known whether the videos were seen in training",
}
OTHERS = ("end_to_end", "supervised")
"""Baselines that are trained encoders; each has a column if the result contains it."""


def result_table(result: Mapping[str, Any]) -> str:
    """Format a results.json: data and split, one line per layer, the narrow and neighbor probes, and warnings."""
    notes = [f"note: {warning}" for warning in result["warnings"]]
    return as_lines([headline(result), *align(accuracy_rows(result)), *_narrow(result), *_neighbors(result), *notes])


def headline(result: Mapping[str, Any]) -> str:
    """Describe the data and the split behind the numbers."""
    return (
        f"accuracy [95 % interval over {result['videos']} videos], {len(result['classes'])} classes, "
        f"{result['split']}, {SEEN[result['encoder_seen']]}"
    )


def accuracy_rows(result: Mapping[str, Any]) -> list[Sequence[str]]:
    """Return the header and one row of cells per layer, then shorter rows for pixels and the majority class."""
    layers, pixels = result["layers"], result["pixels"]
    others = [name for name in OTHERS if any(name in layer for layer in layers)]
    rows: list[Sequence[str]] = [("layer", "trained", "untrained", "difference", *others)]
    for layer in layers:
        more = [cell(layer.get(name)) for name in others]
        rows.append((layer["name"], cell(layer), cell(layer["untrained"]), cell(layer["difference"], "+.3f"), *more))
    if pixels is not None:
        rows.append(("pixels", cell(pixels)))
    return [*rows, ("majority", f"{result['majority']:.3f}")]


def summarize_seeds(results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Mean and standard deviation (sample; None for a single result) over results that differ only by seed.

    `layers` holds {"mean", "sd"} of trained, untrained, difference, end_to_end and supervised, where present.
    """
    layers = []
    for place, layer in enumerate(results[0]["layers"]):
        same = [result["layers"][place] for result in results]
        entry: dict[str, Any] = {"name": layer["name"], "trained": _spread([one["accuracy"] for one in same])}
        for other in ("untrained", "difference", *OTHERS):
            if all(one.get(other) is not None for one in same):
                entry[other] = _spread([one[other]["accuracy"] for one in same])
        layers.append(entry)
    pixels = [result["pixels"]["accuracy"] for result in results if result["pixels"] is not None]
    first = results[0]
    return {
        "seeds": len(results),
        "layers": layers,
        "pixels": _spread(pixels) if len(pixels) == len(results) else None,
        "majority": first["majority"],
        **{name: first[name] for name in ("protocol", "encoder_seen", "split", "videos")},
    }


def seeds_table(summary: Mapping[str, Any]) -> str:
    """Format the return value of `summarize_seeds`, one line per layer, as mean ± standard deviation."""
    columns = ["trained", "untrained", "difference", *OTHERS]
    shown = [name for name in columns if any(name in layer for layer in summary["layers"])]
    rows = [["layer", *shown]]
    for layer in summary["layers"]:
        forms = ["+.3f" if name == "difference" else ".3f" for name in shown]
        rows.append(
            [layer["name"], *(_spread_cell(layer.get(name), form) for name, form in zip(shown, forms, strict=True))]
        )
    if summary["pixels"] is not None:
        rows.append(["pixels", _spread_cell(summary["pixels"], ".3f")])
    rows.append(["majority", f"{summary['majority']:.3f}"])
    head = (
        f"accuracy, mean ± standard deviation over {summary['seeds']} seeds, {summary['videos']} videos, "
        f"{summary['split']}, {SEEN[summary['encoder_seen']]}"
    )
    return as_lines([head, *align(rows)])


def cell(value: Mapping[str, Any] | None, form: str = ".3f") -> str:
    """An accuracy with its interval; empty for None."""
    if value is None:
        return ""
    low, high = value["interval"]
    return f"{value['accuracy']:{form}} [{low:{form}}, {high:{form}}]"


def _narrow(result: Mapping[str, Any]) -> list[str]:
    """The layers projected to one width; layers that already have it show their own accuracy."""
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


def _neighbors(result: Mapping[str, Any]) -> list[str]:
    """The nearest-neighbor accuracies, for every k."""
    probes = [probe for layer in result["layers"] for probe in (layer, layer["untrained"])]
    shown = [probe for probe in [*probes, result["pixels"]] if probe is not None]
    ks = list(shown[0]["knn"])
    rows = [("features", *(f"k = {k}" for k in ks))]
    for probe in shown:
        votes = probe["knn"].values()
        rows.append((probe["name"], *("-" if value is None else f"{value:.3f}" for value in votes)))
    return ["", "nearest neighbors by cosine (-: fewer rows to train on)", *align(rows)]


def _spread(values: Sequence[float]) -> dict[str, float | None]:
    sd = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return {"mean": float(np.mean(values)), "sd": sd}


def _spread_cell(value: Mapping[str, float | None] | None, form: str) -> str:
    if value is None:
        return ""
    mean, sd = value["mean"], value["sd"]
    return f"{mean:{form}}" if sd is None else f"{mean:{form}} ± {sd:.3f}"
