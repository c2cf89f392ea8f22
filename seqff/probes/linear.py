"""The linear probe: multinomial logistic regression with its penalty chosen inside the training part.

Features are standardised and divided by the square root of their number, so that a row has mean square 1 whatever
the layer's width, and one path of penalties serves narrow and wide layers alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from seqff.probes.estimator import Probe, generator, group_numbers, match, softmax
from seqff.probes.model_selection import Choice, Fit, fit_chosen
from seqff.probes.preprocessing import Array, fit_scaling, narrow, to_numpy
from seqff.probes.softmax import lambda_path, logits_of, softmax_path

ONE_THREAD_UP_TO_ROWS = 5000
FINAL_TOLERANCE = 1e-9
"""Of the last fit in float64, the one that answers; in float32, and on the path, `softmax.TOLERANCE` is enough."""


class LinearProbe(Probe):
    """Multinomial logistic regression, L2, its penalty chosen from a path on held-out groups of the training rows.

    Args:
        lambdas: penalties to choose from, strong to weak, evenly spaced in their logarithm (see `softmax_path` for the
            loss); None takes `lambda_path` of the rows. One alone is taken as it is.
        width: project the scaled features onto so many random directions first; None leaves them as they are.
        width_seed: of those directions.
        random_state: of the inner splits: an int, a numpy RandomState or Generator, or None.

    Attributes:
        classes_: (K,) labels.
        lambda_: the penalty used.
        choice_: how it was chosen; None where there were too few groups, and then it is the middle of the path.
        weights_: (D' + 1, K) for scaled features, the intercept in the last row.
        scaling_: what features are scaled by; it also knows how many were constant.
        converged_: the final fit met its tolerance.
    """

    def __init__(
        self,
        lambdas: Sequence[float] | None = None,
        *,
        width: int | None = None,
        width_seed: int = 0,
        random_state: Any = 0,
    ) -> None:
        self.lambdas = lambdas
        self.width = width
        self.width_seed = width_seed
        self.random_state = random_state

    def fit(self, X: Array, y: Array, groups: Any = None) -> LinearProbe:
        """Train.

        Args:
            X: (n, D) features.
            y: (n,) labels.
            groups: (n,) what rows must not be parted when lambda is chosen (their video, their subject); None makes
                each row a group of its own.
        """
        rows, codes = self._training(X, y)
        units = group_numbers(groups, len(codes))
        lambdas = lambda_path(len(codes)) if self.lambdas is None else tuple(self.lambdas)
        self.scaling_ = fit_scaling(rows)
        x = self._narrowed(self.scaling_(rows))
        # Small problems lose more to handing work between threads than they win by it.
        with threadpool_limits(limits=1 if len(x) <= ONE_THREAD_UP_TO_ROWS else None):
            fit = (
                _fit(x, codes, units, lambdas, generator(self.random_state))
                if x.shape[1]
                else _majority(x, codes, lambdas)
            )
        self.weights_, self.lambda_, self.choice_, self.converged_ = fit.weights, fit.lambda_, fit.choice, fit.converged
        return self

    def decision_function(self, X: Array) -> Array:
        """Logits, (m, K); with two classes (m,), the second's less the first's."""
        logits = self._scores(self._rows(X))
        logits = logits if self._as_tensor(X) else to_numpy(logits)
        return logits[:, 1] - logits[:, 0] if len(self.classes_) == 2 else logits

    def predict_proba(self, X: Array) -> Array:
        """Probability of every class, (m, K)."""
        probabilities = softmax(self._scores(self._rows(X)))
        return probabilities if self._as_tensor(X) else to_numpy(probabilities)

    def _scores(self, rows: Array) -> Array:
        return logits_of(self._narrowed(self.scaling_(match(rows, self.weights_))), self.weights_)

    def _narrowed(self, x: Array) -> Array:
        return x if self.width is None else narrow(x, self.width, self.width_seed)


def _fit(
    x: Array, y: NDArray[np.int64], groups: NDArray[np.int64], lambdas: Sequence[float], rng: np.random.Generator
) -> Fit:
    exact = partial(softmax_path, tolerance=FINAL_TOLERANCE) if "64" in str(x.dtype) else None
    return fit_chosen(x, y, groups, lambdas, rng=rng, final=exact)


def _majority(x: Array, y: NDArray[np.int64], lambdas: Sequence[float]) -> Fit:
    """Without a feature that varies, the classes' shares are all there is to know."""
    shares = np.log(np.bincount(y) / len(y))[None]
    return Fit(match(shares.astype(to_numpy(x).dtype), x), lambdas[len(lambdas) // 2], None, True)


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


def linear_probe(
    train: NDArray[np.floating],
    labels: NDArray[np.int64],
    groups: NDArray[np.int64],
    test: NDArray[np.floating],
    *,
    rng: np.random.Generator,
    lambdas: Sequence[float] | None = None,
    width: int | None = None,
    width_seed: int = 0,
) -> LinearOutcome:
    """Fit a `LinearProbe` and answer the test rows.

    Args:
        train: (n, D) features.
        labels: (n,) class numbers, two kinds at least.
        groups: (n,) group numbers; held-out rows never share a group with the rows fitted.
        test: (m, D) features.
        rng: of the inner splits.
        lambdas: see `LinearProbe`.
        width: see `LinearProbe`.
        width_seed: see `LinearProbe`.

    Returns:
        The predictions and how lambda was chosen.
    """
    probe = LinearProbe(lambdas, width=width, width_seed=width_seed, random_state=rng).fit(train, labels, groups)
    predicted = probe.predict(test).astype(np.int64)
    return LinearOutcome(predicted, probe.choice_, probe.lambda_, probe.scaling_.constant, probe.converged_)
