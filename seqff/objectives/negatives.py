"""Selection of negatives for each row: all in the batch, a sample, or the nearest."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor, nn

from seqff.config import ObjectiveConfig
from seqff.objectives.pairwise import squared_distances
from seqff.random_streams import hash_integers
from seqff.relation import Relation

PER_KIND = 8
"""Number of negatives of each kind kept per row."""
GOLDEN = 0.6180339887498949
"""Fraction of the golden ratio: its multiples modulo 1 are evenly spread over 0..1, whatever their number."""


class Negatives(nn.Module):
    """Selects the negatives of a layer's rows.

    - "all": every negative of the batch.
    - "sampled": for each row 8 of each kind (same video, other videos), resampled at every step.
    - "hard": for each row the 8 nearest ones of each kind.

    Args:
        config: `negatives`.
        generator: source of the seed for sampling.

    Raises:
        ValueError: an unknown choice.
    """

    def __init__(self, config: ObjectiveConfig, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.kind = config.negatives
        if self.kind not in ("all", "sampled", "hard"):
            raise ValueError(f"objective.negatives is {self.kind!r}: choose from all, sampled, hard")
        self.draw: Tensor  # counts the draws, so that a resumed run draws the same
        if self.kind == "sampled":
            self.register_buffer("draw", torch.randint(2**62, (), generator=generator))

    @torch.no_grad()
    def forward(self, u: Tensor, relation: Relation) -> Relation:
        """Return the relation with only the selected negatives.

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
    """Keep the k positions of lowest rank in each row of a mask.

    Args:
        rank: (N, M) float.
        mask: (N, M) bool.
        k: at least 1.

    Returns:
        (N, M) bool, a subset of the mask; rows with at most k true positions are unchanged.
    """
    chosen = rank.masked_fill(~mask, torch.inf).topk(min(k, rank.shape[1]), dim=1, largest=False).indices
    return torch.zeros_like(mask).scatter_(1, chosen, True) & mask


def kinds(relation: Relation, same_video: float) -> list[tuple[Tensor, float]]:
    """Return the masks of negatives, (N, N) bool, with nonzero weight in the loss, and their weights.

    Args:
        relation: relation between the N rows.
        same_video: weight of distant rows of the same video, 0..1; rows of other videos have 1 minus that.
    """
    both = ((relation.same_video, same_video), (relation.other_video, 1 - same_video))
    return [(mask, weight) for mask, weight in both if weight > 0]


def pick(mask: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Pick one negative for each of some rows, spread evenly over all negatives.

    The choice is a function of the batch: batches are random already, and a generator would be additional state to
        restore when resuming.

    Args:
        mask: (N, M) bool, whether each of M rows is a negative of each of N rows.
        rows: (P,) int64, rows to pick for; a repeated row gets different negatives.

    Returns:
        (P,) int64, the negative of each; and (P,) bool, whether there is one (otherwise the row is arbitrary).
    """
    candidates = mask[rows]
    count = candidates.sum(dim=1)
    place = torch.frac(GOLDEN * torch.arange(1, len(rows) + 1, device=mask.device, dtype=torch.float64))
    number = torch.minimum((place * count).long(), count - 1).clamp(min=0) + 1
    found = torch.searchsorted(candidates.long().cumsum(dim=1), number[:, None])[:, 0]
    return found.clamp(max=mask.shape[1] - 1), count > 0
