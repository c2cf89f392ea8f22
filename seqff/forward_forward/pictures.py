"""Images in memory, with labels in their first pixels: checking, scaling, batching, shifting."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from seqff.config import OptimConfig
from seqff.pairs.mixtures import choose_by_weight
from seqff.training.learner import learning_rate


def as_pictures(x: Any, *, least: int = 1, plane: bool = False) -> Tensor:
    """Check images.

    Args:
        x: (N, H, W) or (N, D), numpy array or tensor, uint8 (0..255) or float.
        least: smallest number of images.
        plane: require (N, H, W).

    Returns:
        The images as a tensor: uint8 unchanged, other numbers as float32.

    Raises:
        ValueError: a wrong shape, too few images, or numbers that are not finite.
    """
    pictures = torch.as_tensor(x)
    if pictures.ndim not in (2, 3) or len(pictures) < least or not pictures.numel():
        raise ValueError(f"pictures must be (N, H, W) or (N, D), N at least {least}, got {tuple(pictures.shape)}")
    if plane and pictures.ndim != 3:
        raise ValueError(
            f"pictures must be (N, H, W), got {tuple(pictures.shape)}: shifts and mixtures (mode='unsupervised') need "
            "to know which pixels are neighbors"
        )
    if pictures.dtype != torch.uint8:
        pictures = pictures.float()
        if not bool(torch.isfinite(pictures).all()):
            raise ValueError("pictures hold numbers that are not finite (NaN or infinity)")
    return pictures


def as_labels(y: Any, count: int, *, most: int | None = None) -> Tensor:
    """Check labels: (count,) integers from 0, of two classes or more; returned as int64.

    Args:
        y: numpy array or tensor.
        count: required number of labels.
        most: largest number of classes; None for any.

    Raises:
        ValueError: a wrong shape, labels that are not integers from 0, or a number of classes out of range.
    """
    labels = torch.as_tensor(y)
    if labels.shape != (count,):
        raise ValueError(f"labels must be ({count},), one a picture, got {tuple(labels.shape)}")
    if labels.is_floating_point() or labels.is_complex() or int(labels.min()) < 0:
        raise ValueError(f"labels must be whole numbers 0, 1, 2, ..., got {labels.dtype} from {labels.min().item()}")
    classes = int(labels.max()) + 1
    if classes < 2 or (most is not None and classes > most):
        raise ValueError(f"there must be 2 classes or more, and no more than pixels in a picture, got {classes}")
    return labels.long()


def deal(count: int, batch: int, random: np.random.Generator) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield random batches of an epoch, at most `batch` rows each: (B,) int64 rows, and for each a different row."""
    order = torch.from_numpy(random.permutation(count))
    others = order.roll(1)
    for start in range(0, count, batch):
        yield order[start : start + batch], others[start : start + batch]


def deal_rates(count: int, batch: int, epochs: int, optim: OptimConfig) -> NDArray[np.float64]:
    """Return the learning rates of all steps with these batches, (epochs, steps per epoch) float64."""
    per_epoch = -(-count // batch)
    rates = [learning_rate(step, epochs * per_epoch, optim) for step in range(epochs * per_epoch)]
    return np.array(rates).reshape(epochs, per_epoch)


def scale(pictures: Tensor) -> Tensor:
    """Return float32; uint8 is scaled to 0..1, floats are unchanged."""
    return pictures.float() / 255 if pictures.dtype == torch.uint8 else pictures


def shift(pictures: Tensor, most: int, random: np.random.Generator) -> Tensor:
    """Shift every image by up to `most` px vertically and horizontally, filling with 0.

    Args:
        pictures: (N, H, W).
        most: largest shift, px.
        random: random generator.

    Returns:
        (N, H, W), the dtype of the input.
    """
    count, height, width = pictures.shape
    padded = F.pad(pictures, (most, most, most, most))
    moves = torch.from_numpy(random.integers(0, 2 * most + 1, (2, count, 1))).to(pictures.device)
    rows = moves[0] + torch.arange(height, device=pictures.device)
    columns = moves[1] + torch.arange(width, device=pictures.device)
    return padded[torch.arange(count, device=pictures.device)[:, None, None], rows[:, :, None], columns[:, None, :]]


def label_in_input(x: Tensor, y: Tensor | None, classes: int) -> Tensor:
    """Write a label into the first pixels of every row.

    Args:
        x: (N, D) float, at least `classes` pixels.
        y: (N,) int64 in 0..classes - 1; None for the neutral label, 1 / classes in every pixel.
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
    """Draw a wrong label for every row.

    Args:
        y: (N,) int64, the right labels.
        draws: (N,) float64 in [0, 1), one random number per row.
        weights: (N, K) or (1, K) float, relative frequency of each label; the right one is excluded. Uniform, or the
            net's own predictions, whose mistakes are harder negatives.

    Returns:
        (N,) int64, never y.
    """
    weights = weights.expand(len(y), -1).clone()
    weights[torch.arange(len(y), device=y.device), y] = 0
    chosen = choose_by_weight(weights, draws)
    return torch.where(chosen == y, (y + 1) % weights.shape[1], chosen)  # all weight on the right label: use the next
