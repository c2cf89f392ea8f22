"""The temporal hinge: frames close in time within a tolerance, distant frames beyond a margin."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from seqff.config import ObjectiveConfig
from seqff.objectives.base import Objective, Relation
from seqff.objectives.distance import squared_distances, unit
from seqff.objectives.tolerance import Tolerance


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of the values where the mask is true, 0 where it is nowhere true; no look at the data from the host."""
    return (values * mask).sum() / mask.sum().clamp(min=1)


def temporal_hinge(
    z: Tensor,
    relation: Relation,
    *,
    tolerance: Tolerance | Tensor | float,
    margin: float,
    negative_weight: float = 1.0,
    same_video: float = 0.5,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Hinge loss of one layer's embeddings.

    With u = z / ||z|| and d(i, j) = ||u_i - u_j||^2:
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

    Returns:
        The loss, a scalar, and detached scalars for the log: `positive_distance`, `same_video_distance`,
        `other_video_distance` (means of d), `within_tolerance` (share of the positives with d <= tolerance)
        and `tolerance`.

    Reference: the hinge on pairs is Hadsell, Chopra, LeCun 2006 (DrLIM) with a tolerance for positives.
    """
    d = squared_distances(unit(z.float()))
    positive = d[relation.positive[:, 0], relation.positive[:, 1]]
    if isinstance(tolerance, Tolerance):
        tolerance = tolerance.track(positive)
    beyond = F.relu(margin - d)
    loss = F.relu(positive - tolerance).sum() / max(len(positive), 1)
    loss = loss + negative_weight * (
        same_video * masked_mean(beyond, relation.same_video)
        + (1 - same_video) * masked_mean(beyond, relation.other_video)
    )
    with torch.no_grad():
        figures = {
            "positive_distance": positive.sum() / max(len(positive), 1),
            "same_video_distance": masked_mean(d, relation.same_video),
            "other_video_distance": masked_mean(d, relation.other_video),
            "within_tolerance": (positive <= tolerance).sum() / max(len(positive), 1),
            "tolerance": torch.as_tensor(tolerance, dtype=torch.float32).nan_to_num(0.0),
        }
    return loss, figures


class TemporalHinge(Objective):
    """The temporal hinge as a term of a layer's loss, with the layer's tolerance."""

    def __init__(self, config: ObjectiveConfig, tolerance: Tolerance) -> None:
        super().__init__()
        self.config, self.tolerance = config, tolerance

    def forward(self, z: Tensor, relation: Relation) -> tuple[Tensor, dict[str, Tensor]]:
        """See `temporal_hinge`."""
        return temporal_hinge(
            z,
            relation,
            tolerance=self.tolerance,
            margin=self.config.margin,
            negative_weight=self.config.negative_weight,
            same_video=self.config.same_video,
        )
