"""The linear probe: multinomial logistic regression whose penalty is chosen inside the training part.

Features are standardized and divided by the square root of their number. Rows then have mean squared norm 1 at any
width, so one path of penalties serves narrow and wide layers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from seqff.probes.estimator import Probe, generator, group_numbers, match, softmax
from seqff.probes.model_selection import STEADY_ROWS, Fit, fit_chosen
from seqff.probes.preprocessing import Array, cast, fit_scaling, module_of, narrow, to_numpy
from seqff.probes.softmax import lambda_path, logits_of, softmax_path

ONE_THREAD_UP_TO_ROWS = 5000
SELECTION_TOLERANCE = 1e-5
"""For the fits that choose lambda, when there are many rows."""
FINAL_TOLERANCE = 1e-9
"""For the final fit in float64; float32 can only reach `softmax.TOLERANCE`."""


class LinearProbe(Probe):
    """L2-penalized multinomial logistic regression; the penalty is chosen on held-out groups of the training rows.

    Args:
        lambdas: candidate penalties, strong to weak, evenly spaced in their logarithm (see `softmax_path` for the
            loss); None uses `lambda_path` for the number of rows. A single one is used as it is.
        width: project the scaled features onto this many random directions first; None does not project.
        width_seed: seed of the projection.
        random_state: randomness of the inner splits: an int, a numpy RandomState or Generator, or None.

    Attributes:
        classes_: (K,) labels.
        lambda_: the penalty used.
        choice_: how it was chosen; None if there were too few groups, and the middle of the path was used.
        weights_: (D' + 1, K) for scaled features, the intercept in the last row.
        scaling_: the scaling of the features, including the number of constant ones.
        converged_: whether the final fit met its tolerance.
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

    def fit(self, X: Array, y: Array, groups: Any = None, *, tried: Callable[[], object] = lambda: None) -> LinearProbe:
        """Fit the classifier.

        Args:
            X: (n, D) features.
            y: (n,) labels.
            groups: (n,) groups (videos, subjects) that are never divided when lambda is chosen; None makes each row its
                own group.
            tried: called after each penalty tried, for progress bars.
        """
        rows, codes = self._training(X, y)
        units = group_numbers(groups, len(codes))
        lambdas = lambda_path(len(codes)) if self.lambdas is None else tuple(self.lambdas)
        self.scaling_ = fit_scaling(rows)
        x = self._narrowed(self.scaling_(rows))
        # For small problems, distributing work over threads costs more than it saves.
        with threadpool_limits(limits=1 if len(x) <= ONE_THREAD_UP_TO_ROWS else None):
            if x.shape[1]:
                rng = generator(self.random_state)
                final = partial(softmax_path, tolerance=FINAL_TOLERANCE) if "64" in str(x.dtype) else softmax_path
                fit = fit_chosen(x, codes, units, lambdas, rng=rng, path=_selection_path, final=final, tried=tried)
            else:
                fit = _majority(x, codes, lambdas)
        self.weights_, self.lambda_, self.choice_, self.converged_ = fit.weights, fit.lambda_, fit.choice, fit.converged
        return self

    def decision_function(self, X: Array) -> Array:
        """Logits, (m, K); for two classes (m,), the second's minus the first's."""
        logits = self._like_inputs(self._scores(self._rows(X)), X)
        return logits[:, 1] - logits[:, 0] if len(self.classes_) == 2 else logits

    def predict_proba(self, X: Array) -> Array:
        """Probability of each class, (m, K)."""
        return self._like_inputs(softmax(self._scores(self._rows(X))), X)

    def _scores(self, rows: Array) -> Array:
        return logits_of(self._narrowed(self.scaling_(match(rows, self.weights_))), self.weights_)

    def _narrowed(self, x: Array) -> Array:
        return x if self.width is None else narrow(x, self.width, self.width_seed)


def _selection_path(
    x: Array, y: NDArray[np.int64], classes: int, lambdas: Sequence[float]
) -> Iterator[tuple[Array, bool]]:
    """`softmax_path`; for many rows in float32 and with a larger tolerance, which takes half the time."""
    if len(y) < STEADY_ROWS:
        yield from softmax_path(x, y, classes, lambdas)
        return
    single = cast(x, module_of(x).float32)
    for weights, converged in softmax_path(single, y, classes, lambdas, tolerance=SELECTION_TOLERANCE):
        yield cast(weights, x.dtype), converged


def _majority(x: Array, y: NDArray[np.int64], lambdas: Sequence[float]) -> Fit:
    """Predict the class frequencies, for features that are all constant."""
    shares = np.log(np.bincount(y) / len(y))[None]
    return Fit(match(shares.astype(to_numpy(x[:0]).dtype), x), lambdas[len(lambdas) // 2], None, True)
