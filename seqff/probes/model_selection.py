"""Choose the penalty inside the training part, by cross-validation over groups."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from seqff.probes.preprocessing import Array, module_of, principal_axes, row_blocks, to_numpy
from seqff.probes.softmax import logits_of, softmax_path
from seqff.probes.splits import deal_groups

SELECTION_FOLDS = 4
HOLD_OUT_FOLDS = 10
HOLD_OUT_ABOVE_ROWS = 5000
"""Above this number of training rows, lambda is chosen on one hold-out of a tenth of the groups, not on 4 folds."""

PATIENCE = 2
"""The path ends early after this many consecutive penalties with rising loss and no new best accuracy."""
STEADY_ROWS = 1000
"""From this number of rows on, single rows hardly change the accuracy, so selection may stop early and be inexact."""

Rows = NDArray[np.int64] | slice
Cuts = Sequence[tuple[Rows, Rows]]
Path = Callable[..., Iterator[tuple[Array, bool]]]
"""Fits a path of lambdas, as `softmax_path` does: (x, y, classes, lambdas) to weights and whether they converged. The
final fit, of one lambda, also gets initial weights as `start`."""
Loss = Callable[[NDArray[Any], NDArray[np.int64]], float]
"""Sum over rows of the loss of logits (m, K) with correct classes y (m,)."""


@dataclass(frozen=True)
class Choice:
    """How lambda was chosen.

    Args:
        losses: mean loss (for the linear probe: cross-entropy) on held-out training rows, at each lambda tried, from
            the strongest to the one where the path ended.
        scores: accuracy on the same rows; the lowest loss decides among those within a standard error of the best.
        best: index of the chosen lambda.
    """

    losses: tuple[float, ...]
    scores: tuple[float, ...]
    best: int

    @property
    def at_edge(self) -> bool:
        """Whether the chosen lambda ends the path while accuracy still rises, so a longer path might do better."""
        if len(self.losses) < 2 or self.best not in (0, len(self.losses) - 1):
            return False
        neighbor = 1 if self.best == 0 else self.best - 1
        return self.scores[self.best] > self.scores[neighbor]


@dataclass(frozen=True)
class Fit:
    """A linear classifier: (D + 1, K) weights, the penalty, how it was chosen (or None), whether the fit converged."""

    weights: Array
    lambda_: float
    choice: Choice | None
    converged: bool


def cross_entropy(logits: NDArray[Any], y: NDArray[np.int64]) -> float:
    """Sum over rows of the cross-entropy: logits (m, K), correct classes (m,)."""
    return float((logsumexp(logits, axis=1) - logits[np.arange(len(y)), y]).sum())


def choose_lambda(
    x: Array,
    y: NDArray[np.int64],
    cuts: Cuts,
    lambdas: Sequence[float],
    *,
    path: Path = softmax_path,
    loss: Loss = cross_entropy,
    tried: Callable[[], object] = lambda: None,
) -> tuple[Choice, Array]:
    """Evaluate each lambda on held-out training rows; return the choice and the first split's weights at that lambda.

    Accuracy alone jumps with single videos of a small set (90 videos: the test accuracy moved by a standard deviation
    of 0.8 to 2.3 points from one inner split to another, with cross-entropy by 0.4 to 0.8). Cross-entropy alone prefers
    not to commit itself where accuracy is low (10 classes, best accuracy 0.28: it chose penalties that score 0.14). So
    the lowest cross-entropy wins among the lambdas whose accuracy is within one standard error of the best.

    `x` and `y` are training rows only; `cuts` are pairs of row numbers (fit, held out).
    """
    held_rows, classes = sum(len(y[held]) for _, held in cuts), int(y.max()) + 1
    paths = [path(x[fit], y[fit], classes, lambdas) for fit, _ in cuts]
    losses, scores, found = [], [], []
    for fits in zip(*paths, strict=True):
        loss_sum, right = 0.0, 0
        for (weights, _), (_, held) in zip(fits, cuts, strict=True):
            logits = to_numpy(logits_of(x[held], weights))
            loss_sum += loss(logits, y[held])
            right += int((logits.argmax(axis=1) == y[held]).sum())
        losses.append(loss_sum / held_rows)
        scores.append(right / held_rows)
        found.append(fits[0][0])
        tried()
        if held_rows >= STEADY_ROWS and hopeless(losses, scores):
            break
    best = pick(np.array(losses), np.array(scores), held_rows)
    return Choice(tuple(losses), tuple(scores), best), found[best]


def hopeless(losses: Sequence[float], scores: Sequence[float]) -> bool:
    """Whether weaker penalties can be skipped: the loss rises and the accuracy is past its best."""
    if len(losses) <= PATIENCE:
        return False
    rising = all(one < two for one, two in itertools.pairwise(losses[-PATIENCE - 1 :]))
    return rising and max(scores[-PATIENCE:]) <= max(scores[:-PATIENCE])


def pick(losses: NDArray[np.float64], scores: NDArray[np.float64], rows: int) -> int:
    """Index of the lowest loss among the scores within one standard error (for `rows` rows) of the best score."""
    best = scores.max()
    close = scores >= best - np.sqrt(best * (1 - best) / rows)
    return int(np.where(close, losses, np.inf).argmin())


def selection_folds(y: NDArray[np.int64], groups: NDArray[np.int64], rng: np.random.Generator) -> Cuts:
    """Split training rows by group: 4 folds, or a hold-out of a tenth of many rows. Omits splits with one class."""
    _, group = np.unique(groups, return_inverse=True)
    large = len(y) > HOLD_OUT_ABOVE_ROWS
    folds = min(HOLD_OUT_FOLDS if large else SELECTION_FOLDS, group.max() + 1)
    if folds < 2:
        return []
    side = deal_groups(group, y, folds, rng)[group]
    cuts = [(np.flatnonzero(side != fold), np.flatnonzero(side == fold)) for fold in range(1 if large else folds)]
    return [(fit, held) for fit, held in cuts if len(np.unique(y[fit])) > 1]


def fit_chosen(
    x: Array,
    y: NDArray[np.int64],
    groups: NDArray[np.int64],
    lambdas: Sequence[float],
    *,
    rng: np.random.Generator,
    path: Path = softmax_path,
    loss: Loss = cross_entropy,
    final: Path | None = None,
    tried: Callable[[], object] = lambda: None,
) -> Fit:
    """Choose lambda on held-out groups, then refit on all rows, starting from the weights at the chosen lambda.

    Args:
        x: (n, D) scaled features, D at least 1; overwritten.
        y: (n,) class numbers, all below the largest present.
        groups: (n,) group numbers.
        lambdas: strong to weak. The middle one is used if there are too few groups to choose.
        rng: decides the order in which groups are assigned.
        path: fits the lambdas.
        loss: criterion on held-out rows, besides accuracy.
        final: makes the final fit; None uses `path`.
        tried: called after each lambda.
    """
    axes = principal_axes(x)
    turned = _turned(x, axes)
    cuts = selection_folds(y, groups, rng) if len(lambdas) > 1 else []
    choice, start = None, None
    if cuts:
        choice, start = choose_lambda(turned, y, cuts, lambdas, path=path, loss=loss, tried=tried)
    lambda_ = lambdas[choice.best if choice else len(lambdas) // 2]
    ((weights, converged),) = (final or path)(turned, y, int(y.max()) + 1, [lambda_], start=start)
    whole = module_of(x).concatenate([axes @ weights[:-1], weights[-1:]])
    return Fit(whole, lambda_, choice, converged)


def _turned(x: Array, axes: Array) -> Array:
    """x @ axes, block by block; overwrites x if the width stays the same."""
    if axes.shape[0] != axes.shape[1]:
        return x @ axes
    for block in row_blocks(x):
        x[block] = x[block] @ axes
    return x
