"""Scale feature rows alike for every layer and rotate them to their principal axes before classification.

All functions accept numpy arrays or torch tensors on any device, and return the same type.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

CONSTANT = 1e-6
"""A feature is constant if its standard deviation is below this share of its largest absolute value."""
BLOCK_VALUES = 2**22
"""Number of values processed at a time. Matrices up to this size are converted to float64; larger ones keep their
precision."""

Array = Any
"""A numpy array or a torch tensor."""


def module_of(x: Array) -> Any:
    """The module, numpy or torch, whose functions accept x."""
    return torch if isinstance(x, torch.Tensor) else np


def to_numpy(x: Array) -> NDArray[Any]:
    """Convert an array, or a tensor on any device, to numpy."""
    return x.detach().cpu().numpy() if isinstance(x, torch.Tensor) else np.asarray(x)


def cast(x: Array, dtype: Any) -> Array:
    """Convert an array or a tensor to a dtype of its own module; no copy if it has it already."""
    return x.to(dtype) if isinstance(x, torch.Tensor) else x.astype(dtype, copy=False)


def precise(x: Array) -> Array:
    """Convert small matrices to float64, and large ones to float32 unless they are float64 already."""
    xp = module_of(x)
    wide = x.shape[0] * x.shape[1] <= BLOCK_VALUES and not (xp is torch and x.device.type == "mps")
    return cast(x, xp.float64 if wide or x.dtype == xp.float64 else xp.float32)


@dataclass(frozen=True)
class Scaling:
    """Scaling fitted on training rows: features get mean 0, and rows mean squared norm 1 at any width.

    Args:
        kept: (D,) features that vary in training; the others are dropped.
        mean: (D',) means of the kept features.
        scale: (D',) their standard deviations times sqrt(D').
    """

    kept: Array
    mean: Array
    scale: Array

    @property
    def constant(self) -> int:
        """Number of features dropped."""
        return int((~self.kept).sum())

    def __call__(self, x: Array) -> Array:
        """Scale rows, (m, D), to (m, D') in the precision of the training rows; always returns a new array."""
        kept = x[:, self.kept] if self.constant else x
        scaled = cast(kept, self.mean.dtype) - self.mean
        scaled /= self.scale
        return scaled


def row_blocks(x: Array) -> list[slice]:
    """Slices of the rows of x, (n, D), with up to `BLOCK_VALUES` values each."""
    step = max(1, BLOCK_VALUES // max(x.shape[1], 1))
    return [slice(start, start + step) for start in range(0, len(x), step)]


def fit_scaling(train: Array) -> Scaling:
    """Fit a `Scaling` to training rows, (n, D), block by block."""
    xp, blocks, rows = module_of(train), row_blocks(train), len(train)
    mean = sum(precise(train[block]).sum(axis=0) for block in blocks) / rows
    std = xp.sqrt(sum(xp.square(precise(train[block]) - mean).sum(axis=0) for block in blocks) / rows)
    largest = xp.amax(xp.stack([xp.amax(xp.abs(train[block]), axis=0) for block in blocks]), axis=0)
    kept = std > CONSTANT * largest
    dtype = mean.dtype if len(blocks) == 1 else xp.promote_types(train.dtype, xp.float32)
    scale = std[kept] * max(int(kept.sum()), 1) ** 0.5
    return Scaling(kept, cast(mean[kept], dtype), cast(scale, dtype))


def principal_axes(train: Array) -> Array:
    """Orthonormal axes, (D, r) with r = min(n, D), that span the training rows (n, D), strongest first.

    The penalty of a linear classifier is invariant under rotation, and the optimal weights lie in the span of the
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
    """Project scaled rows, (n, D), onto `width` random directions that depend only on D, width and seed.

    Returns x itself if it is no wider. A random projection (Johnson, Lindenstrauss 1984) preserves inner products up to
    noise and prefers no direction. Principal axes would favor the classifier, and would drop nothing if there are fewer
    rows than `width`.
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
    """Cached: training and test rows, and mostly all folds, share them, and drawing costs more than projecting."""
    draws = np.random.default_rng([seed, wide, width]).standard_normal((wide, width))
    draws /= width**0.5
    return draws
