"""Several seeds of one thing: mean and standard deviation of every accuracy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from seqff.probes.tables import OTHERS, SEEN, align
from seqff.terminal import as_lines

Result = Mapping[str, Any]
"""Content of a results.json."""


def summarise_seeds(results: Sequence[Result]) -> dict[str, Any]:
    """Mean and standard deviation over results that differ by seed alone.

    Args:
        results: contents of results.json, made by the same protocol on the same labels and splits (see `compare`).

    Returns:
        `seeds`, how many; `layers`, for each its name and, for trained, untrained, difference, end_to_end and
        supervised where they are there, {"mean", "sd"}; `pixels`, `majority`, `encoder_seen`, `split`, `videos`. The
        standard deviation is that of the sample (divided by n - 1); null for one seed.
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
    """What `summarise_seeds` found, one line a layer, as mean ± standard deviation."""
    columns = ["trained", "untrained", "difference", *OTHERS]
    shown = [name for name in columns if any(name in layer for layer in summary["layers"])]
    rows = [["layer", *shown]]
    for layer in summary["layers"]:
        forms = ["+.3f" if name == "difference" else ".3f" for name in shown]
        rows.append([layer["name"], *(_cell(layer.get(name), form) for name, form in zip(shown, forms, strict=True))])
    if summary["pixels"] is not None:
        rows.append(["pixels", _cell(summary["pixels"], ".3f")])
    rows.append(["majority", f"{summary['majority']:.3f}"])
    head = (
        f"accuracy, mean ± standard deviation over {summary['seeds']} seeds, {summary['videos']} videos, "
        f"{summary['split']}, {SEEN[summary['encoder_seen']]}"
    )
    return as_lines([head, *align(rows)])


def _spread(values: Sequence[float]) -> dict[str, float | None]:
    sd = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return {"mean": float(np.mean(values)), "sd": sd}


def _cell(value: Mapping[str, float | None] | None, form: str) -> str:
    if value is None:
        return ""
    mean, sd = value["mean"], value["sd"]
    return f"{mean:{form}}" if sd is None else f"{mean:{form}} ± {sd:.3f}"
