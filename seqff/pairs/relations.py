"""Relations between the rows of a batch: which frames are positives of each other, which negatives, which neither."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Relation:
    """What the rows of a batch are to each other.

    Args:
        positive: (P, 2) int64, pairs (n, n + gap) of one video.
        same_video: (N, N) bool, symmetric: same video, at least `far` apart.
        other_video: (N, N) bool, symmetric: different videos.
    """

    positive: Tensor
    same_video: Tensor
    other_video: Tensor

    def to(self, device: torch.device | str) -> Relation:
        """Return the relation on a device."""
        return Relation(
            *(tensor.to(device, non_blocking=True) for tensor in (self.positive, self.same_video, self.other_video))
        )


def relate(video: Tensor, time: Tensor, *, gap: int, far: int) -> Relation:
    """Derive the relations of a batch from its two coordinates.

    Args:
        video: (N,) int64, identity of the video of each row; duplicates of a file share one.
        time: (N,) int64, frame number of each row.
        gap: distance of a positive, frames.
        far: smallest distance of a negative in the same video, frames.

    Returns:
        The relation. Frames of one video closer than `far` and not `gap` apart are neither positive nor negative.

    Raises:
        ValueError: gap < 1, far <= gap, or shapes that differ.
    """
    if gap < 1 or far <= gap:
        raise ValueError(f"gap must be at least 1 and far larger than gap, got gap={gap}, far={far}")
    if video.shape != time.shape or video.ndim != 1:
        raise ValueError(f"video and time must both be (N,), got {tuple(video.shape)} and {tuple(time.shape)}")
    same = video[:, None] == video[None, :]
    ahead = time[None, :] - time[:, None]
    return Relation(
        positive=(same & (ahead == gap)).nonzero(),
        same_video=same & (ahead.abs() >= far),
        other_video=~same,
    )
