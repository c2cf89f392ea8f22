"""How far a term that tells videos apart may count: measured before training, as it fails where cameras stand still."""

from __future__ import annotations

import torch
from torch import Tensor

from seqff.grid_mean import grid_mean
from seqff.objectives.base import Objective, Relation
from seqff.objectives.distance import squared_distances, unit
from seqff.objectives.tolerance import Tolerance

PIXELS = 16
"""Side of the grey picture by which videos are compared."""
FIXED, MOVING = 0.65, 0.8
"""Values of `video_ratio` at which the term begins to count, and at which it counts fully (docs/recipe.md)."""
MANY = 300
"""Videos from which on it counts fully; of fewer, layers learn what is chance about each (docs/recipe.md)."""


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

    def measure(self, ratios: Tensor, *, videos: int) -> None:
        """Set it from the `video_ratio` of some batches, (B,), and the number of different videos there are.

        Without any ratio the term does not count.
        """
        ratio = torch.nanmean(ratios)
        share = torch.where(torch.isnan(ratio), 0.0, ((ratio - FIXED) / (MOVING - FIXED)).clamp(0, 1))
        self.value.copy_(share * min(1.0, videos / MANY))


class VideoTerm(Objective):
    """A term that tells videos apart, times its share.

    It looks through a head of its own at the mean over the whole map, so that it can neither tell videos apart by where
    things are nor stand in the way of a term that asks where they are.

    Args:
        term: its name, for errors.
        share: "measured", or "fixed" for 1.

    Raises:
        ValueError: the share is neither.
    """

    sees = "video_embedding"

    def __init__(self, term: str, share: str) -> None:
        super().__init__()
        if share not in ("measured", "fixed"):
            raise ValueError(f"objective.{term}.share is {share!r}: choose from measured, fixed")
        self.share = Share(1.0 if share == "fixed" else None)

    def loss(self, z: Tensor, relation: Relation) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss at full weight, and figures for the log."""
        raise NotImplementedError

    def forward(self, z: Tensor, relation: Relation) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss times the share, and the figures with the share among them."""
        loss, figures = self.loss(z, relation)
        return self.share.value * loss, {**figures, "video_share": self.share.value.clone()}
