"""The temporal hinge: frames close in time within a tolerance, distant frames beyond a margin."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from seqff.config import ObjectiveConfig
from seqff.objectives.base import Objective
from seqff.objectives.distance import EmbeddingNorm, normalise, squared_distances
from seqff.objectives.negatives import Negatives
from seqff.objectives.tolerance import Tolerance
from seqff.relation import Relation


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of the values where the mask is true, 0 where it is nowhere true; no look at the data from the host."""
    return (values * mask).sum() / mask.sum().clamp(min=1)


def pair_figures(
    d: Tensor, positive: Tensor, among: Relation, tolerance: Tensor | float, margin: float
) -> dict[str, Tensor]:
    """Return what a log wants to know of the distances of a batch.

    Args:
        d: (N, N) float, distances of all rows.
        positive: (P,) float, distances of the positives.
        among: which rows are negatives.
        tolerance: delta_l.
        margin: distance that negatives are pushed to.

    Returns:
        Detached scalars: `positive_distance`, `same_video_distance`, `other_video_distance` (means of d), the
        positives' `positive_median` and `positive_largest`, `within_tolerance` (share of the positives with
        d <= tolerance), `tolerance` and `margin`.
    """
    with torch.no_grad():
        some = positive if len(positive) else d.new_zeros(1)
        return {
            "positive_distance": some.mean(),
            "positive_median": some.median(),
            "positive_largest": some.max(),
            "same_video_distance": masked_mean(d, among.same_video),
            "other_video_distance": masked_mean(d, among.other_video),
            "within_tolerance": (positive <= tolerance).sum() / max(len(positive), 1),
            "tolerance": torch.as_tensor(tolerance, dtype=torch.float32).nan_to_num(0.0),
            "margin": torch.as_tensor(margin, dtype=torch.float32),
        }


def measure(
    z: Tensor,
    relation: Relation,
    *,
    tolerance: Tolerance | Tensor | float,
    embedding_norm: EmbeddingNorm,
    negatives: Negatives | None,
) -> tuple[Tensor, Tensor, Relation, Tensor | float]:
    """Measure what a hinge compares; a Tolerance that is measured learns from it.

    Args:
        z: (N, D) float embeddings.
        relation: of the rows.
        tolerance: delta_l.
        embedding_norm: how embeddings are scaled before.
        negatives: chooses the negatives; None for all of the batch.

    Returns:
        d, (N, N) float32, of all rows; d of the positives, (P,); the relation with the chosen negatives; the tolerance.
    """
    u = normalise(z.float(), embedding_norm)
    among = relation if negatives is None else negatives(u, relation)
    d = squared_distances(u)
    positive = d[relation.positive[:, 0], relation.positive[:, 1]]
    if isinstance(tolerance, Tolerance):
        tolerance = tolerance.track(positive)
    return d, positive, among, tolerance


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
) -> tuple[Tensor, dict[str, Tensor]]:
    """Hinge loss of one layer's embeddings.

    With u = z / ||z|| (see `normalise` for other scales) and d(i, j) = ||u_i - u_j||^2:
    mean over positives of max(0, d - tolerance)
    + negative_weight * (same_video * mean over distant rows of the same video of max(0, margin - d)
    + (1 - same_video) * the same mean over rows of other videos).

    Args:
        z: (N, D) float embeddings.
        relation: positives and negatives among the rows.
        tolerance: delta_l, the distance positives may keep (0..4); a Tolerance also learns from these positives.
        margin: the distance negatives are pushed to (0..4).
        negative_weight: weight of the negatives.
        same_video: share of that weight for negatives of the same video.
        embedding_norm: how embeddings are scaled; 0..4 holds for unit vectors.
        negatives: chooses the negatives; None for all of the batch.

    Returns:
        The loss, a scalar, and the figures of `pair_figures`.

    Reference: the hinge on pairs is Hadsell, Chopra, LeCun 2006 (DrLIM) with a tolerance for positives.
    """
    d, positive, among, tolerance = measure(
        z, relation, tolerance=tolerance, embedding_norm=embedding_norm, negatives=negatives
    )
    beyond = F.relu(margin - d)
    loss = F.relu(positive - tolerance).sum() / max(len(positive), 1)
    loss = loss + negative_weight * (
        same_video * masked_mean(beyond, among.same_video) + (1 - same_video) * masked_mean(beyond, among.other_video)
    )
    return loss, pair_figures(d, positive, among, tolerance, margin)


class TemporalHinge(Objective):
    """The temporal hinge as a term of a layer's loss, with the layer's tolerance, margin and choice of negatives."""

    def __init__(self, config: ObjectiveConfig, tolerance: Tolerance, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.config, self.tolerance = config, tolerance
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
        )
