"""Which negatives a row is compared with: all of the batch, some of them, or the nearest; what is none becomes none."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor, nn

from seqff.config import ObjectiveConfig
from seqff.objectives.pairwise import squared_distances
from seqff.random_streams import hash_integers
from seqff.relation import Relation

PER_KIND = 8
"""Negatives of each kind that a row keeps."""
GOLDEN = 0.6180339887498949
"""The golden ratio's fraction: its multiples, modulo 1, spread evenly over 0..1 however many are taken."""


class Negatives(nn.Module):
    """Chooses the negatives of a layer's rows.

    - "all": every negative of the batch.
    - "sampled": for each row 8 of each kind (same video, other videos), drawn anew at every step.
    - "hard": for each row the 8 nearest ones of each kind.

    Args:
        config: `negatives`.
        generator: source of the seed that draws start from.

    Raises:
        ValueError: an unknown choice.
    """

    def __init__(self, config: ObjectiveConfig, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.kind = config.negatives
        if self.kind not in ("all", "sampled", "hard"):
            raise ValueError(f"objective.negatives is {self.kind!r}: choose from all, sampled, hard")
        self.draw: Tensor  # numbers the draws, so that a resumed run draws the same
        if self.kind == "sampled":
            self.register_buffer("draw", torch.randint(2**62, (), generator=generator))

    @torch.no_grad()
    def forward(self, u: Tensor, relation: Relation) -> Relation:
        """Return the relation with the chosen negatives alone.

        Args:
            u: (N, D) float32 embeddings, as the objective compares them.
            relation: of the N rows.
        """
        if self.kind == "all":
            return relation
        if self.kind == "hard":
            rank = squared_distances(u)
        else:
            self.draw += len(u) ** 2
            rank = hash_integers(self.draw, len(u) ** 2).double().view(len(u), -1)
        same, other = (lowest(rank, mask, PER_KIND) for mask in (relation.same_video, relation.other_video))
        return dataclasses.replace(relation, same_video=same, other_video=other)


def lowest(rank: Tensor, mask: Tensor, k: int) -> Tensor:
    """Keep in each row of a mask the k places of lowest rank.

    Args:
        rank: (N, M) float.
        mask: (N, M) bool.
        k: at least 1.

    Returns:
        (N, M) bool, true where the mask is; in rows with at most k such places, all of them.
    """
    chosen = rank.masked_fill(~mask, torch.inf).topk(min(k, rank.shape[1]), dim=1, largest=False).indices
    return torch.zeros_like(mask).scatter_(1, chosen, True) & mask


def kinds(relation: Relation, same_video: float) -> list[tuple[Tensor, float]]:
    """Return the masks of negatives, (N, N) bool, that have a weight in the loss, with that weight.

    Args:
        relation: of the N rows.
        same_video: weight of the distant rows of the same video, 0..1; that of rows of other videos is 1 minus it.
    """
    both = ((relation.same_video, same_video), (relation.other_video, 1 - same_video))
    return [(mask, weight) for mask, weight in both if weight > 0]


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
