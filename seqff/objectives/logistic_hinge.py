"""The temporal hinge's logistic form: Forward-Forward on pairs of frames."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from seqff.config import ObjectiveConfig
from seqff.objectives.base import Objective
from seqff.objectives.distance import EmbeddingNorm
from seqff.objectives.negatives import Negatives, kinds
from seqff.objectives.temporal_hinge import masked_mean, measure, pair_figures
from seqff.objectives.tolerance import Tolerance
from seqff.relation import Relation


def logistic_hinge(
    z: Tensor,
    relation: Relation,
    *,
    tolerance: Tolerance | Tensor | float,
    margin: float,
    scale: float = 1.0,
    negative_weight: float = 1.0,
    same_video: float = 0.5,
    embedding_norm: EmbeddingNorm = "unit",
    negatives: Negatives | None = None,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Logistic loss of one layer's embeddings.

    With d(i, j) the squared distance of two embeddings, p(positive pair) = sigmoid(scale * (tolerance - d)), and
    p(negative pair) = sigmoid(scale * (d - margin)); the loss is -log p:
    mean over positives of softplus(scale * (d - tolerance))
    + negative_weight * (same_video * mean over distant rows of the same video of softplus(scale * (margin - d))
    + (1 - same_video) * the same mean over rows of other videos).

    With goodness g = -d of a pair, threshold theta = -tolerance, margin = tolerance and scale 1 this is
    Forward-Forward's softplus(theta - g) of positive and softplus(g - theta) of negative data: a pair stands for a
    row. Divided by the scale it tends to the temporal hinge as the scale grows.

    Args:
        z: (N, D) float embeddings.
        relation: positives and negatives among the rows.
        tolerance: delta_l; a Tolerance also learns from these positives.
        margin: distance at which a negative is as likely as not.
        scale: s, how sharply tolerance and margin are drawn.
        negative_weight: weight of the negatives.
        same_video: share of that weight for negatives of the same video.
        embedding_norm: how embeddings are scaled.
        negatives: chooses the negatives; None for all of the batch.

    Returns:
        The loss, a scalar, and the figures of `temporal_hinge`.

    Reference: Hinton 2022, arXiv:2212.13345, equation 1, with goodness of pairs.
    """
    d, positive, among, tolerance = measure(
        z, relation, tolerance=tolerance, embedding_norm=embedding_norm, negatives=negatives
    )
    loss = F.softplus(scale * (positive - tolerance)).sum() / max(len(positive), 1)
    near = F.softplus(scale * (margin - d))
    for mask, share in kinds(among, same_video):
        loss = loss + negative_weight * share * masked_mean(near, mask)
    return loss, pair_figures(d, positive, among, tolerance, margin)


class LogisticHinge(Objective):
    """The logistic hinge as a term of a layer's loss, with the layer's tolerance, margin and choice of negatives.

    Raises:
        ValueError: a scale that is not above 0.
    """

    def __init__(self, config: ObjectiveConfig, tolerance: Tolerance, generator: torch.Generator | None = None) -> None:
        super().__init__()
        if config.logistic_hinge.scale <= 0:
            raise ValueError(f"objective.logistic_hinge.scale must be above 0, got {config.logistic_hinge.scale}")
        self.config, self.tolerance = config, tolerance
        self.negatives = Negatives(config, generator)

    def forward(self, z: Tensor, relation: Relation) -> tuple[Tensor, dict[str, Tensor]]:
        """See `logistic_hinge`."""
        return logistic_hinge(
            z,
            relation,
            tolerance=self.tolerance,
            margin=self.config.margin,
            scale=self.config.logistic_hinge.scale,
            negative_weight=self.config.negative_weight,
            same_video=self.config.same_video,
            embedding_norm=self.config.embedding_norm,
            negatives=self.negatives,
        )
