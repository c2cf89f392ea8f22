"""The video hinge: all frames of a video within a tolerance, frames of other videos beyond a margin."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from seqff.config import ObjectiveConfig
from seqff.objectives.base import Objective, Relation
from seqff.objectives.distance import squared_distances, unit
from seqff.objectives.temporal_hinge import masked_mean


def video_hinge(z: Tensor, relation: Relation, *, tolerance: float, margin: float) -> tuple[Tensor, dict[str, Tensor]]:
    """Hinge loss that tells videos apart.

    With d as in `temporal_hinge`: mean over the positives and all distant pairs of the same video of
    max(0, d - tolerance) + mean over pairs of rows of different videos of max(0, margin - d).

    Args:
        z: (N, D) float embeddings.
        relation: of the rows.
        tolerance: squared distance of unit vectors (0..4) that frames of one video may keep.
        margin: the distance frames of different videos are pushed to.

    Returns:
        The loss, a scalar, and `video_positive_distance` and `video_other_distance`, means of d.

    Reference: Hadsell, Chopra, LeCun 2006 (DrLIM, doi:10.1109/CVPR.2006.100), with videos as the neighbourhoods.
    """
    d = squared_distances(unit(z.float()))
    same = relation.same_video.clone()
    same[relation.positive[:, 0], relation.positive[:, 1]] = True
    loss = masked_mean(F.relu(d - tolerance), same) + masked_mean(F.relu(margin - d), relation.other_video)
    with torch.no_grad():
        figures = {
            "video_positive_distance": masked_mean(d, same),
            "video_other_distance": masked_mean(d, relation.other_video),
        }
    return loss, figures


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
        """See `video_hinge`."""
        return video_hinge(z, relation, tolerance=self.config.tolerance, margin=self.config.margin)
