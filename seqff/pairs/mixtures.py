"""Synthetic negatives: two different images blended by a smooth mask."""

from __future__ import annotations

import dataclasses
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from seqff.pairs.batch import FrameBatch
from seqff.relation import Relation

BLURS_AT_28_PX = 6


@lru_cache(maxsize=16)
def blur_matrix(size: int, times: int) -> Tensor:
    """Return the matrix, (size, size) float32, that blurs an axis by [1/4, 1/2, 1/4] `times` times.

    The axis is mirrored at its ends, so that every row sums to 1 and borders are like the rest.
    """
    step = torch.zeros(size, size, dtype=torch.float64)
    for row in range(size):
        for weight, column in ((0.25, row - 1), (0.5, row), (0.25, row + 1)):
            step[row, min(max(column, 0), size - 1)] += weight
    blurred: Tensor = torch.linalg.matrix_power(step, times)
    return blurred.float()


def hybrid_masks(count: int, height: int, width: int, random: np.random.Generator) -> Tensor:
    """Draw smooth random masks: random bits, repeatedly blurred by [1/4, 1/2, 1/4] along both axes, thresholded at 0.5.

    Bits are blurred 6 times at 28 px, and in proportion to the square of the shorter side, so that regions keep their
    relative size.

    Args:
        count: N, number of masks.
        height: H, px.
        width: W, px.
        random: source of the bits.

    Returns:
        (N, H, W) bool on the CPU; half of it is true on average.

    Reference: Hinton 2022, arXiv:2212.13345, section 3.2.
    """
    blurs = max(1, round(BLURS_AT_28_PX * (min(height, width) / 28) ** 2))
    bits = np.unpackbits(np.frombuffer(random.bytes(-(-count * height * width // 8)), dtype=np.uint8))
    noise = torch.from_numpy(bits[: count * height * width]).float().view(count, height, width)
    return blur_matrix(height, blurs) @ noise @ blur_matrix(width, blurs) > 0.5


def hybrids(a: Tensor, b: Tensor, masks: Tensor) -> Tensor:
    """Blend two batches of images: mask * a + (1 - mask) * b.

    Args:
        a: (N, H, W) or (N, C, H, W).
        b: the same shape.
        masks: (N, H, W) bool.

    Returns:
        The blended images, with the shape and dtype of a.
    """
    return torch.where(masks if a.ndim == 3 else masks[:, None], a, b)


def choose_by_weight(weights: Tensor, draws: Tensor) -> Tensor:
    """Choose a column for each row in proportion to its weights; the draws are given, so that devices agree.

    Args:
        weights: (N, K) float, non-negative; a row that sums to 0 counts as uniform.
        draws: (N,) float64 in [0, 1).

    Returns:
        (N,) int64.
    """
    weights = weights.double()
    ends = torch.where(weights.sum(dim=1, keepdim=True) > 0, weights, 1.0).cumsum(dim=1)
    found = torch.searchsorted(ends, draws[:, None] * ends[:, -1:], right=True)[:, 0]
    return found.clamp(max=weights.shape[1] - 1)


def with_mixtures(
    batch: FrameBatch, relation: Relation, random: np.random.Generator, *, same_video: float = 0.5
) -> tuple[FrameBatch, Relation]:
    """Append a mixture of each row with a distant frame to a batch.

    Args:
        batch: N frames.
        relation: relation between its rows.
        random: source of masks and partners; the same state gives the same mixtures.
        same_video: share of partners from the same video, at least `far` apart; the others are from other videos. A row
            with only one kind of partners gets that kind, and a row without any gets any row.

    Returns:
        The batch of 2 N rows, where row N + n is the mixture of row n (with its coordinates); and the relation, in
        which mixtures are not real, and neither positives nor negatives of any row.
    """
    count, device = len(batch.frames), batch.frames.device
    masks = hybrid_masks(count, batch.frames.shape[2], batch.frames.shape[3], random).to(device)
    draws = torch.from_numpy(random.random(count)).to(device)
    kinds = [
        share * kind / kind.sum(dim=1, keepdim=True).clamp(min=1)
        for share, kind in ((same_video, relation.same_video), (1 - same_video, relation.other_video))
    ]
    far = relation.same_video | relation.other_video
    weights = kinds[0] + kinds[1]
    partner = choose_by_weight(torch.where(weights.sum(dim=1, keepdim=True) > 0, weights, far.float()), draws)
    rows = torch.arange(2 * count, device=device) % count
    given = ((field.name, getattr(batch, field.name)) for field in dataclasses.fields(batch) if field.name != "frames")
    coordinates = {name: None if value is None else value[rows] for name, value in given}
    frames = torch.cat([batch.frames, hybrids(batch.frames, batch.frames[partner], masks)])
    mixed = dataclasses.replace(batch, frames=frames, **coordinates)  # type: ignore[arg-type]
    wide = (0, count, 0, count)
    return mixed, Relation(
        positive=relation.positive,
        same_video=F.pad(relation.same_video, wide),
        other_video=F.pad(relation.other_video, wide),
        real=torch.arange(2 * count, device=device) < count,
        video=mixed.video,
    )
