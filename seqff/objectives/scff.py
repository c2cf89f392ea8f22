"""Self-contrastive Forward-Forward: goodness high for sums of two positives, low for sums of two negatives."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from seqff.config import ObjectiveConfig
from seqff.objectives.base import Objective
from seqff.objectives.goodness import goodness
from seqff.objectives.negatives import kinds, pick
from seqff.objectives.pairwise import masked_mean, zero_loss
from seqff.relation import Relation


def rise(g: Tensor, *, threshold: float, penalty: float = 0.0) -> Tensor:
    """Return the loss of the positive sums: mean of softplus(theta - g), + penalty * mean over rows of ||g||.

    Args:
        g: (P, K) float, goodness at K positions.
        threshold: theta of the positives.
        penalty: weight of the length of a row's goodness map.

    Reference: Chen, Liu, Laydevant, Grollier 2025, Nature Communications 16:5978 (arXiv:2409.11593); goodness at each
        position, two thresholds and the penalty follow the authors' code.
    """
    length: Tensor = torch.linalg.vector_norm(g, dim=1)
    return F.softplus(threshold - g).mean() + penalty * length.mean()


def fall(g: Tensor, valid: Tensor, *, threshold: float) -> Tensor:
    """Return the loss of the negative sums: mean of softplus(g - theta), 0 if there are none.

    Args:
        g: (P, K) float, goodness at K positions.
        valid: (P,) bool, rows whose frame has a negative.
        threshold: theta of the negatives.

    Reference: as `rise`.
    """
    return masked_mean(F.softplus(g - threshold), valid[:, None].expand_as(g))


class SCFF(Objective):
    """SCFF: the layer's inputs are sums of two inputs, a frame and its positive, or a frame and a negative.

    The authors feed a layer two inputs through the same weights, which equals their sum: an image with itself or with
        another one, each standardized. Here one negative of each kind with nonzero weight is picked (see `pick`,
        `objective.same_video`, `objective.negative_weight`). Every layer forms its own sums of the outputs of the layer
        below.

    Args:
        config: thresholds, penalty, and the weights of negatives.
    """

    sees = "composed"

    def __init__(self, config: ObjectiveConfig) -> None:
        super().__init__()
        self.config = config

    def compose(self, h: Tensor, relation: Relation) -> Tensor:
        """Return the positive sums and, for each kind of negatives with a weight, as many negative ones.

        Without positives, one row of h is used, so that the layer has an input.
        """
        if not len(relation.positive):
            return h[:1]
        h = F.layer_norm(h.float(), h.shape[1:], eps=1e-5)
        first, second = relation.positive.T
        picks = [pick(mask, first)[0] for mask, _ in kinds(relation, self.config.same_video)]
        return torch.cat([h[first] + h[other] for other in (second, *picks)])

    def forward(self, z: Tensor, relation: Relation) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss of the layer's output for the sums, and the mean goodness of both kinds.

        Args:
            z: (M, C, H, W) float32, output for the result of `compose`.
            relation: relation between the rows given to `compose`.
        """
        names = ("scff_goodness_positive", "scff_goodness_negative")
        if not len(relation.positive):
            return zero_loss(z, *names)
        settings, anchors = self.config.scff, relation.positive[:, 0]
        g, *of_kinds = torch.split(goodness(z, "mean", over="position").flatten(1), len(anchors))
        loss = rise(g, threshold=settings.thresholds[0], penalty=settings.penalty)
        low = g.new_zeros(())
        for other, (mask, weight) in zip(of_kinds, kinds(relation, self.config.same_video), strict=True):
            valid = mask[anchors].any(dim=1)
            falling = fall(other, valid, threshold=settings.thresholds[1])
            loss = loss + self.config.negative_weight * weight * falling
            low = low + weight * masked_mean(other.detach().mean(dim=1), valid)
        return loss, dict(zip(names, (g.detach().mean(), low), strict=True))
