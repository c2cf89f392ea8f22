"""The matrix through which one row's embedding predicts another's."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Predictor(nn.Module):
    """Bilinear scores z_k . W z_n; W is learnt with the layer.

    W is `weight` / D. Scores of fresh embeddings of mean square 1 are then of order 1 whatever D is, and a step of Adam
    changes them by about as much as a step on the layer's own weights: with W itself as the parameter, a step of 0.002
    on each of a million entries throws the scores of 1024 positive features by hundreds.

    Args:
        dim: D of the embeddings.
        generator: source of the initial weights.

    Reference: the f_k of CPC, van den Oord et al. 2018, arXiv:1807.03748, equation 3, before the exponential.
    """

    def __init__(self, dim: int, *, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(dim, dim))
        nn.init.normal_(self.weight, generator=generator)

    def forward(self, z: Tensor, others: Tensor) -> Tensor:
        """Map embeddings, (N, D) and (M, D), to scores, (N, M): entry (n, k) says how well row n predicts other k."""
        return (z @ self.weight.T) @ others.T / len(self.weight)
