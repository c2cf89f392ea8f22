"""Protocol v1: from a feature store to accuracies one can trust, with the baselines beside them."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from seqff.devices import choose_device
from seqff.errors import RunError
from seqff.features import FeatureStore
from seqff.files import check_folder, claim_folder
from seqff.probes.bootstrap import accuracy_interval
from seqff.probes.facts import facts_of, majority_accuracy
from seqff.probes.linear import LinearOutcome, linear_probe
from seqff.probes.results import MARKER, ArrayResult, Difference, LayerResult, ProbeResult, write_result
from seqff.probes.task import Task, make_task

PROTOCOL = "v1"
UNTRAINED = "untrained/"
PIXELS = "pixels"


def probe(
    features: str | os.PathLike[str] | FeatureStore,
    *,
    labels: str | os.PathLike[str] | Mapping[str, str],
    groups: str | os.PathLike[str] | Mapping[str, str] | None = None,
    out: str | os.PathLike[str] | None,
    folds: int | None = None,
    seed: int = 0,
    device: str = "auto",
    overwrite: bool = False,
    progress: bool = True,
) -> ProbeResult:
    """Measure how well a linear classifier reads labels off each layer, by protocol v1 (design: evaluation.md).

    Every array of the store is probed on the same splits by whole videos and groups; lambda is chosen inside each
    training part; each video is tested once. Stores with a row a frame are probed frame by frame, still split by video
    and with the video as the unit of the intervals.

    Args:
        features: a feature store or its folder.
        labels: "folder" (first folder of each video's path), a CSV file `video,label`, or a mapping.
        groups: "folder" (innermost folder), a CSV file `video,group`, a regular expression for the file name, or a
            mapping; None makes each video its own group.
        out: folder for results.json, results.csv and predictions.csv; None writes nothing.
        folds: None leaves one group out for up to 20 groups, and makes 5 folds for more.
        seed: of the folds, the inner splits and the bootstrap; the same seed gives the same numbers.
        device: "auto", "cpu" or "cuda", as every command takes it; the solver runs on the CPU all the same.
        overwrite: replace a probe that is there.
        progress: show a bar where stderr is a terminal.

    Raises:
        LabelError: labels or groups do not fit the videos.
        RunError: no such store, features that are not finite, or `out` exists.
        ValueError: a wrong `folds` or `device`.
    """
    choose_device(device)  # for its errors only
    if out is not None:
        check_folder(Path(out), marker=MARKER, overwrite=overwrite)
    store = features if isinstance(features, FeatureStore) else FeatureStore.open(features)
    task = make_task(store, labels=labels, groups=groups, folds=folds, seed=seed)
    found = _probe_all(task, progress=progress)
    layers, pixels = _pair(task, found)
    fold_names = task.fold_names()
    rows = tuple((task.paths[v], task.labels[v], task.groups[v], fold_names[v]) for v in task.row_video)
    facts = {"protocol": PROTOCOL, **facts_of(task, found)}
    result = ProbeResult(layers, pixels, majority_accuracy(task), facts, rows)
    if out is not None:
        claim_folder(Path(out), marker=MARKER, overwrite=overwrite)
        write_result(result, Path(out))
        result = replace(result, path=Path(out))
    return result


def _probe_all(task: Task, *, progress: bool) -> dict[str, ArrayResult]:
    names = task.store.names
    bar = tqdm(total=len(names) * len(task.folds), desc="probe", unit="fit", disable=None if progress else True)
    with bar:
        return {name: _probe_array(task, name, bar) for name in names}


def _probe_array(task: Task, name: str, bar: tqdm[Any]) -> ArrayResult:
    started = time.perf_counter()
    features = task.store.to_numpy(name)
    finite = np.isfinite(features).all(axis=1)
    if not finite.all():
        video = task.store.index.video[int(np.argmin(finite))]
        raise RunError(f"{name} of {task.store.path} is not finite at {video}; the network diverged in training")
    labels, groups = task.row_label, task.row_group
    predicted = np.full(len(labels), -1, dtype=np.int64)
    outcomes: list[LinearOutcome] = []
    for number, fold in enumerate(task.folds):
        tested = np.isin(task.row_video, fold.test)
        # The same inner splits for every array, so that layers differ by their features alone.
        rng = np.random.default_rng([task.seed, 1, number])
        train, answers, units = features[~tested], labels[~tested], groups[~tested]
        outcome = linear_probe(train, answers, units, features[tested], rng=rng, lambdas=task.lambdas)
        predicted[tested] = outcome.predicted
        outcomes.append(outcome)
        bar.update()
    return _summarise(task, name, features.shape[1], predicted, outcomes, time.perf_counter() - started)


def _summarise(
    task: Task,
    name: str,
    width: int,
    predicted: NDArray[np.int64],
    outcomes: Sequence[LinearOutcome],
    seconds: float,
) -> ArrayResult:
    labels = task.row_label
    right = predicted == labels
    hits, rows = task.by_video(right), task.by_video(np.ones(len(labels)))
    choices = [outcome.choice for outcome in outcomes]
    return ArrayResult(
        name=name,
        width=width,
        accuracy=float(right.mean()),
        interval=accuracy_interval(hits, rows, seed=task.seed),
        mean_class_accuracy=float(np.mean([right[labels == number].mean() for number in range(len(task.classes))])),
        lambdas=tuple(outcome.lambda_ for outcome in outcomes),
        lambda_losses=tuple(() if choice is None else choice.losses for choice in choices),
        lambda_scores=tuple(() if choice is None else choice.scores for choice in choices),
        lambda_at_edge=sum(choice is not None and choice.at_edge for choice in choices),
        constant_features=max(outcome.constant for outcome in outcomes),
        unconverged=sum(not outcome.converged for outcome in outcomes),
        seconds=round(seconds, 3),
        predicted=predicted,
    )


def _pair(task: Task, found: Mapping[str, ArrayResult]) -> tuple[tuple[LayerResult, ...], ArrayResult | None]:
    """Put each layer beside its untrained twin."""
    labels = task.row_label
    rows = task.by_video(np.ones(len(labels)))
    layers = []
    for name, trained in found.items():
        if name == PIXELS or (name.startswith(UNTRAINED) and name.removeprefix(UNTRAINED) in found):
            continue
        untrained = found.get(UNTRAINED + name)
        difference = None
        if untrained is not None:
            gain = (trained.predicted == labels).astype(np.float64) - (untrained.predicted == labels)
            interval = accuracy_interval(task.by_video(gain), rows, seed=task.seed)
            difference = Difference(trained.accuracy - untrained.accuracy, interval)
        layers.append(LayerResult(trained, untrained, difference))
    return tuple(layers), found.get(PIXELS)
