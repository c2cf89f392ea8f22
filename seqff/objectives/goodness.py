"""Goodness: each layer classifies rows as real or synthetic by its squared activities."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from seqff.config import GoodnessConfig
from seqff.objectives.base import Objective
from seqff.objectives.pairwise import masked_mean
from seqff.relation import Relation


def goodness(y: Tensor, form: Literal["sum", "mean"] = "sum", *, over: Literal["map", "position"] = "map") -> Tensor:
    """Return the goodness of a layer's activities: the sum, or the mean, of their squares.

    Args:
        y: (N, D) or (N, C, H, W) float, activities before any normalization.
        form: "sum" as in the paper, or "mean", which does not depend on the number of units.
        over: "map", all units of a row together; "position", the channels at each position of a map separately.

    Returns:
        (N,) float; (N, H, W) with over="position".

    Reference: Hinton 2022, arXiv:2212.13345, section 2.
    """
    squares = y.square()
    if over == "map":
        squares = squares.flatten(1)
    return squares.sum(dim=1) if form == "sum" else squares.mean(dim=1)


def threshold_loss(g: Tensor, real: Tensor, *, threshold: float, alpha: float = 1.0) -> Tensor:
    """Return the cross-entropy of p(real) = sigmoid(g - theta): softplus(theta - g) if real, else softplus(g - theta).

    Args:
        g: (N,) or (N, P) float, goodness of every row (at P positions).
        real: (N,) bool, rows that are not synthetic.
        threshold: theta.
        alpha: factor on g - theta, 1 in the paper.

    Returns:
        A scalar: the mean over the real rows plus the mean over the others; 0 for a kind without rows.

    Reference: Hinton 2022, arXiv:2212.13345, equation 1.
    """
    g = g.reshape(len(g), -1)
    real = real[:, None].expand_as(g)
    each = F.softplus(alpha * torch.where(real, threshold - g, g - threshold))
    return masked_mean(each, real) + masked_mean(each, ~real)


def pair_off(real: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Pair the k-th real row with the k-th synthetic one, without synchronizing with the host.

    Args:
        real: (N,) bool.

    Returns:
        (N // 2,) int64 real rows, (N // 2,) int64 synthetic rows, and (N // 2,) bool, whether the pair is valid: if the
        numbers differ, some rows remain unpaired.
    """
    order = torch.argsort((~real).int(), stable=True)  # real rows first, order preserved
    half = len(real) // 2
    first, second = order[:half], order[len(real) - half :]
    return first, second, real[first] & ~real[second]


def symba_loss(g: Tensor, real: Tensor, *, alpha: float = 1.0) -> Tensor:
    """Return the SymBa loss: softplus(-alpha (g_real - g_synthetic)) of pairs of rows (see `pair_off`), no threshold.

    Args:
        g: (N,) or (N, P) float, goodness of every row (at P positions).
        real: (N,) bool, rows that are not synthetic.
        alpha: factor on the difference.

    Returns:
        A scalar, the mean over the pairs.

    Reference: Lee and Song 2023, arXiv:2303.08418.
    """
    g = g.reshape(len(g), -1)
    first, second, paired = pair_off(real)
    ahead = g[first] - g[second]
    return masked_mean(F.softplus(-alpha * ahead), paired[:, None].expand_as(ahead))


class Goodness(Objective):
    """High goodness for real rows, low goodness for synthetic ones (see `relation.real`).

    Args:
        config: form, threshold, loss and alpha.

    Raises:
        ValueError: alpha or threshold is not above 0.
    """

    sees = "map"
    needs_mixtures = True

    def __init__(self, config: GoodnessConfig) -> None:
        super().__init__()
        if config.alpha <= 0 or config.threshold <= 0:
            raise ValueError(
                f"objective.goodness: alpha and threshold must be above 0, got {config.alpha} and {config.threshold}"
            )
        self.config = config

    def forward(self, z: Tensor, relation: Relation) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss of a layer's output, (N, D) or (N, C, H, W) float32, and its metrics.

        Metrics: `goodness_real` and `goodness_synthetic`, means per unit, and `told_apart`, the fraction of real and
        synthetic pairs (see `pair_off`) in which the real row has the higher goodness.

        Raises:
            ValueError: the batch has no synthetic rows, or goodness per position is requested for (N, D) activities.
        """
        config, real = self.config, relation.real
        if real is None:
            raise ValueError("objective goodness needs synthetic negatives, but relation.real is None: all are real")
        if config.over == "position" and z.ndim != 4:
            raise ValueError(f"objective.goodness.over='position' needs maps (N, C, H, W), got {tuple(z.shape)}")
        g = goodness(z, config.form, over=config.over).reshape(len(z), -1)
        units = z[0].numel() // g.shape[1] if config.form == "sum" else 1
        if config.loss == "symba":
            loss = symba_loss(g, real, alpha=config.alpha)
        else:
            loss = threshold_loss(g, real, threshold=config.threshold * units, alpha=config.alpha)
        with torch.no_grad():
            of_unit = g.mean(dim=1) / units
            first, second, paired = pair_off(real)
            return loss, {
                "goodness_real": masked_mean(of_unit, real),
                "goodness_synthetic": masked_mean(of_unit, ~real),
                "told_apart": masked_mean((of_unit[first] > of_unit[second]).float(), paired),
            }
