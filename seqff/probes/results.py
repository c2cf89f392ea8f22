"""What a probe found, as data, as files and as a table for people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqff.files import write_csv, write_json

RESULTS = "results.json"
MARKER = "results.csv"
"""Written first, so that a folder of results can be told from others even if it is incomplete."""

SEEN = {
    "seen": "videos seen in training (without labels)",
    "unseen": "videos unseen in training",
    "mixed": "some of the videos seen in training",
    "unknown": "not known whether the videos were seen in training",
}


@dataclass(frozen=True)
class ArrayResult:
    """The probe of one array of features.

    Args:
        name: of the array.
        width: features a row.
        accuracy: share of rows classified right, all folds together, each row tested once.
        interval: 95 % bootstrap interval of the accuracy over videos.
        mean_class_accuracy: mean over classes of the accuracy in each.
        lambdas: penalty chosen in each fold.
        lambda_losses: per fold, the cross-entropy of held-out training rows at each lambda
            (empty: nothing to choose on).
        lambda_scores: per fold, the accuracy on the same rows.
        lambda_at_edge: folds in which the chosen lambda is the first or last of the path and accuracy still rises.
        constant_features: most features that did not vary in training, over folds.
        unconverged: folds whose final fit hit the limit of iterations.
        seconds: wall time.
        predicted: (rows,) class numbers; not written to results.json.
    """

    name: str
    width: int
    accuracy: float
    interval: tuple[float, float]
    mean_class_accuracy: float
    lambdas: tuple[float, ...]
    lambda_losses: tuple[tuple[float, ...], ...]
    lambda_scores: tuple[tuple[float, ...], ...]
    lambda_at_edge: int
    constant_features: int
    unconverged: int
    seconds: float
    predicted: NDArray[np.int64] = field(repr=False, compare=False)

    def to_dict(self) -> dict[str, Any]:
        """All but the predictions, as JSON takes it."""
        return {key: value for key, value in vars(self).items() if key != "predicted"}


@dataclass(frozen=True)
class Difference:
    """Accuracy of a layer minus that of the same layer untrained, over the same videos, with its 95 % interval."""

    accuracy: float
    interval: tuple[float, float]


@dataclass(frozen=True)
class LayerResult:
    """A trained layer, the same layer before training, and the difference."""

    trained: ArrayResult
    untrained: ArrayResult | None = None
    difference: Difference | None = None

    def to_dict(self) -> dict[str, Any]:
        """The trained layer's entries, with `untrained` and `difference` inside (null where there is none)."""
        untrained = None if self.untrained is None else self.untrained.to_dict()
        difference = None if self.difference is None else dict(vars(self.difference))
        return {**self.trained.to_dict(), "untrained": untrained, "difference": difference}


@dataclass(frozen=True)
class ProbeResult:
    """Accuracies of all layers and of the baselines beside them.

    Args:
        layers: bottom to top.
        pixels: raw pixels at the same descriptor; None where the store has none.
        majority: accuracy of always naming the most frequent class.
        facts: protocol version, classes, folds, counts, hashes, settings: everything else of results.json.
        videos: one row a row of the store: video, label, group, fold.
        path: folder of the result; None if it was not written.
    """

    layers: tuple[LayerResult, ...]
    pixels: ArrayResult | None
    majority: float
    facts: Mapping[str, Any]
    videos: tuple[tuple[str, str, str, str], ...] = field(repr=False)
    path: Path | None = None

    def to_dict(self) -> dict[str, Any]:
        """The content of results.json."""
        return {
            "protocol": self.facts["protocol"],
            "layers": [layer.to_dict() for layer in self.layers],
            "pixels": None if self.pixels is None else self.pixels.to_dict(),
            "majority": self.majority,
            **{key: value for key, value in self.facts.items() if key != "protocol"},
        }

    def arrays(self) -> list[ArrayResult]:
        """Every probe made: each layer followed by its untrained twin, pixels last."""
        probes = [probe for layer in self.layers for probe in (layer.trained, layer.untrained)]
        return [probe for probe in [*probes, self.pixels] if probe is not None]

    def table(self) -> str:
        """The accuracies as plain text, one line a layer, with what they rest on above and warnings below."""
        facts = self.facts
        rows = [("layer", "trained", "untrained", "difference")]
        for layer in self.layers:
            difference = "" if layer.difference is None else _cell(layer.difference, "+.3f")
            untrained = "" if layer.untrained is None else _cell(layer.untrained)
            rows.append((layer.trained.name, _cell(layer.trained), untrained, difference))
        if self.pixels is not None:
            rows.append(("pixels", _cell(self.pixels), "", ""))
        rows.append(("majority", f"{self.majority:.3f}", "", ""))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        head = (
            f"accuracy [95 % interval over {facts['videos']} videos], {len(facts['classes'])} classes, "
            f"{facts['split']}, {SEEN[facts['encoder_seen']]}"
        )
        return "\n".join([head, *lines, *(f"note: {warning}" for warning in facts["warnings"])])


def write_result(result: ProbeResult, out: Path) -> None:
    """Write results.csv, predictions.csv and, last, results.json into an existing folder."""
    header = ("name", "width", "accuracy", "low", "high", "mean_class_accuracy")
    difference = {layer.trained.name: layer.difference for layer in result.layers if layer.difference is not None}
    rows: list[tuple[Any, ...]] = []
    for probe in result.arrays():
        paired = difference.get(probe.name)
        ends: tuple[Any, ...] = ("", "", "") if paired is None else (paired.accuracy, *paired.interval)
        rows.append((probe.name, probe.width, probe.accuracy, *probe.interval, probe.mean_class_accuracy, *ends))
    rows.append(("majority", 0, result.majority, "", "", "", "", "", ""))
    write_csv(out / MARKER, (*header, "difference", "difference_low", "difference_high"), rows)
    classes = result.facts["classes"]
    named = [[classes[number] for number in probe.predicted] for probe in result.arrays()]
    columns = ("video", "label", "group", "fold", *(probe.name for probe in result.arrays()))
    lines = ((*video, *answers) for video, *answers in zip(result.videos, *named, strict=True))
    write_csv(out / "predictions.csv", columns, lines)
    write_json(out / RESULTS, result.to_dict())


def _cell(value: ArrayResult | Difference, form: str = ".3f") -> str:
    low, high = value.interval
    return f"{value.accuracy:{form}} [{low:{form}}, {high:{form}}]"
