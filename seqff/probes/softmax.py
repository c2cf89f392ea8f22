"""Multinomial logistic regression with an L2 penalty, along a path of penalties.

The loss is the mean cross-entropy plus lambda / 2 times the squared weights; the intercept is free. It is strictly
convex in the weights, so any exact solver finds the same ones; ours is L-BFGS (Liu, Nocedal 1989,
doi:10.1007/BF01589116) as in scikit-learn's LogisticRegression, with three additions: each weight is measured in units
of the curvature expected along its axis, each fit starts where the parabola through the three before it points, and a
fit stops when its loss is within a share of the optimum, not at a gradient that means little where the loss is small.
What that saves: `benchmarks/probes.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import OptimizeResult, minimize

TOLERANCE = 1e-6
"""How far the loss may stay above its minimum, as a share of it, by the quadratic expected around the minimum."""
LOOSE = 100
"""A fit that cannot improve any more has converged all the same if it is within this many tolerances."""
MAX_ITERATIONS = 2000
RARE = 1e-12
"""Share of a class that is not there at all: its intercept starts, and stays, far below the others."""
FAR = -60.0
"""Log-odds below which the right class's own part in the sum over classes is nothing."""

Array = Any
"""A numpy array, or a torch tensor on any device: what the rows are, the weights become."""


def lambda_path(rows: int, count: int = 13) -> tuple[float, ...]:
    """Penalties for features whose rows have mean square 1, evenly spaced in their logarithm, strong to weak.

    At 1 the weights are so small that the probe compares class means; at 1e-4 / rows the penalty hardly counts beside
    the loss of a single row.

    Args:
        rows: rows of the whole set.
        count: length of the path.
    """
    return tuple(np.geomspace(1, 1e-4 / rows, count).tolist())


def softmax_path(
    x: Array, y: NDArray[np.int64], classes: int, lambdas: Sequence[float], *, tolerance: float = TOLERANCE
) -> Iterator[tuple[Array, bool]]:
    """Fit one lambda after the other, each from where the ones before it point.

    Args:
        x: (n, D) float32 or float64, array or tensor; quickest when the columns are principal axes, as curvature is
            then about the columns' mean squares. Sums over rows are taken in x's precision and device.
        y: (n,) class numbers below `classes`.
        classes: number of classes, K.
        lambdas: strong to weak, evenly spaced in their logarithm.
        tolerance: see `TOLERANCE`; float32 rows reach 1e-6.

    Yields:
        For each lambda the (D + 1, K) weights in the precision and device of x, the intercept in the last row, and
        whether the fit converged.
    """
    loss = _Loss(x, y, classes)
    found: list[NDArray[np.float64]] = []
    for value in lambdas:
        weights, converged = loss.minimise(value, _ahead(found) if found else loss.start(), tolerance)
        found = [*found[-2:], weights]
        yield loss.like_rows(weights), converged


def logits_of(x: Array, weights: Array) -> Array:
    """Unnormalised log-probabilities, (m, K), of rows x (m, D) under weights (D + 1, K)."""
    return x @ weights[:-1] + weights[-1]


def _ahead(found: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Go one step on from one to three weights that are evenly spaced along the path."""
    if len(found) == 3:
        return 3 * found[2] - 3 * found[1] + found[0]
    return 2 * found[1] - found[0] if len(found) == 2 else found[0]


class _Loss:
    """The loss of rows under weights: rows stay where they are, the weights are numpy's and in float64."""

    def __init__(self, x: Array, y: NDArray[np.int64], classes: int) -> None:
        self.xp: Any = torch if isinstance(x, torch.Tensor) else np
        self.rows, self.classes = len(y), classes
        ones = self.xp.ones_like(x[:, :1])
        self.x = self.xp.concatenate([x, ones], axis=1)
        self.right: Array = np.arange(self.rows) * classes + y
        self.share = np.bincount(y, minlength=classes) / self.rows
        if self.xp is torch:
            self.right = torch.as_tensor(self.right, device=x.device)
        self.power = self.to_numpy((self.x * self.x).mean(axis=0))[:, None]
        self.steepness = 0.0
        self.value = 0.0

    def start(self) -> NDArray[np.float64]:
        """Weights that give every row the classes' shares."""
        weights = np.zeros((len(self.power), self.classes))
        weights[-1] = np.log(np.maximum(self.share, RARE))
        return weights

    def to_numpy(self, values: Array) -> NDArray[np.float64]:
        """Bring what the rows gave to numpy, in float64."""
        host = values.cpu().numpy() if self.xp is torch else values
        return np.asarray(host, dtype=np.float64)

    def like_rows(self, weights: NDArray[np.float64]) -> Array:
        """Bring weights to the rows' device and precision."""
        if self.xp is torch:
            return torch.as_tensor(weights, dtype=self.x.dtype, device=self.x.device)
        return weights.astype(self.x.dtype, copy=False)

    def minimise(
        self, lambda_: float, start: NDArray[np.float64], tolerance: float
    ) -> tuple[NDArray[np.float64], bool]:
        """Find the weights for one lambda, and say whether they are within the tolerance."""
        penalty = np.full_like(self.power, lambda_)
        penalty[-1] = 0
        unit = np.sqrt(self.power * self._spread(start) + penalty)

        def objective(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
            weights = flat.reshape(start.shape) / unit
            loss, gradient = self._at(weights)
            penalised = penalty * weights
            gradient = (gradient + penalised) / unit
            # With curvature 1 in these units, half the squared gradient is what is left to gain.
            self.value = loss + float(np.vdot(penalised, weights)) / 2
            self.steepness = float(np.vdot(gradient, gradient))
            return self.value, gradient.ravel()

        def stop_early(intermediate_result: OptimizeResult) -> None:
            if self.steepness <= 2 * tolerance * self.value:
                raise StopIteration

        options = {"maxiter": MAX_ITERATIONS, "maxfun": 2 * MAX_ITERATIONS, "gtol": 0.0, "ftol": 0.0}
        begin = (start * unit).ravel()
        found = minimize(objective, begin, jac=True, method="L-BFGS-B", callback=stop_early, options=options)
        left = float(np.vdot(found.jac, found.jac))
        return found.x.reshape(start.shape) / unit, left <= 2 * LOOSE * tolerance * float(found.fun)

    def _spread(self, weights: NDArray[np.float64]) -> float:
        """Mean of p (1 - p) over rows and classes, what curvature is proportional to."""
        p = self._odds(weights)
        p /= p.sum(axis=1, keepdims=True)
        return max(float((p * (1 - p)).mean()), RARE)

    def _odds(self, weights: NDArray[np.float64]) -> Array:
        """Exponentials of the logits less their largest, (n, K), all freshly made."""
        logits = self.x @ self.like_rows(weights)
        logits -= self.xp.amax(logits, axis=1, keepdims=True)
        self.xp.exp(logits, out=logits)
        return logits

    def _at(self, weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        """Mean cross-entropy and its gradient.

        The right class is kept out of the sum over classes, so that neither the loss nor the error of a row that is
        almost right is the difference of two numbers that are almost the same.
        """
        logits = self.x @ self.like_rows(weights)
        logits -= self.xp.amax(logits, axis=1, keepdims=True)
        flat = logits.reshape(-1)
        chosen = flat[self.right]
        self.xp.exp(logits, out=logits)
        own = flat[self.right]
        flat[self.right] = 0
        others = logits.sum(axis=1)
        near = self.xp.log1p(others * self.xp.exp(-self.xp.clip(chosen, FAR, 0)))
        far = self.xp.log(others + own) - chosen
        loss = float(self.xp.where(chosen > FAR, near, far).sum(dtype=self.xp.float64)) / self.rows
        total = others + own
        logits /= total[:, None]
        flat[self.right] = -others / total
        return loss, self.to_numpy(self.x.T @ logits) / self.rows
