"""Compare results in a table and a figure of accuracy by layer; refuses results that are not comparable."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from seqff.display import preformatted
from seqff.errors import RunError
from seqff.files import check_file, in_place, read_csv
from seqff.probes.bootstrap import accuracy_interval
from seqff.probes.results import PREDICTIONS, read_result
from seqff.probes.tables import SEEN, cell, seeds_table, summarize_seeds
from seqff.terminal import align, as_lines

MUST_AGREE = {
    "protocol": "the protocol",
    "video_list_hash": "the videos",
    "labels_hash": "the labels",
    "per": "what a row is (per)",
    "splits_hash": "the splits",
}
FIGURES = (".png", ".svg")


@dataclass(frozen=True)
class Comparison:
    """Several comparable results.

    Args:
        names: names of the results, in the order given.
        results: contents of their results.json.
        differences: by layer name, the accuracy of each result after the first minus that of the first, with its 95 %
            interval over videos; None if the layer or the predictions are missing.
        summary: mean and standard deviation over seeds (see `summarize_seeds`); None unless the results are seeds.
        figure: path of the figure; None if there is none.
    """

    names: tuple[str, ...]
    results: tuple[Mapping[str, Any], ...]
    differences: Mapping[str, tuple[Mapping[str, Any] | None, ...]]
    summary: Mapping[str, Any] | None = None
    figure: Path | None = None

    def to_dict(self) -> dict[str, Any]:
        """All fields as JSON values."""
        results = [{"name": name, **result} for name, result in zip(self.names, self.results, strict=True)]
        return {"results": results, "differences": dict(self.differences), "summary": self.summary}

    def table(self) -> str:
        """One line per layer and one column per result; for seeds, their mean and standard deviation."""
        if self.summary is not None:
            return seeds_table(self.summary)
        first = self.results[0]
        rows = [["layer", *self.names], ["encoder", *(result["encoder_seen"] for result in self.results)]]
        for layer in _layers(self.results):
            found = [_find(result, layer) for result in self.results]
            rows.append([layer, *map(cell, found)])
            rows.append(["  untrained", *(cell(entry and entry["untrained"]) for entry in found)])
            gains = self.differences[layer]
            if any(gains):
                rows.append([f"  less {self.names[0]}", "", *(cell(gain, "+.3f") for gain in gains)])
        rows.append(["pixels", *(cell(result["pixels"]) for result in self.results)])
        rows.append(["majority", *(f"{result['majority']:.3f}" for result in self.results)])
        head = f"accuracy [95 % interval over {first['videos']} videos], {first['split']}"
        states = sorted({result["encoder_seen"] for result in self.results})
        notes = [f"{state}: {SEEN[state]}" for state in states]
        if len(states) > 1:
            notes.append("note: seen and unseen are not the same number; do not rank one against the other")
        return as_lines([head, *align(rows), *notes])

    def _repr_html_(self) -> str:
        """The table as HTML, for notebooks."""
        return preformatted(self.table())


def compare(
    probes: Sequence[str | os.PathLike[str]],
    *,
    names: Sequence[str] | None = None,
    seeds: bool = False,
    out: str | os.PathLike[str] | None = None,
    seed: int = 0,
    overwrite: bool = False,
) -> Comparison:
    """Compare several results.

    Args:
        probes: folders that `probe` wrote, or their results.json.
        names: names of the results; None uses as much of their paths as distinguishes them.
        seeds: treat the results as seeds of the same experiment, and return mean and standard deviation.
        out: file for a figure, *.png or *.svg; None draws none.
        seed: seed of the bootstrap.
        overwrite: replace an existing figure.

    Raises:
        RunError: a result cannot be read, results differ in protocol, videos, labels or splits, or `out` exists.
        ValueError: fewer than two results, names that do not fit, or an unsupported figure format.
    """
    figure = None if out is None else check_file(Path(out), FIGURES, overwrite=overwrite)
    folders = [Path(path).parent if Path(path).suffix == ".json" else Path(path) for path in probes]
    if len(folders) < 2:
        raise ValueError(f"{len(folders)} result given; give two or more to compare")
    if names is not None and (len(names) != len(folders) or len(set(names)) < len(names)):
        raise ValueError(f"{len(names)} names for {len(folders)} results; give each a name of its own")
    results = [read_result(folder) for folder in folders]
    check_comparable(results, folders)
    called = tuple(names or tell_apart(folders))
    if seeds and any(_shape(result) != _shape(results[0]) for result in results):
        raise RunError("the results are not seeds of one thing: their layers or whether videos were seen differ")
    found = Comparison(
        called,
        tuple(results),
        {} if seeds else _differences(results, [folder / PREDICTIONS for folder in folders], seed),
        summarize_seeds(results) if seeds else None,
        figure,
    )
    if figure is not None:
        _draw(found.names, found.results, figure)
    return found


def check_comparable(results: Sequence[Mapping[str, Any]], folders: Sequence[Path]) -> None:
    """Raise RunError, naming the differences, unless all results have the same protocol, videos, labels and splits."""
    for result, folder in zip(results[1:], folders[1:], strict=True):
        wrong = [what for key, what in MUST_AGREE.items() if result.get(key) != results[0].get(key)]
        if wrong:
            raise RunError(
                f"{folders[0]} and {folder} cannot be compared: {', '.join(wrong)} differ"
                f"{'s' if len(wrong) == 1 and wrong[0].startswith(('the protocol', 'what')) else ''}; probe both with "
                "the same labels, groups, folds and seed"
            )


def tell_apart(folders: Sequence[Path]) -> list[str]:
    """Shortest distinct path suffixes, without the trailing parts that all paths share."""
    parts = [folder.resolve().parts for folder in folders]
    if len(set(parts)) < len(parts):
        raise ValueError("the same result is given twice")
    while len({part[-1] for part in parts}) == 1:
        parts = [part[:-1] for part in parts]
    depth = next(n for n in range(1, 1 + max(map(len, parts))) if len({part[-n:] for part in parts}) == len(parts))
    return ["/".join(part[-depth:]) for part in parts]


def _layers(results: Sequence[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(layer["name"] for result in results for layer in result["layers"]))


def _find(result: Mapping[str, Any], name: str) -> Mapping[str, Any] | None:
    return next((layer for layer in result["layers"] if layer["name"] == name), None)


def _shape(result: Mapping[str, Any]) -> tuple[Any, ...]:
    return ([layer["name"] for layer in result["layers"]], result["encoder_seen"])


def _differences(
    results: Sequence[Mapping[str, Any]], files: Sequence[Path], seed: int
) -> dict[str, tuple[dict[str, Any] | None, ...]]:
    """Paired differences from the first result, from the predictions.csv files, which share one row order."""
    tables = [read_csv(file) if file.is_file() else [] for file in files]
    first = tables[0]
    _, video = np.unique([row["video"] for row in first], return_inverse=True)

    def gain(table: Sequence[Mapping[str, str]], layer: str) -> dict[str, Any] | None:
        if not (len(table) == len(first) > 0 and layer in table[0] and layer in first[0]):
            return None
        one, two = (np.array([row[layer] == row["label"] for row in rows], dtype=float) for rows in (first, table))
        hits, rows = (np.bincount(video, weights).astype(np.float64) for weights in (two - one, None))
        return {"accuracy": float((two - one).mean()), "interval": accuracy_interval(hits, rows, seed=seed)}

    return {layer: tuple(gain(table, layer) for table in tables[1:]) for layer in _layers(results)}


def _draw(names: Sequence[str], results: Sequence[Mapping[str, Any]], file: Path) -> None:
    """Draw one line per result, trained solid and untrained dashed, with horizontal lines for pixels and majority."""
    from matplotlib.figure import Figure

    layers = _layers(results)
    figure = Figure(figsize=(1.5 + 1.3 * max(len(layers), 3), 4), layout="constrained")
    axes = figure.subplots()
    for number, (name, result) in enumerate(zip(names, results, strict=True)):
        shift = 0.06 * (number - (len(names) - 1) / 2)  # keep intervals from overlapping
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
