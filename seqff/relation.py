"""Relations between the rows of a batch: positives, negatives, or neither."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from seqff.devices import sent


@dataclass(frozen=True)
class Relation:
    """Relations between the rows of a batch.

    Args:
        positive: (P, 2) int64, pairs (n, n + gap) of one video.
        same_video: (N, N) bool, symmetric: same video, at least `far` apart.
        other_video: (N, N) bool, symmetric: different videos.
        real: (N,) bool, rows that are real frames; the others are synthetic negatives, which have no other relation.
            None: all rows are real.
        video: (N,) int64, identity of each row's video, the same in all batches. None: unknown.
    """

    positive: Tensor
    same_video: Tensor
    other_video: Tensor
    real: Tensor | None = None
    video: Tensor | None = None

    def to(self, device: torch.device | str) -> Relation:
        """Return the relation on a device."""
        tensors = (self.positive, self.same_video, self.other_video, self.real, self.video)
        return Relation(*(t if t is None else sent(t, device) for t in tensors))  # type: ignore[arg-type]
