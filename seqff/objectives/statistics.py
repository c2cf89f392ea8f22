"""Statistics of embeddings that objectives without negatives are made of."""

from __future__ import annotations

import torch
from torch import Tensor


def views(z: Tensor, positive: Tensor) -> tuple[Tensor, Tensor]:
    """Return the embeddings of the earlier and of the later rows of all positives.

    Args:
        z: (N, D) float.
        positive: (P, 2) int64 pairs of rows.

    Returns:
        Two (P, D) float32; a row that is in several pairs comes several times.
    """
    z = z.float()
    return z[positive[:, 0]], z[positive[:, 1]]


def covariance(centred: Tensor) -> Tensor:
    """Return the unbiased covariance, (D, D), of rows (P, D) of which the mean has been taken away; 0 for one row."""
    return centred.T @ centred / max(len(centred) - 1, 1)


def off_diagonal_squares(matrix: Tensor) -> Tensor:
    """Return the sum of the squares of a square matrix off its diagonal."""
    return (matrix - torch.diag(matrix.diagonal())).square().sum()


def nothing(z: Tensor, *names: str) -> tuple[Tensor, dict[str, Tensor]]:
    """Return what an objective gives for a batch without positives: a loss of 0 with a graph, and figures of 0."""
    zero = z.float().sum() * 0
    return zero, {name: zero.detach() for name in names}
