"""CLAPP: a row predicts its positive and not its negatives, by a hinge on bilinear scores."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from seqff.config import ObjectiveConfig
from seqff.objectives.base import Objective
from seqff.objectives.negatives import Negatives, kinds
from seqff.objectives.predictor import Predictor
from seqff.objectives.temporal_hinge import masked_mean
from seqff.relation import Relation


def attract(scores: Tensor, positive: Tensor) -> Tensor:
    """Mean over the positives of max(0, 1 - s), 0 if there are none.

    Args:
        scores: (N, M) float, s; how well row n of the batch predicts row m.
        positive: (P, 2) int64, anchors (0..N) and their positives (0..M).

    Reference: Illing, Ventura, Bellec, Gerstner 2021, arXiv:2010.08262: the loss max(0, 1 - y s), y = 1.
    """
    return F.relu(1 - scores[positive[:, 0], positive[:, 1]]).sum() / max(len(positive), 1)


def repel(scores: Tensor, positive: Tensor, negative: Tensor) -> tuple[Tensor, Tensor]:
    """Mean of max(0, 1 + s) over the negatives of every positive's anchor, 0 if there are none.

    Args:
        scores: (N, M) float, s; how well row n of the batch predicts row m.
        positive: (P, 2) int64, anchors (0..N) and their positives (0..M).
        negative: (N, M) bool, negatives of every row.

    Returns:
        The mean hinge, and the mean score of these negatives, detached.

    Reference: as `attract`, y = -1.
    """
    anchor = positive[:, 0]
    wrong, valid = scores[anchor], negative[anchor]
    return masked_mean(F.relu(1 + wrong), valid), masked_mean(wrong, valid).detach()


class CLAPP(Objective):
    """CLAPP as a term of a layer's loss, with a matrix of its own.

    The loss is `attract` + negative_weight * `repel`, as in the authors' code, with negatives of the same and of other
    videos by their shares (`objective.same_video`). Embeddings are taken as they are, not as unit vectors.

    Args:
        config: weight, mixture and choice of the negatives.
        dim: D of the embeddings.
        generator: source of the initial weights of the matrix, and of the seed that negatives are drawn with.
    """

    def __init__(self, config: ObjectiveConfig, dim: int, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.config = config
        self.predictor = Predictor(dim, generator=generator)
        self.negatives = Negatives(config, generator)

    def forward(self, z: Tensor, relation: Relation) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss and the mean scores `clapp_positive_score` and `clapp_negative_score`."""
        config, positive = self.config, relation.positive
        z = z.float()
        among = self.negatives(z, relation)
        scores: Tensor = self.predictor(z, z)
        loss, wrong = attract(scores, positive), scores.new_zeros(())
        for mask, share in kinds(among, config.same_video):
            negatives, mean = repel(scores, positive, mask)
            loss = loss + config.negative_weight * share * negatives
            wrong = wrong + share * mean
        with torch.no_grad():
            right = scores[positive[:, 0], positive[:, 1]].sum() / max(len(positive), 1)
        return loss, {"clapp_positive_score": right, "clapp_negative_score": wrong}
