"""Labels in the input: the first pixels say which class a picture is, or is claimed to be."""

from __future__ import annotations

import torch
from torch import Tensor

from seqff.pairs.mixtures import choose_by_weight


def label_in_input(x: Tensor, y: Tensor | None, classes: int) -> Tensor:
    """Write a label into the first pixels of every row.

    Args:
        x: (N, D) float, at least `classes` pixels.
        y: (N,) int64 in 0..classes - 1; None for the neutral label, 1 / classes in every place.
        classes: K.

    Returns:
        (N, D), a copy whose first K columns are the label, one-hot.

    Raises:
        ValueError: fewer pixels than classes.

    Reference: Hinton 2022, arXiv:2212.13345, section 3.3.
    """
    if x.ndim != 2 or x.shape[1] < classes:
        raise ValueError(f"x must be (N, D) with D of at least {classes} classes, got {tuple(x.shape)}")
    out = x.clone()
    if y is None:
        out[:, :classes] = 1 / classes
    else:
        out[:, :classes] = 0
        out[torch.arange(len(x), device=x.device), y] = 1
    return out


def wrong_labels(y: Tensor, draws: Tensor, weights: Tensor) -> Tensor:
    """Draw for every row a label that is not its own.

    Args:
        y: (N,) int64, the right labels.
        draws: (N,) float64 in [0, 1), one random number a row.
        weights: (N, K) or (1, K) float, how often each label is to be drawn; the right one is left out. All alike, or
            what the net takes for likely: its own mistakes are the harder negatives.

    Returns:
        (N,) int64, never y.
    """
    weights = weights.expand(len(y), -1).clone()
    weights[torch.arange(len(y), device=y.device), y] = 0
    chosen = choose_by_weight(weights, draws)
    return torch.where(chosen == y, (y + 1) % weights.shape[1], chosen)  # all weight on the right label: take the next
