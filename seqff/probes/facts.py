"""What a result rests on: counts, splits, hashes, and what to be wary of."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from seqff.probes.results import ArrayResult
from seqff.probes.task import Task
from seqff.version import __version__


def facts_of(task: Task, found: Mapping[str, ArrayResult]) -> dict[str, Any]:
    """Gather everything of results.json but the accuracies."""
    store, folds = task.store, task.folds
    encoder = store.meta.get("encoder") or {}
    fold_names = task.fold_names()
    return {
        "version": __version__,
        "per": store.per,
        "videos": len(task.paths),
        "rows": len(task.row_video),
        "groups": len(set(task.groups)),
        "classes": list(task.classes),
        "videos_per_class": dict(sorted(Counter(task.labels).items())),
        "split": describe_split(task),
        "folds": [{"name": fold.name, "train": len(fold.train), "test": len(fold.test)} for fold in folds],
        "encoder_seen": seen(task.hashes, store.trained_on),
        "seed": task.seed,
        "lambdas": list(task.lambdas),
        "encoder_hash": encoder.get("hash"),
        "untrained_hash": encoder.get("untrained_hash"),
        "transform_hash": store.meta.get("transform_hash"),
        "video_list_hash": digest(map("\0".join, zip(task.paths, task.hashes, strict=True))),
        "labels_hash": digest(map("\0".join, zip(task.paths, task.labels, strict=True))),
        "splits_hash": digest(map("\0".join, zip(task.paths, task.groups, fold_names, strict=True))),
        "seconds": round(sum(result.seconds for result in found.values()), 3),
        "warnings": warnings_of(found, len(folds)),
    }


def majority_accuracy(task: Task) -> float:
    """Share of the rows that are of the most frequent class."""
    return float(np.bincount(task.row_label).max() / len(task.row_label))


def describe_split(task: Task) -> str:
    """Say in words how the videos were split."""
    groups = len(set(task.groups))
    unit = "video" if groups == len(task.paths) else "group"
    folds = len(task.folds)
    return f"leave one {unit} out ({folds} folds)" if folds == groups else f"{folds} folds by {unit}"


def seen(hashes: Sequence[str], trained_on: frozenset[str] | None) -> str:
    """Whether the encoder was trained on the tested videos: "seen", "unseen", "mixed", or "unknown"."""
    if trained_on is None:
        return "unknown"
    known = sum(content in trained_on for content in hashes)
    return "unseen" if known == 0 else "seen" if known == len(hashes) else "mixed"


def warnings_of(found: Mapping[str, ArrayResult], folds: int) -> list[str]:
    """Name what a reader of the accuracies should know."""
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
    """A short digest of a list of texts."""
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]
