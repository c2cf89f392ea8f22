"""The video hinge: all frames of a video within a tolerance, frames of other videos beyond a margin."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from seqff.config import ObjectiveConfig
from seqff.grid_mean import grid_mean
from seqff.objectives.base import Objective, Relation
from seqff.objectives.distance import squared_distances, unit
from seqff.objectives.temporal_hinge import masked_mean
from seqff.objectives.tolerance import Tolerance

PIXELS = 16
"""Side of the grey picture by which videos are compared."""
FIXED, MOVING = 0.65, 0.8
"""Values of `video_ratio` at which the term begins to count, and at which it counts fully (docs/recipe.md)."""


def video_ratio(frames: Tensor, relation: Relation) -> Tensor:
    """Measure how much distant frames of a video differ, as a share of how much frames of different videos do.

    Little where cameras stand still: other videos are told apart by what is behind, and nothing else is learned from
    them. About 1 where what is in view moves or changes.

    Args:
        frames: (N, 3, H, W) float, without augmentation.
        relation: of the N rows.

    Returns:
        A scalar: mean squared distance of distant frames of the same video over that of frames of different videos,
        on 16 x 16 grey levels of mean 0 and unit length. NaN if the rows hold no such pairs.
    """
    grey = grid_mean(frames.mean(dim=1, keepdim=True).float(), PIXELS).flatten(1)
    d = squared_distances(unit(grey - grey.mean(dim=1, keepdim=True)))
    same, other = ((d * mask).sum() / mask.sum() for mask in (relation.same_video, relation.other_video))
    return same / other


class Share(Tolerance):
    """How far the term counts, 0 to 1: measured before training, as tolerances are, and held by checkpoints.

    Args:
        value: the share, or None to measure it; it is 1 until then.
    """

    def __init__(self, value: float | None) -> None:
        super().__init__(value, momentum=1.0)
        self.value.nan_to_num_(1.0)

    def measure(self, ratios: Tensor) -> None:
        """Set it from the `video_ratio` of some batches, (B,); without any the term does not count."""
        ratio = torch.nanmean(ratios)
        share = torch.where(torch.isnan(ratio), 0.0, ((ratio - FIXED) / (MOVING - FIXED)).clamp(0, 1))
        self.value.copy_(share)


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
    """The video hinge as a term of a layer's loss.

    It looks through a head of its own at the mean over the whole map, so that it can neither tell videos apart by where
    things are nor stand in the way of a term that asks where they are.
    """

    sees = "video_embedding"

    def __init__(self, config: ObjectiveConfig) -> None:
        super().__init__()
        self.config = config.video_hinge
        if self.config.share == "fixed":
            self.share = Share(1.0)
        elif self.config.share == "measured":
            self.share = Share(None)
        else:
            raise ValueError(f"objective.video_hinge.share is {self.config.share!r}: choose from measured, fixed")
        if self.config.tolerance < 0 or self.config.margin <= 0:
            raise ValueError(
                "objective.video_hinge: tolerance must be at least 0 and margin above 0, got "
                f"{self.config.tolerance} and {self.config.margin}"
            )

    def forward(self, z: Tensor, relation: Relation) -> tuple[Tensor, dict[str, Tensor]]:
        """See `video_hinge`; the loss is multiplied by the share."""
        loss, figures = video_hinge(z, relation, tolerance=self.config.tolerance, margin=self.config.margin)
        return self.share.value * loss, {**figures, "video_share": self.share.value.clone()}
