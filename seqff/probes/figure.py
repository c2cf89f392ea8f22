"""Accuracy over layers as a figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from seqff.errors import RunError
from seqff.files import in_place

KINDS = (".png", ".svg")


def check_figure(file: Path, *, overwrite: bool) -> Path:
    """Return the file if a figure may be written there.

    Raises:
        ValueError: it is no *.png or *.svg.
        RunError: it exists.
    """
    if file.suffix.lower() not in KINDS:
        raise ValueError(f"{file}: a figure is a file that ends in {' or '.join(KINDS)}")
    if file.exists() and not overwrite:
        raise RunError(f"{file} exists; overwrite replaces it, or choose another file")
    return file


def draw(names: Sequence[str], results: Sequence[Mapping[str, Any]], file: Path) -> None:
    """Draw a line a result, trained solid and untrained dashed, with pixels and majority across.

    Args:
        names: of the results.
        results: contents of results.json.
        file: *.png or *.svg.
    """
    from matplotlib.figure import Figure

    layers = list(dict.fromkeys(layer["name"] for result in results for layer in result["layers"]))
    figure = Figure(figsize=(1.5 + 1.3 * max(len(layers), 3), 4), layout="constrained")
    axes = figure.subplots()
    for number, (name, result) in enumerate(zip(names, results, strict=True)):
        shift = 0.06 * (number - (len(names) - 1) / 2)  # intervals beside each other, not on top
        untrained = {layer["name"]: layer["untrained"] for layer in result["layers"] if layer["untrained"]}
        _line(axes, layers, {layer["name"]: layer for layer in result["layers"]}, shift, f"C{number}", "-", name)
        _line(axes, layers, untrained, shift, f"C{number}", "--", f"{name}, untrained")
    pixels = next((result["pixels"]["accuracy"] for result in results if result["pixels"]), None)
    if pixels is not None:
        axes.axhline(pixels, color="grey", linestyle=":", label="pixels")
    axes.axhline(results[0]["majority"], color="lightgrey", label="majority")
    axes.set_xticks(range(len(layers)), layers)
    axes.set_ylabel("accuracy")
    axes.set_ylim(0, 1)
    axes.legend(fontsize="small")
    with in_place(file) as partial:
        figure.savefig(partial, format=file.suffix[1:].lower(), dpi=150)


def _line(
    axes: Any,
    layers: Sequence[str],
    found: Mapping[str, Mapping[str, Any]],
    shift: float,
    color: str,
    style: str,
    label: str,
) -> None:
    if not found:
        return
    place = [number for number, name in enumerate(layers) if name in found]
    entries = [found[layers[number]] for number in place]
    accuracy = np.array([entry["accuracy"] for entry in entries])
    low, high = np.array([entry["interval"] for entry in entries]).T
    options = {"color": color, "linestyle": style, "capsize": 2, "label": label, "linewidth": 1.2}
    axes.errorbar(np.array(place) + shift, accuracy, yerr=np.stack([accuracy - low, high - accuracy]), **options)
