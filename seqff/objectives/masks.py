"""Negatives as masks over pairs of rows: the kinds an objective mixes, and one negative out of many."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from seqff.relation import Relation

GOLDEN = 0.6180339887498949
"""The golden ratio's fraction: its multiples, modulo 1, spread evenly over 0..1 however many are taken."""


class Masks(Protocol):
    """The two kinds of negatives: a relation, or the candidates that `Negatives` chose."""

    @property
    def same_video(self) -> Tensor:
        """(N, M) bool: distant rows of one video."""

    @property
    def other_video(self) -> Tensor:
        """(N, M) bool: rows of different videos."""


def kinds(masks: Masks, same_video: float) -> list[tuple[Tensor, float]]:
    """Return the masks of negatives, (N, M) bool, that have a share in the loss, with that share.

    Args:
        masks: of both kinds.
        same_video: share of the distant rows of the same video, 0..1; the rest is of rows of other videos.
    """
    both = ((masks.same_video, same_video), (masks.other_video, 1 - same_video))
    return [(mask, share) for mask, share in both if share > 0]


def video_pairs(relation: Relation) -> tuple[Tensor, Tensor]:
    """Return which rows are to be alike for terms between videos, and which are not.

    Args:
        relation: of N rows.

    Returns:
        Two (N, N) bool: rows of the same video, positives and distant ones, and rows of different videos.
    """
    same = relation.same_video.clone()
    first, second = relation.positive.unbind(dim=1)
    same[first, second] = same[second, first] = True
    return same, relation.other_video


def pick(mask: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Pick one negative for each of some rows, spread over all there are.

    The pick is a function of the batch alone: batches are drawn at random already, and a generator would be one more
    thing that a resumed run has to put back.

    Args:
        mask: (N, M) bool, which of M rows are negatives of which of N.
        rows: (P,) int64, rows to pick for; the same row may come again and is then given another negative.

    Returns:
        (P,) int64, the negative of each; and (P,) bool, whether there is one (else any row is named).
    """
    candidates = mask[rows]
    count = candidates.sum(dim=1)
    place = torch.frac(GOLDEN * torch.arange(1, len(rows) + 1, device=mask.device, dtype=torch.float64))
    number = torch.minimum((place * count).long(), count - 1).clamp(min=0) + 1
    found = torch.searchsorted(candidates.long().cumsum(dim=1), number[:, None])[:, 0]
    return found.clamp(max=mask.shape[1] - 1), count > 0
