"""InfoNCE: pick a row's positive among all its negatives, or a frame's video among all others."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from seqff.config import ObjectiveConfig
from seqff.objectives.base import Objective
from seqff.objectives.negatives import Negatives, kinds
from seqff.objectives.pairwise import BilinearScore, masked_mean, unit
from seqff.relation import Relation

TEMPERATURE = 0.1
"""Temperature of the cosines between videos."""


def info_nce(scores: Tensor, positive: Tensor, negative: Tensor) -> tuple[Tensor, Tensor]:
    """Return the cross-entropy of picking each anchor's positive among its negatives.

    For a pair (a, b): -log(exp(s_ab) / (exp(s_ab) + sum over negatives k of a of exp(s_ak))).

    Args:
        scores: (N, M) float, s; how well row n of the batch matches row m.
        positive: (P, 2) int64, anchors (0..N) and their positives (0..M).
        negative: (N, M) bool, negatives of every row.

    Returns:
        The mean over the pairs whose anchor has negatives, 0 if there are none; and the fraction of these pairs in
        which the positive scores above every negative.

    Reference: van den Oord, Li, Vinyals 2018, arXiv:1807.03748, equation 4.
    """
    anchor, other = positive[:, 0], positive[:, 1]
    found = scores[anchor, other]
    among = scores[anchor].masked_fill(~negative[anchor], -torch.inf)
    counts = negative[anchor].any(dim=1)
    each = torch.logsumexp(torch.cat([found[:, None], among], dim=1), dim=1) - found
    first = (found > among.amax(dim=1)).float()
    return masked_mean(each, counts), masked_mean(first, counts).detach()


class InfoNCE(Objective):
    """InfoNCE with negatives from the same video and from other videos, weighted by `objective.same_video`.

    `objective.negative_weight` is not used. Scores are cosines, with both rows of a pair as anchors, or bilinear, with
    only the earlier row as anchor, as in CPC and Greedy InfoMax.

    Args:
        config: score, temperature, weights and choice of negatives (nearness is measured between embeddings, whatever
            the score).
        dim: D of the embeddings.
        generator: source of the bilinear score's initial weights, and of the seed for sampling negatives.

    Raises:
        ValueError: the temperature is not above 0.

    Reference: Loewe, O'Connor, Veeling 2019, arXiv:1905.11786 (Greedy InfoMax: each layer by its own InfoNCE); cosines
    over a temperature as in Chen et al. 2020, arXiv:2002.05709.
    """

    def __init__(self, config: ObjectiveConfig, dim: int, generator: torch.Generator | None = None) -> None:
        super().__init__()
        if config.infonce.temperature <= 0:
            raise ValueError(f"objective.infonce.temperature must be above 0, got {config.infonce.temperature}")
        self.temperature, self.same_video = config.infonce.temperature, config.same_video
        self.predictor = BilinearScore(dim, generator=generator) if config.infonce.score == "bilinear" else None
        self.negatives = Negatives(config, generator)

    def forward(self, z: Tensor, relation: Relation) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss and `infonce_accuracy`, the fraction of anchors that score their positive highest."""
        positive, z = relation.positive, z.float()
        if self.predictor is None:
            z = unit(z)
            scores, ways = z @ z.T, [positive, positive.flip(1)]
        else:
            scores, ways = self.predictor(z), [positive]
        scores = scores / self.temperature
        among = self.negatives(z, relation)
        loss, accuracy = scores.sum() * 0, scores.new_zeros(())
        for way in ways if len(positive) else ():
            for mask, weight in kinds(among, self.same_video):
                of_kind, found = info_nce(scores, way, mask)
                loss = loss + weight / len(ways) * of_kind
                accuracy = accuracy + weight / len(ways) * found
        return loss, {"infonce_accuracy": accuracy}


def video_infonce(z: Tensor, same: Tensor, other: Tensor, *, temperature: float) -> tuple[Tensor, Tensor]:
    """Return InfoNCE with all frames of the same video as positives, and frames of other videos as negatives.

    With s the cosine over the temperature, the mean over all pairs (a, b) of frames of the same video, positives and
    distant ones, of -log(exp(s_ab) / (exp(s_ab) + sum over frames k of other videos of exp(s_ak))).

    Args:
        z: (N, D) float embeddings.
        same: (N, N) bool, pairs of the same video.
        other: (N, N) bool, pairs of different videos.
        temperature: divisor of the cosines, above 0.

    Returns:
        The loss, a scalar, 0 if all rows are from one video; and the fraction of pairs (a, b) in which b is closer to a
        than every frame of other videos.

    Reference: Khosla et al. 2020, arXiv:2004.11362 (several positives for each anchor), with videos as labels and each
        positive contrasted only with the negatives, as in van den Oord, Li, Vinyals 2018, arXiv:1807.03748, equation 4.
    """
    u = unit(z.float())
    scores = u @ u.T / temperature
    among = scores.masked_fill(~other, torch.finfo(scores.dtype).min)
    loss = masked_mean(F.softplus(torch.logsumexp(among, dim=1, keepdim=True) - scores), same)
    with torch.no_grad():
        return loss, masked_mean((scores > among.amax(dim=1, keepdim=True)).float(), same)


def video_pairs(relation: Relation) -> tuple[Tensor, Tensor]:
    """Return two (N, N) bool: rows of the same video, positives and distant ones, and rows of different videos."""
    same = relation.same_video.clone()
    first, second = relation.positive.unbind(dim=1)
    same[first, second] = same[second, first] = True
    return same, relation.other_video


class VideoInfoNCE(Objective):
    """InfoNCE between videos, on the pairs of `video_pairs`.

    Its own head sees the mean over the whole map, so that it cannot identify videos by the positions of objects, and
    does not interfere with terms that need positions.
    """

    sees = "video_embedding"

    def forward(self, z: Tensor, relation: Relation) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss and `video_accuracy`, see `video_infonce`."""
        loss, accuracy = video_infonce(z, *video_pairs(relation), temperature=TEMPERATURE)
        return loss, {"video_accuracy": accuracy}
