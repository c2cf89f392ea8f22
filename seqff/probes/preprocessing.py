"""Rows of features before a classifier sees them: scaled alike whatever the layer, and turned to their principal axes.

Everything here takes numpy arrays, or torch tensors on any device, and gives back what it was given.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

CONSTANT = 1e-6
"""A feature whose standard deviation is below this share of its largest value counts as constant."""
FLOAT64_UP_TO = 2**22
"""Values of a matrix up to which float64 costs nothing worth saving; larger ones stay in the precision they have."""

Array = Any
"""A numpy array or a torch tensor."""


def module_of(x: Array) -> Any:
    """The module, numpy or torch, whose functions take x."""
    return torch if isinstance(x, torch.Tensor) else np


def to_numpy(x: Array) -> NDArray[Any]:
    """Bring an array or a tensor on any device to numpy."""
    return x.detach().cpu().numpy() if isinstance(x, torch.Tensor) else np.asarray(x)


def precise(x: Array) -> Array:
    """Turn small matrices into float64; large ones into float32 unless they are float64 already."""
    size = x.shape[0] * x.shape[1]
    if isinstance(x, torch.Tensor):
        wide = size <= FLOAT64_UP_TO and x.device.type != "mps"
        return x.double() if wide or x.dtype == torch.float64 else x.float()
    return x.astype(np.float64 if size <= FLOAT64_UP_TO or x.dtype == np.float64 else np.float32)


@dataclass(frozen=True)
class Scaling:
    """What training rows are moved and divided by, so that their mean is 0 and their mean square 1 at any width.

    Args:
        kept: (D,) which features vary in training; the others are dropped.
        mean: (D',) of the kept features.
        scale: (D',) their standard deviation times sqrt(D').
    """

    kept: Array
    mean: Array
    scale: Array

    @property
    def constant(self) -> int:
        """Features dropped."""
        return int((~self.kept).sum())

    def __call__(self, x: Array) -> Array:
        """Scale rows, (m, D), to (m, D') in the precision of the training rows."""
        kept = x[:, self.kept]
        like = kept.to(self.mean.dtype) if isinstance(x, torch.Tensor) else kept.astype(self.mean.dtype)
        return (like - self.mean) / self.scale


def fit_scaling(train: Array) -> Scaling:
    """Measure training rows, (n, D); see `Scaling`."""
    xp = module_of(train)
    x = precise(train)
    mean = x.mean(axis=0)
    std = xp.sqrt(xp.square(x - mean).mean(axis=0))
    kept = std > CONSTANT * xp.amax(xp.abs(x), axis=0)
    return Scaling(kept, mean[kept], std[kept] * max(int(kept.sum()), 1) ** 0.5)


def standardise(train: Array, test: Array) -> tuple[Array, Array, int]:
    """Give training features mean 0 and rows of mean square 1; treat test features with the same numbers.

    Args:
        train: (n, D).
        test: (m, D).

    Returns:
        Both without the features that are constant in training, and the number of those.
    """
    scaling = fit_scaling(train)
    return scaling(train), scaling(test), scaling.constant


def principal_axes(train: Array) -> Array:
    """Axes, (D, r) with r = min(n, D), the strongest first, that span the training rows (n, D).

    The penalty of a linear classifier does not change under rotation, and the best weights lie in the span of the
    training rows, so the optimum in these coordinates is the optimum in all D. The same holds for any subset of the
    training rows.

    Reference: Hastie, Tibshirani 2004, doi:10.1093/biostatistics/kxh010.
    """
    xp = module_of(train)
    rows, width = train.shape
    if width > rows:
        return xp.linalg.svd(train, full_matrices=False)[2].T
    return xp.flip(xp.linalg.eigh(train.T @ train)[1], (1,))


def narrow(x: Array, width: int, seed: int) -> Array:
    """Project scaled rows, (n, D), onto `width` random directions that depend on D, width and seed alone.

    A random projection (Johnson, Lindenstrauss 1984) keeps inner products up to noise and prefers no direction.
    Principal axes would choose for the classifier, and with fewer rows than `width` would drop nothing at all.

    Returns:
        (n, width); x itself if it is no wider.
    """
    wide = x.shape[1]
    if wide <= width:
        return x
    draws = _directions(seed, wide, width)
    if isinstance(x, torch.Tensor):
        return x @ torch.as_tensor(draws, dtype=x.dtype, device=x.device)
    return x @ draws.astype(x.dtype)


@lru_cache(maxsize=4)
def _directions(seed: int, wide: int, width: int) -> NDArray[np.float64]:
    """The same for the rows fitted and those tested, and mostly for all folds: drawing them takes longer than using."""
    draws = np.random.default_rng([seed, wide, width]).standard_normal((wide, width))
    draws /= width**0.5
    return draws
