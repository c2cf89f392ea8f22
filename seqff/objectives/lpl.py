"""Latent predictive learning: predict the positive, keep variance up, decorrelate; no negatives."""

from __future__ import annotations

import torch
from torch import Tensor

from seqff.config import LPLConfig
from seqff.objectives.base import Objective
from seqff.objectives.statistics import covariance, nothing, off_diagonal_squares, views
from seqff.relation import Relation

EPSILON = 1e-4


def lpl_terms(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The three terms of LPL.

    Args:
        x: (P, D) float, earlier rows.
        y: (P, D) float, the positive of each.

    Returns:
        predictive: mean squared difference of the positives.
        hebbian: minus the mean over dimensions and both views of log(var + 1e-4).
        decorrelation: mean squared covariance of two different dimensions, of both views; no gradient flows through
            the means, neither here nor in the variance: a unit knows its own average, not how it came about.

    Reference: Halvagal and Zenke 2023, Nature Neuroscience 26:1906 (doi:10.1038/s41593-023-01460-y), with the
    constants of the authors' code.
    """
    matrices = [covariance(view - view.mean(dim=0).detach()) for view in (x, y)]
    variances = torch.stack([matrix.diagonal() for matrix in matrices])
    couples = max(x.shape[1] * (x.shape[1] - 1), 1)
    joint = [off_diagonal_squares(matrix) / couples for matrix in matrices]
    return (x - y).square().mean(), -torch.log(variances + EPSILON).mean(), (joint[0] + joint[1]) / 2


class LPL(Objective):
    """LPL as a term of a layer's loss.

    Args:
        config: the weights of the three terms.
    """

    def __init__(self, config: LPLConfig) -> None:
        super().__init__()
        self.weights = config.weights

    def forward(self, z: Tensor, relation: Relation) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss and its terms before their weights, `lpl_predictive`, `_hebbian` and `_decorrelation`."""
        names = ("lpl_predictive", "lpl_hebbian", "lpl_decorrelation")
        if not len(relation.positive):
            return nothing(z, *names)
        terms = lpl_terms(*views(z, relation.positive))
        loss = sum((weight * term for weight, term in zip(self.weights, terms, strict=True)), z.new_zeros(()))
        return loss, {name: term.detach() for name, term in zip(names, terms, strict=True)}
