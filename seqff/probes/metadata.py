"""Metadata of a result: counts, splits, hashes and warnings."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from seqff.probes.cautions import forgotten_groups, nothing_learned, too_little, untrained_network
from seqff.probes.data import LEAK, PIXELS, WITHIN, Places, ProbeData
from seqff.probes.results import ArrayResult
from seqff.version import __version__

GIVEN = "given in Python"
"""Recorded in place of labels and groups that were given as a mapping."""
EXTRACTION = (
    "per", "grid", "every", "every_seconds", "clip_frames", "clip_stride", "statistics", "dtype", "baselines",
    "network",
)  # fmt: skip
"""Extraction settings that the features depend on."""


def metadata_of(data: ProbeData, found: Mapping[str, ArrayResult]) -> dict[str, Any]:
    """Collect everything in results.json except the accuracies."""
    store = data.stores[0]
    encoders = [other.meta.get("encoder") or {} for other in data.stores]
    labelled = sorted(set(zip(data.video.tolist(), data.name.tolist(), strict=True)))
    videos = sorted({place for place, _ in labelled})
    notes = [LEAK] if data.config.leaks else [WITHIN] if data.config.split_frames else []
    notes += untrained_network(store.meta.get("network"))
    return {
        "version": __version__,
        "per": store.per,
        "videos": len(videos),
        "rows": len(data.rows),
        "unlabelled_rows": len(store) - len(data.rows),
        "groups": len({data.groups[place] for place in videos}),
        "classes": list(data.classes),
        "label_column": data.config.column,
        "videos_per_class": dict(sorted(Counter(name for _, name in labelled).items())),
        "split": describe_split(data),
        "folds": [
            {"name": fold.name, "train": _videos_in(data, fold.train), "test": _videos_in(data, fold.test)}
            for fold in data.folds
        ],
        "encoder_seen": seen_over_folds(data),
        "seed": data.config.seed,
        "lambdas": list(data.lambdas),
        "narrowest": data.narrowest,
        "encoder_hash": _one_or_all([encoder.get("hash") for encoder in encoders]),
        "untrained_hash": _one_or_all([encoder.get("untrained_hash") for encoder in encoders]),
        "transform_hash": _one_or_all([other.meta.get("transform_hash") for other in data.stores]),
        "video_list_hash": digest(map("\0".join, zip(data.paths, data.hashes, strict=True))),
        "labels_hash": _labels_hash(data),
        "splits_hash": _splits_hash(data),
        "arguments": arguments_of(data),
        "extraction": {key: store.meta[key] for key in EXTRACTION if key in store.meta},
        "seconds": round(sum(result.seconds for result in found.values()), 3),
        "warnings": notes + cautions_of(data, found) + warnings_of(found, len(data.folds)),
    }


def arguments_of(data: ProbeData) -> dict[str, Any]:
    """Return the arguments of `seqff probe` that were given, by the names of its flags."""
    config = data.config

    def named(source: Any) -> str | None:
        return None if source is None else GIVEN if isinstance(source, Mapping) else os.fspath(source)

    asked = {
        "labels": named(config.labels),
        "column": config.column if config.column != "label" else None,
        "groups": named(config.groups),
        "splits": named(config.splits),
        "folds": config.folds,
        "split_frames": config.split_frames,
        "allow_leak": config.allow_leak,
    }
    return {key: value for key, value in asked.items() if value}


def majority_accuracy(data: ProbeData) -> float:
    """Accuracy of always predicting the most frequent class."""
    return float(np.bincount(data.label[data.tested]).max() / len(data.tested))


def describe_split(data: ProbeData) -> str:
    """Describe how the rows were split."""
    folds, config = len(data.folds), data.config
    if config.leaks:
        return f"{folds} folds of frames at random"
    if config.split_frames is not None:
        return f"inside videos: frames {config.split_frames} train, all others test"
    if config.splits is not None:
        return f"{folds} official split{'s' if folds > 1 else ''}"
    videos = np.unique(data.video)
    groups = len({data.groups[place] for place in videos})
    unit = "video" if groups == len(videos) else "group"
    return f"leave one {unit} out ({folds} folds)" if folds == groups else f"{folds} folds by {unit}"


def seen_over_folds(data: ProbeData) -> str:
    """Whether each fold's encoder was trained on the fold's test videos; see `seen`."""
    states = set()
    for number, fold in enumerate(data.folds):
        hashes = [data.hashes[place] for place in np.unique(data.video[fold.test])]
        states.add(seen(hashes, data.stores[number % len(data.stores)].trained_on))
    return states.pop() if len(states) == 1 else "unknown" if "unknown" in states else "mixed"


def seen(hashes: Sequence[str], trained_on: frozenset[str] | None) -> str:
    """Whether the encoder was trained on the test videos: "seen", "unseen", "mixed", or "unknown"."""
    if trained_on is None:
        return "unknown"
    known = sum(content in trained_on for content in hashes)
    return "unseen" if known == 0 else "seen" if known == len(hashes) else "mixed"


def cautions_of(data: ProbeData, found: Mapping[str, ArrayResult]) -> list[str]:
    """Warn about too few videos, layers that learned nothing, and groups that were probably forgotten."""
    config = data.config
    pairs = sorted(set(zip(data.video.tolist(), data.name.tolist(), strict=True)))
    layers = {name: result for name, result in found.items() if name != PIXELS and "/" not in name}
    untrained = {name: found[f"untrained/{name}"] for name in layers if f"untrained/{name}" in found}
    notes = nothing_learned(layers, untrained, majority_accuracy(data))
    if config.within_videos:
        return notes
    names = [name for _, name in pairs]
    notes = too_little(Counter(names), len({place for place, _ in pairs})) + notes
    if config.groups is None and config.splits is None:
        notes += forgotten_groups([data.paths[place] for place, _ in pairs], names)
    return notes


def warnings_of(found: Mapping[str, ArrayResult], folds: int) -> list[str]:
    """Warn about constant features, lambdas at the edge of the path, and fits that did not converge."""
    notes = []
    for name, result in found.items():
        if result.constant_features == result.width:
            notes.append(f"{name}: all {result.width} features are constant; the layer has collapsed")
        elif not all(result.lambda_scores):
            notes.append(f"{name}: too few groups in training to choose lambda; the middle of the path was used")
        if result.lambda_at_edge:
            notes.append(f"{name}: best lambda at the end of its path in {result.lambda_at_edge} of {folds} folds")
        if result.unconverged:
            notes.append(f"{name}: {result.unconverged} of {folds} fits stopped before they converged")
    return notes


def digest(lines: Iterable[str]) -> str:
    """A short digest of a list of strings."""
    return hashlib.sha256("\n".join(lines).encode(errors="surrogateescape")).hexdigest()[:16]


def _videos_in(data: ProbeData, rows: Places) -> int:
    return len(np.unique(data.video[rows]))


def _one_or_all(values: Sequence[Any]) -> Any:
    """The value that all folds share, ignoring folds without one; else a list with one value per fold."""
    known = set(values) - {None}
    return next(iter(known), None) if len(known) < 2 else list(values)


def _labels_hash(data: ProbeData) -> str:
    """Digest of each labeled row and its label; of each video and its label if whole videos are labeled."""
    index = data.stores[0].index
    names: dict[int, set[str]] = {}
    for place, name in zip(data.video.tolist(), data.name.tolist(), strict=True):
        names.setdefault(place, set()).add(name)
    if len(data.rows) == len(index) and all(len(found) == 1 for found in names.values()):
        return digest(f"{data.paths[place]}\0{names[place].pop()}" for place in sorted(names))
    rows = zip(data.rows.tolist(), data.name.tolist(), strict=True)
    return digest(f"{index.video[row]}\0{index.frame[row]}\0{name}" for row, name in rows)


def _splits_hash(data: ProbeData) -> str:
    """Digest of each video's group and of the folds that train and test it."""
    folds = data.video_folds
    names: dict[tuple[str, int], list[str]] = {}
    for side in ("train", "test"):
        members = [(place, fold.name) for fold in folds for place in getattr(fold, side).tolist()]
        for place, fold in members:
            names.setdefault((side, place), []).append(fold)
    if data.config.within_videos:
        return digest(f"{fold.name}\0{','.join(map(str, fold.test))}" for fold in data.folds)
    lines = []
    for place, (path, group) in enumerate(zip(data.paths, data.groups, strict=True)):
        trained, tested = (",".join(names.get((side, place), [])) for side in ("train", "test"))
        # With generated folds, the test videos of a fold determine its training videos.
        lines.append("\0".join([path, group, tested] + ([trained] if data.config.splits is not None else [])))
    return digest(lines)
