"""How far a term that tells videos apart may count, and whether backgrounds stand still: measured before training."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from seqff.grid_mean import grid_mean
from seqff.objectives.base import Objective, Relation
from seqff.objectives.distance import squared_distances, unit
from seqff.objectives.tolerance import Tolerance

PIXELS = 16
"""Side of the grey picture by which videos are compared."""
FIXED, MOVING = 0.65, 0.8
"""Values of `video_ratio` at which the term begins to count, and at which it counts fully (docs/recipe.md)."""
STILL, CHANGING = 0.35, 0.7
"""Values of `background_ratio` up to which backgrounds stand still, and from which on they do not (docs/recipe.md)."""

Ratio = Callable[[Tensor, Relation], Tensor]


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
    same, other = _pairs(squared_distances(_grey(frames)), relation)
    return same / other


def background_ratio(frames: Tensor, relation: Relation) -> Tensor:
    """Measure how much the stiller half of the picture changes in a video, as a share of how it differs between videos.

    Little where things move over a background that stands still, about 1 where all of the picture moves.

    Args:
        frames: (N, 3, H, W) float, without augmentation.
        relation: of the N rows.

    Returns:
        A scalar: the median over the picture of what two frames differ by, in the mean over distant frames of the same
        video, over that of frames of different videos; on the same pictures as `video_ratio`. NaN if the rows hold no
        such pairs, or different videos do not differ.
    """
    grey = _grey(frames)
    same, other = _pairs(torch.stack([(grey - one).abs().median(dim=1).values for one in grey]), relation)
    return same / other


def _grey(frames: Tensor) -> Tensor:
    """Return 16 x 16 grey levels of mean 0 and unit length, so that exposure does not count: (N, 256)."""
    grey = grid_mean(frames.mean(dim=1, keepdim=True).float(), PIXELS).flatten(1)
    return unit(grey - grey.mean(dim=1, keepdim=True))


def _pairs(d: Tensor, relation: Relation) -> tuple[Tensor, ...]:
    """Return the mean of d, (N, N), over distant frames of the same video, and over frames of different videos."""
    return tuple((d * mask).sum() / mask.sum() for mask in (relation.same_video, relation.other_video))


class Share(Tolerance):
    """A share, 0 to 1, that follows from a ratio: measured before training, as tolerances are, and held by checkpoints.

    Args:
        value: the share, or None to measure it; it is 1 until then.
        ratio: of frames and the relation of their rows.
        none: value of the ratio at which the share is 0.
        whole: value at which it is 1; in between it follows in proportion.
    """

    def __init__(self, value: float | None, ratio: Ratio, *, none: float, whole: float) -> None:
        super().__init__(value, momentum=1.0)
        self.ratio, self.none, self.whole = ratio, none, whole
        self.value.nan_to_num_(1.0)

    def measure(self, ratios: Tensor) -> None:
        """Set it from the ratio of some batches, (B,); without any it is 0."""
        share = (torch.nanmean(ratios) - self.none) / (self.whole - self.none)
        self.value.copy_(share.nan_to_num(0.0).clamp(0, 1))


class VideoTerm(Objective):
    """A term that tells videos apart, times its share.

    It looks through a head of its own at the mean over the whole map, so that it can neither tell videos apart by where
    things are nor stand in the way of a term that asks where they are.

    Args:
        term: its name, for errors.
        share: "measured", or "fixed" for 1.
        erase: share of the frames that are to lose their background where it stands still and the term counts fully,
            0..1.

    Raises:
        ValueError: `share` is neither, or `erase` no share.
    """

    sees = "video_embedding"

    def __init__(self, term: str, share: str, *, erase: float = 0.0) -> None:
        super().__init__()
        if share not in ("measured", "fixed"):
            raise ValueError(f"objective.{term}.share is {share!r}: choose from measured, fixed")
        if not 0 <= erase <= 1:
            raise ValueError(f"objective.{term}.erase is a share of the frames, 0 to 1, got {erase}")
        self.erase = erase
        self.share = Share(1.0 if share == "fixed" else None, video_ratio, none=FIXED, whole=MOVING)
        self.still = Share(None if erase else 0.0, background_ratio, none=CHANGING, whole=STILL)

    def loss(self, z: Tensor, relation: Relation) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss at full weight, and figures for the log."""
        raise NotImplementedError

    def forward(self, z: Tensor, relation: Relation) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss times the share, and the figures with what was measured among them."""
        loss, figures = self.loss(z, relation)
        measured = {"video_share": self.share.value.clone()}
        if self.erase:
            measured["background_still"] = self.still.value.clone()
        return self.share.value * loss, figures | measured

    @property
    def erased(self) -> Tensor:
        """Share of the frames that are to lose their background, 0..1, a scalar."""
        return self.erase * self.share.value * self.still.value


def frames_to_erase(objectives: Iterable[nn.Module]) -> float:
    """Return the share of the frames that are to lose their background, 0..1: the most that any term asks for."""
    terms = (part for objective in objectives for part in objective.modules() if isinstance(part, VideoTerm))
    return max((float(term.erased) for term in terms), default=0.0)
