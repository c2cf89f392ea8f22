"""Objectives without negatives: positives attracted, variance in every dimension, dimensions decorrelated.

VICReg, Barlow Twins, latent predictive learning, and straightening, which aligns successive steps of a video.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from seqff.objectives.base import Objective
from seqff.objectives.pairwise import masked_mean, views, zero_loss
from seqff.objectives.tolerance import Tolerance
from seqff.relation import Relation


def covariance(centered: Tensor) -> Tensor:
    """Return the unbiased covariance, (D, D), of centered rows (P, D); 0 for one row."""
    return centered.T @ centered / max(len(centered) - 1, 1)


def off_diagonal_squares(matrix: Tensor) -> Tensor:
    """Return the sum of the squared off-diagonal elements of a square matrix."""
    return (matrix - torch.diag(matrix.diagonal())).square().sum()


def vicreg_terms(x: Tensor, y: Tensor, tolerance: Tolerance | float | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """Return the three terms of VICReg.

    Args:
        x: (P, D) float, earlier rows.
        y: (P, D) float, the positive of each.
        tolerance: mean squared difference over dimensions that a positive may have without cost (0 same, 2 unrelated);
            a Tolerance is also updated from these positives. None: no tolerance.

    Returns:
        invariance: mean squared difference of the positives.
        variance: mean over dimensions and both views of max(0, 1 - sqrt(var + 1e-4)).
        covariance: sum of the squared off-diagonal covariances of both views, divided by D.

    Reference: Bardes, Ponce, LeCun 2022, arXiv:2105.04906, equations 1 to 5, with the factors of the authors' code:
    the invariance is also averaged over D, and the two views' variance terms are averaged, not summed.
    """
    apart = (x - y).square().mean(dim=1)
    if tolerance is not None:
        apart = F.relu(apart - (tolerance.track(apart) if isinstance(tolerance, Tolerance) else tolerance))
    matrices = [covariance(view - view.mean(dim=0)) for view in (x, y)]
    alive = [F.relu(1 - (matrix.diagonal() + 1e-4).sqrt()).mean() for matrix in matrices]
    joint = [off_diagonal_squares(matrix) / x.shape[1] for matrix in matrices]
    return apart.mean(), (alive[0] + alive[1]) / 2, joint[0] + joint[1]


def barlow_terms(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Return the two terms of Barlow Twins.

    Args:
        x: (P, D) float, earlier rows.
        y: (P, D) float, the positive of each.

    Returns:
        on_diagonal: sum over dimensions of (1 - C_ii) ** 2, C the correlations between x and y.
        off_diagonal: sum of C_ij ** 2 over i != j.

    Reference: Zbontar, Jing, Misra, LeCun, Deny 2021, arXiv:2103.03230, equations 1 and 2.
    """
    correlation = _standardize(x).T @ _standardize(y) / len(x)
    return (1 - correlation.diagonal()).square().sum(), off_diagonal_squares(correlation)


def _standardize(x: Tensor) -> Tensor:
    """Give every dimension mean 0 and variance 1 over the batch, as batch normalization does."""
    centered = x - x.mean(dim=0)
    return centered * torch.rsqrt(centered.square().mean(dim=0) + 1e-5)


def lpl_terms(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the three terms of latent predictive learning.

    Args:
        x: (P, D) float, earlier rows.
        y: (P, D) float, the positive of each.

    Returns:
        predictive: mean squared difference of the positives.
        hebbian: minus the mean over dimensions and both views of log(var + 1e-4).
        decorrelation: mean squared covariance of two different dimensions, of both views. No gradient flows through the
            means, here or in the variance: a unit knows its own average, but not how it depends on single inputs.

    Reference: Halvagal and Zenke 2023, Nature Neuroscience 26:1906 (doi:10.1038/s41593-023-01460-y), with the
    constants of the authors' code.
    """
    matrices = [covariance(view - view.mean(dim=0).detach()) for view in (x, y)]
    variances = torch.stack([matrix.diagonal() for matrix in matrices])
    couples = max(x.shape[1] * (x.shape[1] - 1), 1)
    joint = [off_diagonal_squares(matrix) / couples for matrix in matrices]
    return (x - y).square().mean(), -torch.log(variances + 1e-4).mean(), (joint[0] + joint[1]) / 2


def straightness(z: Tensor, positive: Tensor) -> Tensor:
    """Return the mean cosine between successive steps of a video: 1 straight, 0 orthogonal, -1 reversed.

    Args:
        z: (N, D) float32.
        positive: (P, 2) int64, pairs of rows (n, n + gap). Two pairs (a, b) and (b, c) form two successive steps.

    Returns:
        A scalar; 0 if there are no successive pairs.

    Reference: Niu, Savin, Simoncelli 2024, arXiv:2411.01777, equation 1.
    """
    first, second = positive.unbind(dim=1)
    steps = F.normalize(z[second] - z[first], dim=1, eps=1e-8)
    follows = second[:, None] == first[None, :]
    return masked_mean(steps @ steps.T, follows)


class Decorrelation(Objective):
    """The weighted sum of a formula's terms on the positives: VICReg, Barlow Twins, LPL.

    Args:
        formula: maps (P, D) earlier rows and their (P, D) positives to its terms; a tolerance is the third argument.
        weights: weights of the terms, by the names under which their unweighted values are logged.
        tolerance: tolerance of the layer; None if the formula takes none.
    """

    def __init__(
        self,
        formula: Callable[..., Sequence[Tensor]],
        weights: dict[str, float],
        tolerance: Tolerance | None = None,
    ) -> None:
        super().__init__()
        self.formula, self.weights, self.tolerance = formula, weights, tolerance

    def forward(self, z: Tensor, relation: Relation) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss and the terms."""
        if not len(relation.positive):
            return zero_loss(z, *self.weights)
        more = () if self.tolerance is None else (self.tolerance,)
        terms = dict(zip(self.weights, self.formula(*views(z, relation.positive), *more), strict=True))
        loss = sum((self.weights[name] * term for name, term in terms.items()), z.new_zeros(()))
        return loss, {name: term.detach() for name, term in terms.items()}


class Straightening(Objective):
    """The weighted sum of 1 - `straightness` and VICReg's variance and covariance; clips need three frames or more.

    Args:
        weights: weights of the three terms.
    """

    def __init__(self, weights: tuple[float, float, float]) -> None:
        super().__init__()
        self.weights = weights

    def forward(self, z: Tensor, relation: Relation) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss, and the unweighted `straightness`, `straightening_variance` and `..._covariance`."""
        names = ("straightness", "straightening_variance", "straightening_covariance")
        if not len(relation.positive):
            return zero_loss(z, *names)
        cosine = straightness(z.float(), relation.positive)
        _, variance, covariance = vicreg_terms(*views(z, relation.positive))
        straight, alive, joint = self.weights
        loss = straight * (1 - cosine) + alive * variance + joint * covariance
        return loss, dict(zip(names, (cosine.detach(), variance.detach(), covariance.detach()), strict=True))
