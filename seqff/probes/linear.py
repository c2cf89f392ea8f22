"""The linear probe: multinomial logistic regression with its penalty chosen inside the training part.

Features are standardized and divided by the square root of their number, so that a row has mean square 1 whatever
the layer's width, and one path of penalties serves narrow and wide layers alike.
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
"""Of the fits that lambda is chosen by, where rows are many."""
FINAL_TOLERANCE = 1e-9
"""Of the last fit in float64, the one that answers; in float32 `softmax.TOLERANCE` is what can be reached."""


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

    def fit(self, X: Array, y: Array, groups: Any = None, *, tried: Callable[[], object] = lambda: None) -> LinearProbe:
        """Train.

        Args:
            X: (n, D) features.
            y: (n,) labels.
            groups: (n,) what rows must not be parted when lambda is chosen (their video, their subject); None makes
                each row a group of its own.
            tried: called after each penalty that was tried, for progress bars.
        """
        rows, codes = self._training(X, y)
        units = group_numbers(groups, len(codes))
        lambdas = lambda_path(len(codes)) if self.lambdas is None else tuple(self.lambdas)
        self.scaling_ = fit_scaling(rows)
        x = self._narrowed(self.scaling_(rows))
        # Small problems lose more to handing work between threads than they win by it.
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
        """Logits, (m, K); with two classes (m,), the second's less the first's."""
        logits = self._like_inputs(self._scores(self._rows(X)), X)
        return logits[:, 1] - logits[:, 0] if len(self.classes_) == 2 else logits

    def predict_proba(self, X: Array) -> Array:
        """Probability of every class, (m, K)."""
        return self._like_inputs(softmax(self._scores(self._rows(X))), X)

    def _scores(self, rows: Array) -> Array:
        return logits_of(self._narrowed(self.scaling_(match(rows, self.weights_))), self.weights_)

    def _narrowed(self, x: Array) -> Array:
        return x if self.width is None else narrow(x, self.width, self.width_seed)


def _selection_path(
    x: Array, y: NDArray[np.int64], classes: int, lambdas: Sequence[float]
) -> Iterator[tuple[Array, bool]]:
    """`softmax_path`; of many rows in float32 and less exact, which takes half the time."""
    if len(y) < STEADY_ROWS:
        yield from softmax_path(x, y, classes, lambdas)
        return
    single = cast(x, module_of(x).float32)
    for weights, converged in softmax_path(single, y, classes, lambdas, tolerance=SELECTION_TOLERANCE):
        yield cast(weights, x.dtype), converged


def _majority(x: Array, y: NDArray[np.int64], lambdas: Sequence[float]) -> Fit:
    """Without a feature that varies, the classes' shares are all there is to know."""
    shares = np.log(np.bincount(y) / len(y))[None]
    return Fit(match(shares.astype(to_numpy(x[:0]).dtype), x), lambdas[len(lambdas) // 2], None, True)
