"""Barlow Twins: the correlations between two positives are to be the identity matrix."""

from __future__ import annotations

import torch
from torch import Tensor

from seqff.config import BarlowConfig
from seqff.objectives.base import Objective
from seqff.objectives.statistics import nothing, off_diagonal_squares, views
from seqff.relation import Relation

EPSILON = 1e-5


def standardise(x: Tensor) -> Tensor:
    """Give every dimension of rows (P, D) mean 0 and variance 1 over the batch, as batch normalisation does."""
    centred = x - x.mean(dim=0)
    return centred * torch.rsqrt(centred.square().mean(dim=0) + EPSILON)


def barlow_terms(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """The two terms of Barlow Twins.

    Args:
        x: (P, D) float, earlier rows.
        y: (P, D) float, the positive of each.

    Returns:
        on_diagonal: sum over dimensions of (1 - C_ii) ** 2, C the correlations between x and y.
        off_diagonal: sum of C_ij ** 2 over i != j.

    Reference: Zbontar, Jing, Misra, LeCun, Deny 2021, arXiv:2103.03230, equations 1 and 2.
    """
    correlation = standardise(x).T @ standardise(y) / len(x)
    return (1 - correlation.diagonal()).square().sum(), off_diagonal_squares(correlation)


class Barlow(Objective):
    """Barlow Twins as a term of a layer's loss.

    Args:
        config: the weight of the off-diagonal term.
    """

    def __init__(self, config: BarlowConfig) -> None:
        super().__init__()
        self.config = config

    def forward(self, z: Tensor, relation: Relation) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss and its terms before their weights, `barlow_on_diagonal` and `barlow_off_diagonal`."""
        names = ("barlow_on_diagonal", "barlow_off_diagonal")
        if not len(relation.positive):
            return nothing(z, *names)
        on, off = barlow_terms(*views(z, relation.positive))
        return on + self.config.off_diagonal * off, dict(zip(names, (on.detach(), off.detach()), strict=True))
