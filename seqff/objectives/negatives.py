"""Which negatives a row is compared with: all of the batch, some of them, the nearest ones, and rows of past batches.

Everything here only takes negatives away, or adds rows of other videos: what is no negative never becomes one.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqff.config import ObjectiveConfig
from seqff.objectives.distance import squared_distances
from seqff.objectives.lots import lots
from seqff.relation import Relation

NOBODY = -1
"""The video of a place in the queue that holds no row yet."""


@dataclass(frozen=True)
class Candidates:
    """What the N rows of a batch are compared with.

    Args:
        rows: (M, D), the batch's own N embeddings and after them those of the queue.
        same_video: (N, M) bool, which of these are a row's negatives of its own video.
        other_video: (N, M) bool, which are its negatives of other videos.
    """

    rows: Tensor
    same_video: Tensor
    other_video: Tensor


class Negatives(nn.Module):
    """Chooses the negatives of a layer's rows; what it remembers lies in buffers.

    - "all": every negative of the batch.
    - "sampled": for each row `negatives_k` of each kind (same video, other videos), drawn anew at every step.
    - "hard": for each row the `negatives_k` nearest ones of each kind.

    A queue adds the embeddings of past batches, as they were then, as negatives of other videos (He et al. 2020,
    arXiv:1911.05722, without the second encoder). They are never compared with rows of their own video: whether they
    are far enough from them in time is not kept.

    Args:
        config: `negatives`, `negatives_k`, `queue`, `same_video`.
        dim: D of the embeddings.
        generator: source of the seed that draws start from.

    Raises:
        ValueError: a setting out of range, or a queue of negatives that have no share in the loss.
    """

    def __init__(self, config: ObjectiveConfig, dim: int, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.kind, self.k, self.queue = config.negatives, config.negatives_k, config.queue
        if self.kind not in ("all", "sampled", "hard"):
            raise ValueError(f"objective.negatives is {self.kind!r}: choose from all, sampled, hard")
        if self.k < 1 or self.queue < 0:
            raise ValueError(
                f"objective.negatives_k must be at least 1 and queue at least 0, got {self.k} and {self.queue}"
            )
        if self.queue and config.same_video >= 1:
            raise ValueError(
                f"objective.queue={self.queue} holds rows of other videos, and these have no share in the loss with "
                f"objective.same_video={config.same_video}: lower it, or leave the queue out"
            )
        self.rows: Tensor
        self.videos: Tensor
        self.place: Tensor
        self.draw: Tensor
        if self.queue:
            self.register_buffer("rows", torch.zeros(self.queue, dim))
            self.register_buffer("videos", torch.full((self.queue,), NOBODY))
            self.register_buffer("place", torch.zeros((), dtype=torch.int64))
        if self.kind == "sampled":
            self.register_buffer("draw", torch.randint(2**62, (), generator=generator))

    def forward(self, u: Tensor, relation: Relation) -> Candidates:
        """Return what the rows are compared with, and take them into the queue.

        Args:
            u: (N, D) float32 embeddings, as the objective compares them.
            relation: of the N rows; a queue needs its `video`.

        Raises:
            ValueError: there is a queue, and the relation does not say which videos the rows are of.
        """
        rows, same, other = u, relation.same_video, relation.other_video
        if self.queue:
            if relation.video is None:
                raise ValueError("objective.queue needs to know the rows' videos: make the relation with `relate`")
            rows = torch.cat([u, self.rows])
            past = (self.videos != relation.video[:, None]) & (self.videos != NOBODY)
            if relation.real is not None:
                past = past & relation.real[:, None]
            same, other = F.pad(same, (0, self.queue)), torch.cat([other, past], dim=1)
        if self.kind != "all":
            with torch.no_grad():
                rank = squared_distances(u, rows) if self.kind == "hard" else self._lots(len(u), len(rows))
                same, other = (lowest(rank, mask, self.k) for mask in (same, other))
        if self.queue:
            self._remember(u, relation)
        return Candidates(rows, same, other)

    def _lots(self, rows: int, columns: int) -> Tensor:
        """Draw a number for every pair."""
        self.draw += rows * columns
        return lots(self.draw, rows * columns).double().view(rows, columns)

    @torch.no_grad()
    def _remember(self, u: Tensor, relation: Relation) -> None:
        """Put the rows in the places of the oldest ones; made-up rows take up places and are no one's negatives."""
        assert relation.video is not None  # forward asks before
        video = relation.video
        if relation.real is not None:
            video = video.masked_fill(~relation.real, NOBODY)
        u, video = u[-self.queue :], video[-self.queue :]
        places = (self.place + torch.arange(len(u), device=u.device)) % self.queue
        self.rows[places] = u.to(self.rows.dtype)
        self.videos[places] = video
        self.place.copy_((self.place + len(u)) % self.queue)


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
