"""Ridge regression onto the classes: a closed form, much cheaper than the linear probe, for curves during training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqff.probes.estimator import Probe, generator, group_numbers, match
from seqff.probes.model_selection import fit_chosen
from seqff.probes.preprocessing import Array, fit_scaling, module_of, to_numpy
from seqff.probes.softmax import lambda_path, logits_of


def ridge_path(
    x: Array, y: NDArray[np.int64], classes: int, lambdas: Sequence[float], *, start: object = None
) -> Iterator[tuple[Array, bool]]:
    """Least squares with targets +1 for a row's class and -1 for the others, plus lambda times the squared weights.

    One eigendecomposition serves all lambdas. The intercept is not penalized, and `start` is ignored. Arguments and
    yielded values are those of `softmax_path`.

    Reference: Hoerl, Kennard 1970, doi:10.1080/00401706.1970.10488634.
    """
    del start
    xp = module_of(x)
    targets = match(targets_of(y, classes).astype(to_numpy(x[:0]).dtype), x)
    centre, level = x.mean(axis=0), targets.mean(axis=0)
    centred = x - centre
    power, axes = xp.linalg.eigh(centred.T @ centred / len(y))
    along = axes.T @ (centred.T @ (targets - level)) / len(y)
    for value in lambdas:
        weights = axes @ (along / (xp.clip(power, 0, None) + value)[:, None])
        yield xp.concatenate([weights, (level - centre @ weights)[None]]), True


def targets_of(y: NDArray[np.int64], classes: int) -> NDArray[np.float64]:
    """Regression targets, (n, K): 1 for the correct class, -1 for the others."""
    return np.where(np.arange(classes) == y[:, None], 1.0, -1.0)


def squared_error(scores: NDArray[Any], y: NDArray[np.int64]) -> float:
    """Sum over rows of the squared distance of scores, (m, K), from their targets."""
    return float(np.square(scores - targets_of(y, scores.shape[1])).sum())


class RidgeProbe(Probe):
    """Ridge regression onto the classes; the penalty is chosen as in the linear probe.

    Args:
        lambdas: candidate penalties, strong to weak; None uses `lambda_path` for the number of rows.
        random_state: randomness of the inner splits.

    Attributes:
        classes_, lambda_, choice_, weights_, scaling_: as in `LinearProbe`.
    """

    def __init__(self, lambdas: Sequence[float] | None = None, *, random_state: Any = 0) -> None:
        self.lambdas = lambdas
        self.random_state = random_state

    def fit(self, X: Array, y: Array, groups: Any = None) -> RidgeProbe:
        """Fit the classifier; see `LinearProbe.fit`."""
        rows, codes = self._training(X, y)
        units = group_numbers(groups, len(codes))
        lambdas = lambda_path(len(codes)) if self.lambdas is None else tuple(self.lambdas)
        self.scaling_ = fit_scaling(rows)
        if self.scaling_.constant == self.n_features_in_:
            raise ValueError("all features are constant; there is nothing to fit")
        x = self.scaling_(rows)
        fit = fit_chosen(
            x, codes, units, lambdas, rng=generator(self.random_state), path=ridge_path, loss=squared_error
        )
        self.weights_, self.lambda_, self.choice_ = fit.weights, fit.lambda_, fit.choice
        return self

    def decision_function(self, X: Array) -> Array:
        """Scores, (m, K), near 1 for the correct class, near -1 for others; for two classes (m,), the second's."""
        scores = self._like_inputs(self._scores(self._rows(X)), X)
        return scores[:, 1] if len(self.classes_) == 2 else scores

    def _scores(self, rows: Array) -> Array:
        return logits_of(self.scaling_(match(rows, self.weights_)), self.weights_)
