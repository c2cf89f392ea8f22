"""Distances between embeddings."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

EmbeddingNorm = Literal["unit", "none"]


def unit(z: Tensor) -> Tensor:
    """Scale each row of z, (N, D), to length 1."""
    return F.normalize(z, dim=1, eps=1e-8)


def normalise(z: Tensor, kind: EmbeddingNorm) -> Tensor:
    """Scale the rows of z before they are compared.

    Args:
        z: (N, D) float.
        kind: "unit", length 1, so that squared distances lie in 0..4; "none", as they are, and then their scale
            decides what a tolerance means.

    Raises:
        ValueError: unknown kind.
    """
    if kind not in ("unit", "none"):
        raise ValueError(f"objective.embedding_norm is {kind!r}: choose from unit, none")
    return unit(z) if kind == "unit" else z


def squared_distances(u: Tensor, others: Tensor | None = None) -> Tensor:
    """Return all squared Euclidean distances between the rows of u and those of others.

    Args:
        u: (N, D) float.
        others: (M, D) float; None for u itself.

    Returns:
        (N, M), non-negative, 0 between equal rows up to rounding.
    """
    others = u if others is None else others
    squares, of_others = u.square().sum(dim=1), others.square().sum(dim=1)
    return torch.clamp(squares[:, None] + of_others[None, :] - 2 * (u @ others.T), min=0)
