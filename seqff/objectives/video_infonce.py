"""InfoNCE between videos: tell a frame's video from all others in the batch."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from seqff.objectives.base import Objective
from seqff.objectives.distance import unit
from seqff.objectives.temporal_hinge import masked_mean
from seqff.relation import Relation

TEMPERATURE = 0.1
"""What the objective divides cosines by."""


def video_infonce(z: Tensor, same: Tensor, other: Tensor, *, temperature: float) -> tuple[Tensor, Tensor]:
    """InfoNCE in which every frame of the same video is a positive, and frames of other videos are the negatives.

    With s the cosine over the temperature, the mean over all pairs (a, b) of frames of the same video, positives and
    distant ones, of -log(exp(s_ab) / (exp(s_ab) + sum over frames k of other videos of exp(s_ak))).

    Args:
        z: (N, D) float embeddings.
        same: (N, N) bool, pairs of the same video.
        other: (N, N) bool, pairs of different videos.
        temperature: what cosines are divided by, above 0.

    Returns:
        The loss, a scalar, 0 if all rows are of one video; and the share of the pairs (a, b) in which b is nearer to a
        than every frame of other videos.

    Reference: Khosla et al. 2020, arXiv:2004.11362 (several positives for each anchor), with videos for labels and each
    positive among the negatives alone; as in van den Oord, Li, Vinyals 2018, arXiv:1807.03748, equation 4.
    """
    u = unit(z.float())
    scores = u @ u.T / temperature
    among = scores.masked_fill(~other, torch.finfo(scores.dtype).min)
    loss = masked_mean(F.softplus(torch.logsumexp(among, dim=1, keepdim=True) - scores), same)
    with torch.no_grad():
        return loss, masked_mean((scores > among.amax(dim=1, keepdim=True)).float(), same)


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


class VideoInfoNCE(Objective):
    """InfoNCE between videos as a term of a layer's loss.

    It looks through a head of its own at the mean over the whole map, so that it can neither tell videos apart by where
    things are nor stand in the way of a term that asks where they are. Which pairs it sees: `video_pairs`.
    """

    sees = "video_embedding"

    def forward(self, z: Tensor, relation: Relation) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss and `video_accuracy`, see `video_infonce`."""
        loss, accuracy = video_infonce(z, *video_pairs(relation), temperature=TEMPERATURE)
        return loss, {"video_accuracy": accuracy}
