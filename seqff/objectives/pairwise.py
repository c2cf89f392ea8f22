"""Functions of rows and pairs of rows for objectives: distances, scores, masked means."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

EmbeddingNorm = Literal["unit", "none"]


def unit(z: Tensor) -> Tensor:
    """Scale each row of z, (N, D), to length 1."""
    return F.normalize(z, dim=1, eps=1e-8)


def normalize(z: Tensor, kind: EmbeddingNorm) -> Tensor:
    """Scale the rows of z, (N, D) float, to length 1 ("unit"), or return them unchanged ("none").

    Raises:
        ValueError: unknown kind.
    """
    if kind not in ("unit", "none"):
        raise ValueError(f"objective.embedding_norm is {kind!r}: choose from unit, none")
    return unit(z) if kind == "unit" else z


def squared_distances(u: Tensor) -> Tensor:
    """Return the squared Euclidean distances between all rows of u, (N, D) float.

    Returns:
        (N, N), non-negative, 0 between equal rows up to rounding.
    """
    down, across = (
        u.square().sum(dim=1),
        u.square().sum(dim=1),
    )  # reusing one sum in both places would round gradients differently
    return torch.clamp(down[:, None] + across[None, :] - 2 * (u @ u.T), min=0)


class BilinearScore(nn.Module):
    """Bilinear scores z_k . W z_n; W is learned with the layer.

    W is `weight` / D. Initial scores of embeddings with mean square 1 are then of order 1, whatever D is, and a step of
    Adam changes them about as much as a step on the layer's weights: with W itself as the parameter, a step of 0.002 on
    each of a million entries would change the scores of 1024 positive features by hundreds.

    Args:
        dim: D of the embeddings.
        generator: source of the initial weights.

    Reference: the f_k of CPC, van den Oord et al. 2018, arXiv:1807.03748, equation 3, before the exponential.
    """

    def __init__(self, dim: int, *, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(dim, dim))
        nn.init.normal_(self.weight, generator=generator)

    def forward(self, z: Tensor) -> Tensor:
        """Map embeddings, (N, D), to scores, (N, N): entry (n, k) is how well row n predicts row k."""
        return (z @ self.weight.T) @ z.T / len(self.weight)


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Return the mean of the values where the mask is true, 0 if it is never true, without host synchronization."""
    return (values * mask).sum() / mask.sum().clamp(min=1)


def views(z: Tensor, positive: Tensor) -> tuple[Tensor, Tensor]:
    """Return the embeddings of the earlier and of the later rows of all positives.

    Args:
        z: (N, D) float.
        positive: (P, 2) int64 pairs of rows.

    Returns:
        Two (P, D) float32; a row that is in several pairs is repeated.
    """
    z = z.float()
    return z[positive[:, 0]], z[positive[:, 1]]


def zero_loss(z: Tensor, *names: str) -> tuple[Tensor, dict[str, Tensor]]:
    """Return an objective's result for a batch without positives: a loss of 0 with a graph, and metrics of 0."""
    zero = z.float().sum() * 0
    return zero, {name: zero.detach() for name in names}
