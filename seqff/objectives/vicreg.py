"""VICReg: positives alike, every dimension alive, dimensions uncorrelated; no negatives."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from seqff.config import VICRegConfig
from seqff.objectives.base import Objective
from seqff.objectives.statistics import covariance, nothing, off_diagonal_squares, views
from seqff.objectives.tolerance import Tolerance
from seqff.relation import Relation

EPSILON = 1e-4


def vicreg_terms(x: Tensor, y: Tensor, *, tolerance: Tolerance | float | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """The three terms of VICReg.

    Args:
        x: (P, D) float, earlier rows.
        y: (P, D) float, the positive of each.
        tolerance: what a positive's mean squared difference over dimensions may be before it counts (0 same,
            2 unrelated); a Tolerance also learns from these positives. None: everything counts.

    Returns:
        invariance: mean squared difference of the positives.
        variance: mean over dimensions and both views of max(0, 1 - sqrt(var + 1e-4)).
        covariance: squared covariances off the diagonal, summed, over D; of both views together.

    Reference: Bardes, Ponce, LeCun 2022, arXiv:2105.04906, equations 1 to 5, with the factors of the authors' code:
    the mean also over D in the invariance, and the mean, not the sum, of the two views' variance terms.
    """
    apart = (x - y).square().mean(dim=1)
    if isinstance(tolerance, Tolerance):
        apart = F.relu(apart - tolerance.track(apart))
    elif tolerance is not None:
        apart = F.relu(apart - tolerance)
    centred = [view - view.mean(dim=0) for view in (x, y)]
    matrices = [covariance(view) for view in centred]
    alive = [F.relu(1 - (matrix.diagonal() + EPSILON).sqrt()).mean() for matrix in matrices]
    joint = [off_diagonal_squares(matrix) / x.shape[1] for matrix in matrices]
    return apart.mean(), (alive[0] + alive[1]) / 2, joint[0] + joint[1]


class VICReg(Objective):
    """VICReg as a term of a layer's loss.

    Args:
        config: the weights of the three terms, and whether the layer's tolerance holds.
        tolerance: of the layer, used with `config.tolerant`.
    """

    def __init__(self, config: VICRegConfig, tolerance: Tolerance) -> None:
        super().__init__()
        self.weights = config.weights
        self.tolerance = tolerance if config.tolerant else None

    def forward(self, z: Tensor, relation: Relation) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss and its terms before their weights, `vicreg_invariance`, `_variance` and `_covariance`."""
        names = ("vicreg_invariance", "vicreg_variance", "vicreg_covariance")
        if not len(relation.positive):
            return nothing(z, *names)
        terms = vicreg_terms(*views(z, relation.positive), tolerance=self.tolerance)
        loss = sum((weight * term for weight, term in zip(self.weights, terms, strict=True)), z.new_zeros(()))
        return loss, {name: term.detach() for name, term in zip(names, terms, strict=True)}
