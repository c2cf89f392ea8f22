"""InfoNCE: tell a row's positive from all its negatives."""

from __future__ import annotations

import torch
from torch import Tensor

from seqff.config import ObjectiveConfig
from seqff.objectives.base import Objective
from seqff.objectives.distance import unit
from seqff.objectives.negatives import Negatives, kinds
from seqff.objectives.predictor import Predictor
from seqff.objectives.temporal_hinge import masked_mean
from seqff.relation import Relation


def info_nce(scores: Tensor, positive: Tensor, negative: Tensor) -> tuple[Tensor, Tensor]:
    """Cross-entropy of finding each anchor's positive among its negatives.

    For a pair (a, b): -log(exp(s_ab) / (exp(s_ab) + sum over negatives k of a of exp(s_ak))).

    Args:
        scores: (N, M) float, s; how well row n of the batch fits row m.
        positive: (P, 2) int64, anchors (0..N) and their positives (0..M).
        negative: (N, M) bool, negatives of every row.

    Returns:
        The mean over the pairs of which the anchor has negatives, 0 if there are none; and the share of these pairs
        in which the positive scores above every negative.

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
    """InfoNCE as a term of a layer's loss.

    The loss is the share-weighted sum of InfoNCE among distant rows of the same video and InfoNCE among rows of other
    videos (`objective.same_video`); `objective.negative_weight` has no part in it. Scores are cosines, and both rows of
    a pair look for each other; or bilinear, and the earlier row looks for the later one, as in CPC and Greedy InfoMax.

    Args:
        config: score, temperature, the mixture and the choice of negatives (the nearest ones are those of
            the nearest embeddings, whatever the score).
        dim: D of the embeddings.
        generator: source of the initial weights of the bilinear score, and of the seed that negatives are drawn with.

    Raises:
        ValueError: a temperature that is not above 0.

    Reference: Loewe, O'Connor, Veeling 2019, arXiv:1905.11786 (Greedy InfoMax: each layer by its own InfoNCE); cosines
    over a temperature as in Chen et al. 2020, arXiv:2002.05709.
    """

    def __init__(self, config: ObjectiveConfig, dim: int, generator: torch.Generator | None = None) -> None:
        super().__init__()
        if config.infonce.temperature <= 0:
            raise ValueError(f"objective.infonce.temperature must be above 0, got {config.infonce.temperature}")
        self.temperature, self.same_video = config.infonce.temperature, config.same_video
        self.predictor = Predictor(dim, generator=generator) if config.infonce.score == "bilinear" else None
        self.negatives = Negatives(config, generator)

    def forward(self, z: Tensor, relation: Relation) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss and `infonce_accuracy`, the share of anchors that score their positive highest."""
        positive, z = relation.positive, z.float()
        if self.predictor is None:
            z = unit(z)
            scores, ways = z @ z.T, [positive, positive.flip(1)]
        else:
            scores, ways = self.predictor(z, z), [positive]
        scores = scores / self.temperature
        among = self.negatives(z, relation)
        loss, accuracy = scores.sum() * 0, scores.new_zeros(())
        for way in ways if len(positive) else ():
            for mask, share in kinds(among, self.same_video):
                of_kind, found = info_nce(scores, way, mask)
                loss = loss + share / len(ways) * of_kind
                accuracy = accuracy + share / len(ways) * found
        return loss, {"infonce_accuracy": accuracy}
