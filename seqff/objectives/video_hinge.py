"""The video hinge: all frames of a video within a tolerance, frames of other videos beyond a margin."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from seqff.config import ObjectiveConfig
from seqff.objectives.base import Objective
from seqff.objectives.distance import squared_distances, unit
from seqff.objectives.masks import video_pairs
from seqff.objectives.temporal_hinge import masked_mean
from seqff.relation import Relation


def video_hinge(
    z: Tensor, same: Tensor, other: Tensor, *, tolerance: float, margin: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Hinge loss that tells videos apart.

    With d as in `temporal_hinge`: mean over the positives and all distant pairs of the same video of
    max(0, d - tolerance) + mean over pairs of rows of different videos of max(0, margin - d).

    Args:
        z: (N, D) float embeddings.
        same: (N, N) bool, pairs of the same video.
        other: (N, N) bool, pairs of different videos.
        tolerance: squared distance of unit vectors (0..4) that frames of one video may keep.
        margin: the distance frames of different videos are pushed to.

    Returns:
        The loss, a scalar, and the means of d over both kinds of pairs.

    Reference: Hadsell, Chopra, LeCun 2006 (DrLIM, doi:10.1109/CVPR.2006.100), with videos as the neighbourhoods.
    """
    d = squared_distances(unit(z.float()))
    loss = masked_mean(F.relu(d - tolerance), same) + masked_mean(F.relu(margin - d), other)
    with torch.no_grad():
        return loss, masked_mean(d, same), masked_mean(d, other)


class VideoHinge(Objective):
    """The video hinge as a term of a layer's loss; it looks as `VideoInfoNCE` does."""

    sees = "video_embedding"

    def __init__(self, config: ObjectiveConfig) -> None:
        super().__init__()
        self.config = config.video_hinge
        if self.config.tolerance < 0 or self.config.margin <= 0:
            raise ValueError(
                "objective.video_hinge: tolerance must be at least 0 and margin above 0, got "
                f"{self.config.tolerance} and {self.config.margin}"
            )

    def forward(self, z: Tensor, relation: Relation) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss and the means of the distances, `video_positive_distance` and `video_other_distance`."""
        config = self.config
        loss, near, far = video_hinge(z, *video_pairs(relation), tolerance=config.tolerance, margin=config.margin)
        return loss, {"video_positive_distance": near, "video_other_distance": far}
