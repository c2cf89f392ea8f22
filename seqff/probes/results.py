"""The result of a probe, in memory and on disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from seqff.display import html_table, import_pandas
from seqff.errors import RunError
from seqff.files import not_there, read_json, write_csv, write_json
from seqff.probes.tables import accuracy_rows, headline, result_table
from seqff.untrusted import check_plain

if TYPE_CHECKING:
    import pandas

RESULTS = "results.json"
PREDICTIONS = "predictions.csv"
MARKER = "results.csv"
"""Written first, so that an incomplete result folder is still recognized as one."""


@dataclass(frozen=True)
class Matched:
    """The same probe on features randomly projected to the narrowest layer's `width`: accuracy and 95 % interval."""

    width: int
    accuracy: float
    interval: tuple[float, float]


@dataclass(frozen=True)
class ArrayResult:
    """The probe of one array of features.

    Args:
        name: name of the array.
        width: number of features per row.
        accuracy: share of rows classified correctly, over all folds.
        interval: 95 % bootstrap interval of the accuracy, over videos.
        mean_class_accuracy: mean over classes of the accuracy in each.
        fold_accuracies: accuracy of each fold.
        matched: the probe at the width of the narrowest layer; None if the array is no wider.
        knn: nearest-neighbor accuracy for each k; None if a fold trains on fewer rows.
        lambdas: penalty chosen in each fold.
        lambda_losses: per fold, the cross-entropy of held-out training rows at each lambda tried, strongest first
            (empty if there were too few groups to choose).
        lambda_scores: per fold, the accuracy on the same rows.
        lambda_at_edge: folds in which the chosen lambda is the first or last of the path and accuracy still rises.
        constant_features: number of features constant in training, maximum over folds.
        unconverged: folds whose final fit did not converge.
        seconds: wall time.
        predicted: (predictions,) class numbers; not written to results.json.
    """

    name: str
    width: int
    accuracy: float
    interval: tuple[float, float]
    mean_class_accuracy: float
    fold_accuracies: tuple[float, ...]
    matched: Matched | None
    knn: Mapping[int, float | None]
    lambdas: tuple[float, ...]
    lambda_losses: tuple[tuple[float, ...], ...]
    lambda_scores: tuple[tuple[float, ...], ...]
    lambda_at_edge: int
    constant_features: int
    unconverged: int
    seconds: float
    predicted: NDArray[np.int64] = field(repr=False, compare=False)

    def to_dict(self) -> dict[str, Any]:
        """All fields but the predictions, as JSON values."""
        values = {key: value for key, value in vars(self).items() if key != "predicted"}
        matched = None if self.matched is None else dict(vars(self.matched))
        return {**values, "matched": matched, "knn": {str(k): value for k, value in self.knn.items()}}


@dataclass(frozen=True)
class Difference:
    """Accuracy of a trained layer minus that of the untrained one, on the same videos, with its 95 % interval."""

    accuracy: float
    interval: tuple[float, float]


@dataclass(frozen=True)
class LayerResult:
    """A trained layer, its untrained version, their difference, and the same layer of other baselines by name."""

    trained: ArrayResult
    untrained: ArrayResult | None = None
    difference: Difference | None = None
    others: Mapping[str, ArrayResult] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The trained layer's fields, with `untrained` and `difference` (null if missing) and the other baselines."""
        untrained = None if self.untrained is None else self.untrained.to_dict()
        difference = None if self.difference is None else dict(vars(self.difference))
        others = {name: result.to_dict() for name, result in self.others.items()}
        return {**self.trained.to_dict(), "untrained": untrained, "difference": difference, **others}


@dataclass(frozen=True)
class ProbeResult:
    """Accuracies of all layers and baselines.

    Args:
        layers: bottom to top.
        pixels: probe of raw pixels, pooled alike; None if the store has none.
        majority: accuracy of always predicting the most frequent class.
        metadata: everything else in results.json: protocol version, classes, folds, counts, hashes, settings.
        videos: one (video, label, group, fold) per prediction.
        path: folder of the result; None if it was not written.
    """

    layers: tuple[LayerResult, ...]
    pixels: ArrayResult | None
    majority: float
    metadata: Mapping[str, Any]
    videos: tuple[tuple[str, str, str, str], ...] = field(repr=False)
    path: Path | None = None

    def to_dict(self) -> dict[str, Any]:
        """The content of results.json."""
        return {
            "protocol": self.metadata["protocol"],
            "layers": [layer.to_dict() for layer in self.layers],
            "pixels": None if self.pixels is None else self.pixels.to_dict(),
            "majority": self.majority,
            **{key: value for key, value in self.metadata.items() if key != "protocol"},
        }

    def arrays(self) -> list[ArrayResult]:
        """All probed arrays: each layer, followed by the same layer of the baselines, and pixels last."""
        probes = [probe for layer in self.layers for probe in (layer.trained, layer.untrained, *layer.others.values())]
        return [probe for probe in [*probes, self.pixels] if probe is not None]

    def rows(self) -> tuple[list[str], list[tuple[Any, ...]]]:
        """The content of results.csv: the header, and one row per probe; None where a value is missing."""
        ks = [f"knn{k}" for k in self.arrays()[0].knn]
        own = ["name", "width", "accuracy", "low", "high", "mean_class_accuracy"]
        paired = ["difference", "difference_low", "difference_high", "matched_width", "matched_accuracy"]
        difference = {layer.trained.name: layer.difference for layer in self.layers}
        rows: list[tuple[Any, ...]] = []
        for probe in self.arrays():
            gain, matched = difference.get(probe.name), probe.matched
            ends = (None, None, None) if gain is None else (gain.accuracy, *gain.interval)
            narrow = (None, None) if matched is None else (matched.width, matched.accuracy)
            figures = (probe.accuracy, *probe.interval, probe.mean_class_accuracy)
            rows.append((probe.name, probe.width, *figures, *ends, *narrow, *probe.knn.values()))
        rows.append(("majority", 0, self.majority, *[None] * (8 + len(ks))))
        seen = self.metadata["encoder_seen"]
        return [*own, *paired, *ks, "encoder_seen"], [(*row, seen) for row in rows]

    def to_frame(self) -> pandas.DataFrame:
        """Return the content of results.csv as a pandas DataFrame.

        Returns:
            One row per probe; columns "name", "accuracy", "low" and "high" (95 % interval), "difference", ...

        Raises:
            RunError: pandas is not installed.
        """
        columns, rows = self.rows()
        return import_pandas().DataFrame(rows, columns=columns)

    def __repr__(self) -> str:
        layers = ", ".join(f"{layer.trained.name} {layer.trained.accuracy:.3f}" for layer in self.layers)
        return f"ProbeResult({layers}; majority {self.majority:.3f})"

    def _repr_html_(self) -> str:
        """The accuracies as an HTML table, for notebooks."""
        result = self.to_dict()
        return html_table(headline(result), accuracy_rows(result), result["warnings"])

    def table(self) -> str:
        """The accuracies as plain text, one line per layer, below the data and split and above the warnings."""
        return result_table(self.to_dict())


def read_result(folder: Path) -> dict[str, Any]:
    """Read results.json from a folder.

    Raises:
        RunError: the file is missing, damaged or not a probe result.
    """
    if not (folder / RESULTS).is_file():
        raise RunError(f"{not_there(folder, RESULTS)}; give a folder that `seqff probe --out` wrote")
    check_plain(folder)
    result = read_json(folder / RESULTS)
    if "protocol" not in result or not result.get("layers"):
        raise RunError(f"{folder / RESULTS} is not a result of `seqff probe`")
    return result


def write_result(result: ProbeResult, out: Path) -> None:
    """Write results.csv, predictions.csv and, last, results.json into an existing folder."""
    arrays = result.arrays()
    write_csv(out / MARKER, *result.rows())
    classes = result.metadata["classes"]
    named = [[classes[number] for number in probe.predicted] for probe in arrays]
    columns = ("video", "label", "group", "fold", *(probe.name for probe in arrays))
    lines = ((*video, *answers) for video, *answers in zip(result.videos, *named, strict=True))
    write_csv(out / PREDICTIONS, columns, lines)
    write_json(out / RESULTS, result.to_dict())
