"""The linear heads of a probe, one per layer: fitted on all labeled rows and saved with the result, to classify new
videos."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save
from scipy.special import softmax

from seqff.errors import RunError
from seqff.files import write_atomically
from seqff.probes.linear import LinearProbe
from seqff.probes.preprocessing import to_numpy
from seqff.untrusted import parse_json, read_plain

HEADS = "heads.safetensors"
FORMAT = "seqff-heads"
FORMAT_VERSION = 1
MOST_BYTES = 2**30
TENSORS = ("kept", "mean", "scale", "weights", "bias")


@dataclass(frozen=True)
class Head:
    """A linear classifier of feature rows, with the scaling it expects.

    Args:
        kept: (D,) bool, the features used; the others were constant in training.
        mean: (D',) float64, subtracted from the kept features.
        scale: (D',) float64, divides the result.
        weights: (D', K) float64.
        bias: (K,) float64.
    """

    kept: NDArray[np.bool_]
    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    weights: NDArray[np.float64]
    bias: NDArray[np.float64]

    def probabilities(self, rows: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return the probability of each class, (m, K), for rows of features, (m, D)."""
        x = (rows[:, self.kept].astype(np.float64) - self.mean) / self.scale
        found: NDArray[np.float64] = softmax(x @ self.weights + self.bias, axis=1)
        return found

    @property
    def fits(self) -> bool:
        """Whether all shapes are consistent and all values finite."""
        wide, classes = int(self.kept.sum()), self.bias.shape
        same = self.mean.shape == self.scale.shape == (wide,) and self.weights.shape == (wide, *classes)
        return same and all(np.isfinite(vars(self)[name]).all() for name in TENSORS[1:])


@dataclass(frozen=True)
class Heads:
    """The heads of a probe.

    Args:
        layers: head of each layer, by name.
        classes: (K,) names.
        accuracy: by layer, the accuracy that the probe measured on held-out videos.
        extraction: settings of the store that the heads were fitted on; see `seqff.features.extract`.
        encoder: run and hash of the encoder.
        videos: content hashes of the videos the heads were fitted on.
    """

    layers: Mapping[str, Head]
    classes: tuple[str, ...]
    accuracy: Mapping[str, float]
    extraction: Mapping[str, Any]
    encoder: Mapping[str, Any]
    videos: frozenset[str]

    def save(self, folder: Path) -> None:
        """Write the heads into a folder.

        Raises:
            WriteError: a file cannot be written.
        """
        tensors = {f"{name}/{key}": value for name, head in self.layers.items() for key, value in vars(head).items()}
        metadata = {
            "format": FORMAT, "format_version": FORMAT_VERSION, "layers": list(self.layers),
            "classes": list(self.classes), "accuracy": dict(self.accuracy), "extraction": dict(self.extraction),
            "encoder": dict(self.encoder), "videos": sorted(self.videos),
        }  # fmt: skip
        write_atomically(folder / HEADS, save(tensors, {"heads": json.dumps(metadata)}))

    @classmethod
    def load(cls, folder: Path) -> Heads:
        """Read the heads of a probe.

        Raises:
            RunError: there are no heads, or the file is damaged.
        """
        file = folder / HEADS
        if not file.is_file():
            why = "probe again to have them made" if (folder / "results.json").exists() else "it is no probe's folder"
            raise RunError(f"{folder} has no {HEADS}: {why}")
        try:
            content = read_plain(file, MOST_BYTES)
            tensors = load(content)
            length = int.from_bytes(content[:8], "little")
            metadata = parse_json(parse_json(content[8 : 8 + length])["__metadata__"]["heads"])
            if (metadata["format"], metadata["format_version"]) != (FORMAT, FORMAT_VERSION):
                raise ValueError(f"format {metadata['format']} {metadata['format_version']}")
            layers = {
                name: Head(*(tensors[f"{name}/{key}"].astype(bool if key == "kept" else np.float64) for key in TENSORS))
                for name in metadata["layers"]
            }
            classes = tuple(map(str, metadata["classes"]))
            if not layers or not all(head.fits and len(head.bias) == len(classes) for head in layers.values()):
                raise ValueError("shapes that do not fit, or values that are not finite")
            accuracy = {str(name): float(metadata["accuracy"][name]) for name in layers}
            extraction, encoder = dict(metadata["extraction"]), dict(metadata["encoder"])
            videos = frozenset(map(str, metadata["videos"]))
        except (OSError, ValueError, KeyError, TypeError, AttributeError, SafetensorError) as error:
            raise RunError(f"{file} cannot be read ({error}); probe again") from error
        return cls(layers, classes, accuracy, extraction, encoder, videos)


def head_of(probe: LinearProbe) -> Head:
    """Convert a fitted probe to a head."""
    scaling, weights = probe.scaling_, to_numpy(probe.weights_).astype(np.float64)
    mean, scale = (to_numpy(part).astype(np.float64) for part in (scaling.mean, scaling.scale))
    return Head(to_numpy(scaling.kept), mean, scale, weights[:-1], weights[-1])
