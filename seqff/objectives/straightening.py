"""Straightening: the way of a video through feature space is straight; variance and covariance against collapse."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from seqff.config import StraighteningConfig
from seqff.objectives.base import Objective
from seqff.objectives.statistics import nothing
from seqff.objectives.temporal_hinge import masked_mean
from seqff.objectives.vicreg import vicreg_terms
from seqff.relation import Relation


def straightness(z: Tensor, positive: Tensor) -> Tensor:
    """Mean cosine between successive steps of a video: 1 straight on, 0 at right angles, -1 back.

    Args:
        z: (N, D) float32.
        positive: (P, 2) int64, pairs of rows (n, n + gap). Two pairs (a, b) and (b, c) make two successive steps.

    Returns:
        A scalar; 0 if no two pairs follow each other.

    Reference: Niu, Savin, Simoncelli 2024, arXiv:2411.01777, equation 1.
    """
    first, second = positive.unbind(dim=1)
    steps = F.normalize(z[second] - z[first], dim=1, eps=1e-8)
    follows = second[:, None] == first[None, :]
    return masked_mean(steps @ steps.T, follows)


class Straightening(Objective):
    """Straightening as a term of a layer's loss; positives must come in rows, so clips of three frames or more.

    The loss is the weighted sum of 1 - the mean cosine and the variance and covariance of `vicreg_terms`.

    Args:
        config: the weights.
    """

    def __init__(self, config: StraighteningConfig) -> None:
        super().__init__()
        self.weights = config.weights

    def forward(self, z: Tensor, relation: Relation) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss and its parts before their weights, `straightness`, `..._variance` and `..._covariance`."""
        names = ("straightness", "straightening_variance", "straightening_covariance")
        if not len(relation.positive):
            return nothing(z, *names)
        z = z.float()
        cosine = straightness(z, relation.positive)
        first, second = relation.positive.unbind(dim=1)
        _, variance, covariance = vicreg_terms(z[first], z[second])
        straight, alive, joint = self.weights
        loss = straight * (1 - cosine) + alive * variance + joint * covariance
        return loss, dict(zip(names, (cosine.detach(), variance.detach(), covariance.detach()), strict=True))
