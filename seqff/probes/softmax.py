"""Multinomial logistic regression with an L2 penalty, along a regularization path.

The loss is the mean cross-entropy plus lambda / 2 times the squared weights; the intercept is not penalized. The loss
is strictly convex in the weights, so every exact solver finds the same ones. This one is L-BFGS (Liu, Nocedal 1989,
doi:10.1007/BF01589116), as in scikit-learn's LogisticRegression, with three additions: weights are preconditioned by
the expected curvature along their axes, each fit starts from a quadratic extrapolation of the previous three, and a fit
stops when its estimated relative distance from the minimum is small, instead of at a fixed gradient norm.
`benchmarks/probes.py` measures the savings.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import OptimizeResult, minimize

from seqff.probes.preprocessing import Array, row_blocks

TOLERANCE = 1e-6
"""Relative gap between loss and minimum at which a fit stops, estimated by a quadratic model around the minimum."""
LOOSE = 100
"""A fit that cannot improve further still counts as converged if its gap is at most this many tolerances."""
MAX_ITERATIONS = 2000
RARE = 1e-12
"""Share assumed for an absent class: its intercept starts, and stays, far below the others."""
FAR = -60.0
"""Log-odds below which the correct class's own term in the sum over classes is negligible."""


def lambda_path(rows: int) -> tuple[float, ...]:
    """13 penalties for rows of mean squared norm 1, evenly spaced in their logarithm, strong to weak.

    At 1 the weights are so small that the probe compares class means. At 1e-4 / rows the penalty is negligible beside
    the loss of a single row.

    Args:
        rows: number of rows in the whole set.
    """
    return tuple(np.geomspace(1, 1e-4 / rows, 13).tolist())


def softmax_path(
    x: Array,
    y: NDArray[np.int64],
    classes: int,
    lambdas: Sequence[float],
    *,
    tolerance: float = TOLERANCE,
    start: Array | None = None,
) -> Iterator[tuple[Array, bool]]:
    """Fit a path of lambdas, each warm-started by extrapolating the previous fits.

    Args:
        x: (n, D) float32 or float64, array or tensor; fastest if the columns are principal axes, because the curvature
            is then proportional to their mean squares. Sums over rows use x's precision and device.
        y: (n,) class numbers below `classes`.
        classes: number of classes, K.
        lambdas: strong to weak, evenly spaced in their logarithm.
        tolerance: see `TOLERANCE`; float32 rows reach 1e-6.
        start: (D + 1, K) initial weights; None starts from the class frequencies.

    Yields:
        For each lambda, the (D + 1, K) weights in x's precision and on its device, with the intercept in the last row,
        and whether the fit converged.
    """
    loss = _Loss(x, y, classes)
    found: list[NDArray[np.float64]] = []
    for value in lambdas:
        begin = _extrapolated(found) if found else loss.start() if start is None else loss.to_numpy(start)
        weights, converged = loss.minimize(value, begin, tolerance)
        found = [*found[-2:], weights]
        yield loss.like_rows(weights), converged


def logits_of(x: Array, weights: Array) -> Array:
    """Unnormalized log-probabilities, (m, K), of rows x (m, D) with weights (D + 1, K)."""
    return x @ weights[:-1] + weights[-1]


def _extrapolated(found: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Extrapolate the next weights from the last one to three, which are evenly spaced along the path."""
    if len(found) == 3:
        return 3 * found[2] - 3 * found[1] + found[0]
    return 2 * found[1] - found[0] if len(found) == 2 else found[0]


class _Loss:
    """The loss as a function of float64 numpy weights; the rows keep their precision and device."""

    def __init__(self, x: Array, y: NDArray[np.int64], classes: int) -> None:
        self.xp: Any = torch if isinstance(x, torch.Tensor) else np
        self.x, self.rows, self.classes = x, len(y), classes
        self.blocks = row_blocks(x)
        places = [np.arange(len(y[block])) * classes + y[block] for block in self.blocks]
        self.right: list[Array] = [torch.as_tensor(p, device=x.device) if self.xp is torch else p for p in places]
        self.share = np.bincount(y, minlength=classes) / self.rows
        power = sum(self.to_numpy((x[block] * x[block]).sum(axis=0)) for block in self.blocks) / self.rows
        self.power = np.append(power, 1.0)[:, None]
        self.left = 0.0
        self.value = 0.0

    def start(self) -> NDArray[np.float64]:
        """Weights that predict the class frequencies for every row."""
        weights = np.zeros((len(self.power), self.classes))
        weights[-1] = np.log(np.maximum(self.share, RARE))
        return weights

    def to_numpy(self, values: Array) -> NDArray[np.float64]:
        """Convert results computed from the rows to float64 numpy arrays."""
        host = values.cpu().numpy() if self.xp is torch else values
        return np.asarray(host, dtype=np.float64)

    def like_rows(self, weights: NDArray[np.float64]) -> Array:
        """Convert weights to the rows' device and precision."""
        if self.xp is torch:
            return torch.as_tensor(weights, dtype=self.x.dtype, device=self.x.device)
        return weights.astype(self.x.dtype, copy=False)

    def minimize(
        self, lambda_: float, start: NDArray[np.float64], tolerance: float
    ) -> tuple[NDArray[np.float64], bool]:
        """Find the weights for one lambda; also return whether they are within the tolerance."""
        penalty = np.full_like(self.power, lambda_)
        penalty[-1] = 0
        at_start = self._at(start)
        unit = np.sqrt(self.power * max(at_start[2], RARE) + penalty)
        known = [at_start]  # the solver evaluates the start first

        def objective(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
            weights = flat.reshape(start.shape) / unit
            loss, gradient, _ = known.pop() if known else self._at(weights)
            penalized = penalty * weights
            gradient = (gradient + penalized) / unit
            self.value = loss + float(np.vdot(penalized, weights)) / 2
            # With unit curvature in these coordinates, half the squared gradient is the remaining gap.
            self.left = float(np.vdot(gradient, gradient)) / 2
            return self.value, gradient.ravel()

        def stop_early(intermediate_result: OptimizeResult) -> None:
            if self.left <= tolerance * self.value:
                raise StopIteration

        options = {"maxiter": MAX_ITERATIONS, "maxfun": 2 * MAX_ITERATIONS, "gtol": 0.0, "ftol": 0.0}
        begin = (start * unit).ravel()
        found = minimize(objective, begin, jac=True, method="L-BFGS-B", callback=stop_early, options=options)
        left = float(np.vdot(found.jac, found.jac)) / 2
        return found.x.reshape(start.shape) / unit, left <= LOOSE * tolerance * float(found.fun)

    def _at(self, weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64], float]:
        """Mean cross-entropy, its gradient, and the mean of p (1 - p), to which the curvature is proportional.

        The correct class is left out of the sum over classes, so that neither the loss nor the error of a row that is
        almost certainly correct is the difference of two nearly equal numbers.
        """
        xp, slopes, intercept = self.xp, self.like_rows(weights[:-1]), self.like_rows(weights[-1])
        loss, spread, gradient = 0.0, 0.0, np.zeros_like(weights)
        for block, right in zip(self.blocks, self.right, strict=True):
            logits = self.x[block] @ slopes
            logits += intercept
            logits -= xp.amax(logits, axis=1, keepdims=True)
            flat = logits.reshape(-1)
            chosen = flat[right]
            xp.exp(logits, out=logits)
            own = flat[right]
            flat[right] = 0
            others = logits.sum(axis=1)
            near = xp.log1p(others * xp.exp(-xp.clip(chosen, FAR, 0)))
            far = xp.log(others + own) - chosen
            loss += float(xp.where(chosen > FAR, near, far).sum(dtype=xp.float64))
            total = others + own
            logits /= total[:, None]
            flat[right] = -others / total
            spread += float((xp.abs(flat) - xp.square(flat)).sum(dtype=xp.float64))
            gradient[:-1] += self.to_numpy(logits.T @ self.x[block]).T
            gradient[-1] += self.to_numpy(logits.sum(axis=0))
        return loss / self.rows, gradient / self.rows, spread / (self.rows * self.classes)
