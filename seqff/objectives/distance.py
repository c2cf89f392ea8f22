"""Distances between embeddings."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def unit(z: Tensor) -> Tensor:
    """Scale each row of z, (N, D), to length 1."""
    return F.normalize(z, dim=1, eps=1e-8)


def squared_distances(u: Tensor) -> Tensor:
    """Return all squared Euclidean distances between the rows of u.

    Args:
        u: (N, D) float.

    Returns:
        (N, N), non-negative, 0 on the diagonal up to rounding.
    """
    squares = u.square().sum(dim=1)
    return torch.clamp(squares[:, None] + squares[None, :] - 2 * (u @ u.T), min=0)
