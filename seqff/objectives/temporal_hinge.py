"""The temporal hinge: frames close in time within a tolerance, distant frames beyond a margin; hard, or logistic."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from seqff.config import ObjectiveConfig
from seqff.objectives.base import Objective
from seqff.objectives.negatives import Negatives
from seqff.objectives.pairwise import EmbeddingNorm, masked_mean, normalize, squared_distances
from seqff.objectives.tolerance import Tolerance
from seqff.relation import Relation


def temporal_hinge(
    z: Tensor,
    relation: Relation,
    *,
    tolerance: Tolerance | Tensor | float,
    margin: float,
    negative_weight: float = 1.0,
    same_video: float = 0.5,
    embedding_norm: EmbeddingNorm = "unit",
    negatives: Negatives | None = None,
    scale: float | None = None,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Hinge loss of one layer's embeddings.

    With u = z / ||z|| (or z, see `normalize`), d(i, j) = ||u_i - u_j||^2 and h(x) = max(0, x):
    mean over positives of h(d - tolerance)
    + negative_weight * (same_video * mean over distant rows of the same video of h(margin - d)
    + (1 - same_video) * the same mean over rows of other videos).

    The logistic form has h(x) = softplus(scale * x), which is -log p with p(positive pair) =
    sigmoid(scale * (tolerance - d)) and p(negative pair) = sigmoid(scale * (d - margin)). With goodness g = -d of a
    pair, threshold theta = -tolerance, margin = tolerance and scale 1 it is Forward-Forward's softplus(theta - g) of
    positive and softplus(g - theta) of negative data: a pair stands for a row. Divided by the scale it tends to the
    hinge as the scale grows.

    Args:
        z: (N, D) float embeddings.
        relation: positives and negatives among the rows.
        tolerance: delta_l, the distance that positives may have without cost (0..4); a Tolerance is also updated from
            these positives.
        margin: the distance to which negatives are pushed (0..4).
        negative_weight: weight of the negatives.
        same_video: fraction of that weight for negatives of the same video.
        embedding_norm: scaling of the embeddings; distances are 0..4 for unit vectors.
        negatives: selects the negatives; None for all in the batch.
        scale: scale of the logistic form; None for the hinge.

    Returns:
        The loss, a scalar, and detached scalars: `positive_distance`, `same_video_distance`, `other_video_distance`
        (means of d), the positives' `positive_median` and `positive_largest`, `within_tolerance` (fraction of the
        positives with d <= tolerance), `tolerance` and `margin`.

    Reference: the hinge on pairs is Hadsell, Chopra, LeCun 2006 (DrLIM) with a tolerance for positives; the logistic
    form is Hinton 2022, arXiv:2212.13345, equation 1, with goodness of pairs.
    """
    u = normalize(z.float(), embedding_norm)
    among = relation if negatives is None else negatives(u, relation)
    d = squared_distances(u)
    positive = d[relation.positive[:, 0], relation.positive[:, 1]]
    delta = tolerance.track(positive) if isinstance(tolerance, Tolerance) else tolerance
    beyond, near = positive - delta, margin - d
    beyond, near = (F.relu(x) if scale is None else F.softplus(scale * x) for x in (beyond, near))
    loss = beyond.sum() / max(len(positive), 1)
    loss = loss + negative_weight * (
        same_video * masked_mean(near, among.same_video) + (1 - same_video) * masked_mean(near, among.other_video)
    )
    with torch.no_grad():
        some = positive if len(positive) else d.new_zeros(1)
        return loss, {
            "positive_distance": some.mean(),
            "positive_median": some.median(),
            "positive_largest": some.max(),
            "same_video_distance": masked_mean(d, among.same_video),
            "other_video_distance": masked_mean(d, among.other_video),
            "within_tolerance": (positive <= delta).sum() / max(len(positive), 1),
            "tolerance": torch.as_tensor(delta, dtype=torch.float32).nan_to_num(0.0),
            "margin": torch.as_tensor(margin, dtype=torch.float32),
        }


class TemporalHinge(Objective):
    """The temporal hinge with the layer's tolerance and its choice of negatives.

    Args:
        config: margin, weight and choice of the negatives, scale of the embeddings.
        tolerance: tolerance of the layer.
        scale: scale of the logistic form; None for the hinge.
        generator: source of the seed for sampling negatives.

    Raises:
        ValueError: the scale is not above 0.
    """

    def __init__(
        self,
        config: ObjectiveConfig,
        tolerance: Tolerance,
        *,
        scale: float | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if scale is not None and scale <= 0:
            raise ValueError(f"objective.logistic_hinge.scale must be above 0, got {scale}")
        self.config, self.tolerance, self.scale = config, tolerance, scale
        self.negatives = Negatives(config, generator)

    def forward(self, z: Tensor, relation: Relation) -> tuple[Tensor, dict[str, Tensor]]:
        """See `temporal_hinge`."""
        return temporal_hinge(
            z,
            relation,
            tolerance=self.tolerance,
            margin=self.config.margin,
            negative_weight=self.config.negative_weight,
            same_video=self.config.same_video,
            embedding_norm=self.config.embedding_norm,
            negatives=self.negatives,
            scale=self.scale,
        )
