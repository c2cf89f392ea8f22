"""The linear probe: multinomial logistic regression with its penalty chosen inside the training part.

Features are standardised and divided by the square root of their number, so that a row has mean square 1 whatever
the layer's width, and one path of penalties serves narrow and wide layers alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp
from threadpoolctl import threadpool_limits

from seqff.probes.softmax import lambda_path, logits_of, softmax_path
from seqff.probes.splits import deal_groups

SELECTION_FOLDS = 4
HOLD_OUT_FOLDS = 10
HOLD_OUT_ABOVE_ROWS = 5000
"""Training rows above which lambda is chosen on one hold-out of a tenth of the groups instead of on 4 folds."""
ONE_THREAD_UP_TO_ROWS = 5000
CONSTANT = 1e-6
"""A feature whose standard deviation is below this share of its largest value counts as constant."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Choice:
    """How lambda was chosen.

    Args:
        losses: mean cross-entropy on held-out training rows at each lambda.
        scores: accuracy on the same rows; among those within a standard error of the best, the least loss decides.
        best: place of the chosen lambda.
    """

    losses: tuple[float, ...]
    scores: tuple[float, ...]
    best: int

    @property
    def at_edge(self) -> bool:
        """The path ends at the chosen lambda while accuracy still rises: a longer path might do better."""
        if len(self.losses) < 2 or self.best not in (0, len(self.losses) - 1):
            return False
        neighbour = 1 if self.best == 0 else self.best - 1
        return self.scores[self.best] > self.scores[neighbour]


@dataclass(frozen=True)
class LinearOutcome:
    """What one probe said of its test rows, and how it came about.

    Args:
        predicted: (m,) class numbers.
        choice: of lambda; None where the training part was too small to choose on.
        lambda_: the penalty used.
        constant: features dropped because they did not vary in training.
        converged: the final fit met its tolerance.
    """

    predicted: NDArray[np.int64]
    choice: Choice | None
    lambda_: float
    constant: int
    converged: bool


def standardise(train: NDArray[np.floating], test: NDArray[np.floating]) -> tuple[Array, Array, int]:
    """Give training features mean 0 and rows of mean square 1; treat test features with the same numbers.

    Args:
        train: (n, D).
        test: (m, D).

    Returns:
        Both in float64 without the features that are constant in training, and the number of those.
    """
    x = train.astype(np.float64)
    mean, std = x.mean(axis=0), x.std(axis=0)
    varying = std > CONSTANT * np.abs(x).max(axis=0)
    scale = std[varying] * np.sqrt(max(int(varying.sum()), 1))
    x = (x[:, varying] - mean[varying]) / scale
    y = (test[:, varying].astype(np.float64) - mean[varying]) / scale
    return x, y, int((~varying).sum())


def rotate(train: Array, test: Array) -> tuple[Array, Array]:
    """Turn features onto the principal axes of the training rows: at most n of them, and the probe stays the same.

    The penalty does not change under rotation, and the best weights lie in the span of the training rows, so the
    optimum in these coordinates is the optimum in all D. The same holds for any subset of the training rows.

    Args:
        train: (n, D).
        test: (m, D).

    Returns:
        (n, r) and (m, r) with r = min(n, D), the strongest axis first.

    Reference: Hastie, Tibshirani 2004, doi:10.1093/biostatistics/kxh010.
    """
    rows, width = train.shape
    if width > rows:
        left, singular, right = np.linalg.svd(train, full_matrices=False)
        return left * singular, test @ right.T
    _, axes = np.linalg.eigh(train.T @ train)
    return train @ axes[:, ::-1], test @ axes[:, ::-1]


def choose_lambda(
    x: Array,
    y: NDArray[np.int64],
    cuts: Sequence[tuple[NDArray[np.int64], NDArray[np.int64]]],
    lambdas: Sequence[float],
) -> Choice:
    """Judge each lambda by accuracy and cross-entropy on held-out training rows.

    Accuracy alone jumps with single videos of a small set (90 videos: the tested accuracy moved by a standard deviation
    of 0.8 to 2.3 points from one inner split to another, by cross-entropy 0.4 to 0.8). Cross-entropy alone prefers
    never to commit itself where accuracy is low (10 classes, best accuracy 0.28: it chose penalties that score 0.14).
    So: among the lambdas whose accuracy is within one standard error of the best, the least cross-entropy.

    Args:
        x: (n, D) standardised training rows; test rows have no way in.
        y: (n,) class numbers.
        cuts: pairs of row numbers (fit, held out), one at least.
        lambdas: strong to weak.

    Returns:
        Losses and scores over all held-out rows together.
    """
    loss, right = np.zeros(len(lambdas)), np.zeros(len(lambdas))
    classes = int(y.max()) + 1
    for fit, held in cuts:
        for place, (weights, _) in enumerate(softmax_path(x[fit], y[fit], classes, lambdas)):
            logits = logits_of(x[held], weights)
            loss[place] += (logsumexp(logits, axis=1) - logits[np.arange(len(held)), y[held]]).sum()
            right[place] += (logits.argmax(axis=1) == y[held]).sum()
    rows = sum(len(held) for _, held in cuts)
    best = pick(loss / rows, right / rows, rows)
    return Choice(tuple((loss / rows).tolist()), tuple((right / rows).tolist()), best)


def pick(losses: Array, scores: Array, rows: int) -> int:
    """The place of the least loss among the scores within one standard error (of a share of `rows`) of the best."""
    best = scores.max()
    close = scores >= best - np.sqrt(best * (1 - best) / rows)
    return int(np.where(close, losses, np.inf).argmin())


def selection_folds(
    y: NDArray[np.int64], groups: NDArray[np.int64], rng: np.random.Generator
) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Cut the training part by groups, to choose lambda on: 4 folds, or one hold-out of a tenth if there are many rows.

    Args:
        y: (n,) class numbers.
        groups: (n,) group numbers.
        rng: order in which groups are dealt.

    Returns:
        Pairs of row numbers (fit, held out); empty where no cut leaves two classes to fit.
    """
    _, group = np.unique(groups, return_inverse=True)
    counts = np.zeros((group.max() + 1, y.max() + 1), dtype=np.int64)
    np.add.at(counts, (group, y), 1)
    large = len(y) > HOLD_OUT_ABOVE_ROWS
    folds = min(HOLD_OUT_FOLDS if large else SELECTION_FOLDS, len(counts))
    if folds < 2:
        return []
    side = deal_groups(counts, folds, rng)[group]
    cuts = [(np.flatnonzero(side != fold), np.flatnonzero(side == fold)) for fold in range(1 if large else folds)]
    return [(fit, held) for fit, held in cuts if len(np.unique(y[fit])) > 1]


def linear_probe(
    train: NDArray[np.floating],
    labels: NDArray[np.int64],
    groups: NDArray[np.int64],
    test: NDArray[np.floating],
    *,
    rng: np.random.Generator,
    lambdas: Sequence[float] | None = None,
) -> LinearOutcome:
    """Standardise, choose lambda inside the training part, fit once more on all of it, predict the test rows.

    Args:
        train: (n, D) features.
        labels: (n,) class numbers, two kinds at least.
        groups: (n,) group numbers; held-out rows never share a group with the rows fitted.
        test: (m, D) features.
        rng: order in which groups are dealt.
        lambdas: strong to weak, evenly spaced in their logarithm; None takes `lambda_path` of the rows.

    Returns:
        The predictions and how lambda was chosen. Without a feature that varies, all predictions are the class most
        frequent in training; with too few groups to choose lambda on, the middle of the path is used.
    """
    lambdas = lambda_path(len(train)) if lambdas is None else lambdas
    x, z, constant = standardise(train, test)
    middle = len(lambdas) // 2
    if x.shape[1] == 0:
        most = np.bincount(labels).argmax()
        return LinearOutcome(np.full(len(test), most), None, lambdas[middle], constant, True)
    # Small problems lose more to handing work between threads than they win by it.
    with threadpool_limits(limits=1 if len(x) <= ONE_THREAD_UP_TO_ROWS else None):
        x, z = rotate(x, z)
        cuts = selection_folds(labels, groups, rng)
        choice = choose_lambda(x, labels, cuts, lambdas) if cuts else None
        best = lambdas[choice.best if choice else middle]
        ((weights, converged),) = softmax_path(x, labels, int(labels.max()) + 1, [best])
        return LinearOutcome(logits_of(z, weights).argmax(axis=1), choice, best, constant, converged)
