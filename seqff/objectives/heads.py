"""Heads: the throw-away projector through which a layer's objective looks at its map."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class GridPool(nn.Module):
    """Mean over the cells of a grid: (N, C, H, W) -> (N, C * grid * grid). A map smaller than the grid stays whole."""

    def __init__(self, grid: int) -> None:
        super().__init__()
        self.grid = grid

    def forward(self, x: Tensor) -> Tensor:
        """Pool and flatten."""
        return F.adaptive_avg_pool2d(x, (min(self.grid, x.shape[2]), min(self.grid, x.shape[3]))).flatten(1)


def _linear(inputs: int, outputs: int, generator: torch.Generator | None) -> nn.Linear:
    layer = nn.Linear(inputs, outputs)
    nn.init.normal_(layer.weight, std=math.sqrt(1 / inputs), generator=generator)
    nn.init.zeros_(layer.bias)
    return layer


def build_head(
    name: str, channels: int, *, grid: int, width: int, out: int, generator: torch.Generator | None = None
) -> nn.Module:
    """Build the head of one layer.

    Args:
        name: "mlp" (grid pooling, linear, ReLU, linear), "linear" or "none" (grid pooling alone).
        channels: C of the layer's map (N, C, H, W).
        grid: side of the pooling grid.
        width: hidden units of the mlp.
        out: D of the embedding (ignored by "none": D = C * grid * grid).
        generator: source of the initial weights.

    Returns:
        A module (N, C, H, W) -> (N, D).

    Raises:
        ValueError: unknown name.
    """
    inputs = channels * grid * grid
    if name == "none":
        return GridPool(grid)
    if name == "linear":
        return nn.Sequential(GridPool(grid), _linear(inputs, out, generator))
    if name == "mlp":
        hidden = _linear(inputs, width, generator)
        return nn.Sequential(GridPool(grid), hidden, nn.ReLU(inplace=True), _linear(width, out, generator))
    raise ValueError(f"unknown head {name!r}: choose from mlp, linear, none")


def head_dim(name: str, channels: int, *, grid: int, out: int) -> int:
    """Return D of the embedding that `build_head` with these arguments gives."""
    return channels * grid * grid if name == "none" else out
