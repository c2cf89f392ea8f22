"""A batch: a bag of frames with two coordinates, video and time."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from seqff.pairs.relations import Relation, relate


@dataclass(frozen=True)
class FrameBatch:
    """Frames of several videos.

    Args:
        frames: (N, 3, H, W) float32.
        video: (N,) int64, which video a row is from; duplicates of a file share a number.
        time: (N,) int64, the row's frame number in its video.
    """

    frames: Tensor
    video: Tensor
    time: Tensor

    def to(self, device: torch.device | str) -> FrameBatch:
        """Return the batch on a device."""
        return FrameBatch(*(t.to(device, non_blocking=True) for t in (self.frames, self.video, self.time)))

    def relation(self, *, gap: int, far: int) -> Relation:
        """Derive positives and negatives among the rows (see `relate`)."""
        return relate(self.video, self.time, gap=gap, far=far)

    def triplets(self, *, gap: int, far: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Return the classic view: (x_n, x_next, x_far), each (P, 3, H, W), x_far drawn among each row's negatives.

        Raises:
            ValueError: a row has no negative at all.
        """
        relation = self.relation(gap=gap, far=far)
        anchor, positive = relation.positive.T
        negatives = (relation.same_video | relation.other_video)[anchor].float().cpu()
        if not bool(negatives.any(dim=1).all()):
            raise ValueError("a frame of this batch has no negative: batches need two videos or distant frames")
        far_row = torch.multinomial(negatives, 1, generator=generator)[:, 0].to(anchor.device)
        return self.frames[anchor], self.frames[positive], self.frames[far_row]
