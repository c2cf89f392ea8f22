"""CLAPP: a row predicts its positive and not its negatives, by a hinge on bilinear scores."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from seqff.config import ObjectiveConfig
from seqff.objectives.base import Objective
from seqff.objectives.negatives import Negatives, kinds
from seqff.objectives.pairwise import BilinearScore, masked_mean
from seqff.relation import Relation


def clapp_loss(
    scores: Tensor, positive: Tensor, negatives: Sequence[tuple[Tensor, float]], *, negative_weight: float = 1.0
) -> tuple[Tensor, Tensor, Tensor]:
    """Return mean over positives of max(0, 1 - s) + negative_weight * weighted means over negatives of max(0, 1 + s).

    Args:
        scores: (N, N) float, s; how well row n of the batch predicts row m.
        positive: (P, 2) int64, anchors and their positives.
        negatives: kinds of negatives, (N, N) bool, and their weights; the negatives of every positive's anchor count.
        negative_weight: weight of all negatives.

    Returns:
        The loss; the mean score of the positives and the weighted mean score of the negatives, detached. An empty mean
        is 0.

    Reference: Illing, Ventura, Bellec, Gerstner 2021, arXiv:2010.08262: the loss max(0, 1 - y s), y = 1 and y = -1.
    """
    anchor, other = positive.unbind(dim=1)
    right, low = scores[anchor, other], scores.new_zeros(())
    loss = F.relu(1 - right).sum() / max(len(positive), 1)
    for mask, weight in negatives:
        wrong, valid = scores[anchor], mask[anchor]
        loss = loss + negative_weight * weight * masked_mean(F.relu(1 + wrong), valid)
        low = low + weight * masked_mean(wrong, valid).detach()
    return loss, right.detach().sum() / max(len(positive), 1), low


class CLAPP(Objective):
    """CLAPP as a term of a layer's loss, with its own matrix.

    The loss is that of the authors' code, with negatives by `objective.negative_weight` and `objective.same_video`.
    Embeddings are not normalized.

    Args:
        config: weights and choice of the negatives.
        dim: D of the embeddings.
        generator: source of the matrix's initial weights, and of the seed for sampling negatives.
    """

    def __init__(self, config: ObjectiveConfig, dim: int, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.config = config
        self.predictor = BilinearScore(dim, generator=generator)
        self.negatives = Negatives(config, generator)

    def forward(self, z: Tensor, relation: Relation) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss and the mean scores `clapp_positive_score` and `clapp_negative_score`."""
        z, config = z.float(), self.config
        negatives = kinds(self.negatives(z, relation), config.same_video)
        loss, right, wrong = clapp_loss(
            self.predictor(z), relation.positive, negatives, negative_weight=config.negative_weight
        )
        return loss, {"clapp_positive_score": right, "clapp_negative_score": wrong}
