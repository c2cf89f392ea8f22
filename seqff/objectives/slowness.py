"""Differentiable slow feature analysis: positives attracted in whitened coordinates, so that no direction collapses."""

from __future__ import annotations

import torch
from torch import Tensor

from seqff.objectives.base import Objective
from seqff.objectives.pairwise import views, zero_loss
from seqff.relation import Relation

NOISE = 0.01
"""Noise added by the objective (see `slowness`), to whiten batches with fewer rows than dimensions."""
TINY = 1e-8


def slowness(x: Tensor, y: Tensor, *, noise: float = 0.0) -> Tensor:
    """Return the mean squared change of the whitened embeddings: SFA's delta value, averaged over all directions.

    With C the covariance of the rows and C' that of the changes x - y, it is trace(C^-1 C') / D: the size of the
    changes after whitening has imposed SFA's constraints of zero mean, unit variance and decorrelation. It equals the
    mean of the generalized eigenvalues of (C', C), which SFA solves for, and is invariant under invertible linear maps
    of z: 0 nothing changes, 2 positives are unrelated, 4 opposite.

    The formula assumes independent noise on every row, of variance e = noise * trace(C) / D in each direction: C + e I
    and C' + 2 e I replace C and C'. A direction without variance is then as fast as noise (2), so that collapsing a
    direction does not count as slowness.

    Args:
        x: (P, D) float, earlier rows.
        y: (P, D) float, the positive of each.
        noise: variance of the noise as a fraction of the mean variance of the dimensions; 0 needs a covariance of full
            rank, so more rows than dimensions.

    Returns:
        A scalar.

    Reference: Wiskott and Sejnowski 2002, Neural Computation 14:715 (the problem); Schueler, Hlynsson, Wiskott 2019,
    arXiv:1808.08833 (gradients through the whitening, there by power iteration); noise against singular covariances:
    Konen 2009, arXiv:0912.1064.
    """
    rows = torch.cat([x, y])
    centered = rows - rows.mean(dim=0)
    dim = x.shape[1]
    spread = centered.T @ centered / len(rows)
    added = noise * spread.diagonal().mean() + TINY
    identity = torch.eye(dim, device=x.device, dtype=x.dtype)
    # a Cholesky without error check needs no synchronization with the host
    factor, _ = torch.linalg.cholesky_ex(spread + added * identity)
    changes = torch.linalg.solve_triangular(factor, (x - y).T, upper=False).square().sum() / len(x)
    of_noise = torch.linalg.solve_triangular(factor, identity, upper=False).square()
    loss: Tensor = (changes + 2 * added * of_noise.sum()) / dim
    return loss


class Slowness(Objective):
    """Slowness as a term of a layer's loss."""

    def forward(self, z: Tensor, relation: Relation) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss, a number between 0 and 4, and no metrics."""
        if not len(relation.positive):
            return zero_loss(z)
        return slowness(*views(z, relation.positive), noise=NOISE), {}
