"""One array of features through the protocol: every fold, the linear probe at both widths, and the neighbours."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from seqff.probes.bootstrap import accuracy_interval
from seqff.probes.knn import NEIGHBOURS, KNNProbe
from seqff.probes.linear import LinearOutcome, linear_probe
from seqff.probes.preprocessing import FLOAT64_UP_TO, Array
from seqff.probes.results import ArrayResult, Matched
from seqff.probes.task import Task


@dataclass
class _Answers:
    """What the folds said so far, fold after fold."""

    linear: list[LinearOutcome] = field(default_factory=list)
    matched: list[NDArray[np.int64]] = field(default_factory=list)
    neighbours: dict[int, list[NDArray[np.int64]]] = field(default_factory=lambda: {k: [] for k in NEIGHBOURS})


def probe_array(task: Task, name: str, *, device: torch.device, bar: tqdm[Any]) -> ArrayResult:
    """Probe an array on every fold.

    Args:
        task: what is asked.
        name: of the array.
        device: where large matrices are worked on.
        bar: told of every fold.
    """
    started = time.perf_counter()
    answers, held = _Answers(), None
    features: NDArray[np.float32] = np.zeros((0, 0), dtype=np.float32)
    for number, fold in enumerate(task.folds):
        if task.source(name, number) != held:
            held = task.source(name, number)
            features = task.read(held)
        train, test = (_placed(features[part], device) for part in (fold.train, fold.test))
        _ask(task, train, test, number, answers)
        bar.update()
    return _summarise(task, name, answers, time.perf_counter() - started)


def _placed(rows: NDArray[np.float32], device: torch.device) -> Array:
    """Bring rows to a GPU if there is enough to do there."""
    return torch.from_numpy(rows).to(device) if device.type == "cuda" and rows.size > FLOAT64_UP_TO else rows


def _ask(task: Task, train: Array, test: Array, number: int, answers: _Answers) -> None:
    fold, unit = task.folds[number], task.splits.unit
    labels, groups = task.label[fold.train], unit[fold.train]

    def linear(width: int | None) -> LinearOutcome:
        # The same inner splits for every array, so that layers differ by their features alone.
        rng = np.random.default_rng([task.seed, 1, number])
        return linear_probe(
            train, labels, groups, test, rng=rng, lambdas=task.lambdas, width=width, width_seed=task.seed
        )

    answers.linear.append(linear(None))
    if train.shape[1] > task.narrowest:
        answers.matched.append(linear(task.narrowest).predicted)
    possible = [k for k in NEIGHBOURS if k <= len(labels)]
    if possible:
        probe = KNNProbe().fit(train, labels)
        for k, votes in zip(possible, probe.votes(test, possible), strict=True):
            answers.neighbours[k].append(probe.classes_[votes.argmax(dim=1).cpu().numpy()])


def _summarise(task: Task, name: str, answers: _Answers, seconds: float) -> ArrayResult:
    truth, folds = task.label[task.tested], len(task.folds)
    predicted = _in_order(task, [outcome.predicted for outcome in answers.linear])
    right = predicted == truth
    matched = None
    if answers.matched:
        hits = _in_order(task, answers.matched) == truth
        matched = Matched(task.narrowest, float(hits.mean()), interval_of(task, hits))
    knn = {
        k: float((_in_order(task, parts) == truth).mean()) if len(parts) == folds else None
        for k, parts in answers.neighbours.items()
    }
    choices = [outcome.choice for outcome in answers.linear]
    return ArrayResult(
        name=name,
        width=task.width(name),
        accuracy=float(right.mean()),
        interval=interval_of(task, right),
        mean_class_accuracy=float(np.mean([right[truth == number].mean() for number in np.unique(truth)])),
        fold_accuracies=tuple(float(right[task.tested_fold == number].mean()) for number in range(folds)),
        matched=matched,
        knn=knn,
        lambdas=tuple(outcome.lambda_ for outcome in answers.linear),
        lambda_losses=tuple(() if choice is None else choice.losses for choice in choices),
        lambda_scores=tuple(() if choice is None else choice.scores for choice in choices),
        lambda_at_edge=sum(choice is not None and choice.at_edge for choice in choices),
        constant_features=max(outcome.constant for outcome in answers.linear),
        unconverged=sum(not outcome.converged for outcome in answers.linear),
        seconds=round(seconds, 3),
        predicted=predicted,
    )


def interval_of(task: Task, right: NDArray[np.bool_] | NDArray[np.float64]) -> tuple[float, float]:
    """95 % interval over videos of the mean of a value of each answer."""
    return accuracy_interval(task.by_video(right), task.answers, seed=task.seed)


def _in_order(task: Task, parts: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    return np.concatenate(parts)[task.order]
