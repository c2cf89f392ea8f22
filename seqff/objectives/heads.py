"""Heads: the throw-away projector through which a layer's objective looks at its map."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from seqff.grid_mean import grid_mean


class GridPool(nn.Module):
    """Mean over the cells of a grid: (N, C, H, W) -> (N, C * grid * grid). A map smaller than the grid stays whole."""

    def __init__(self, grid: int) -> None:
        super().__init__()
        self.grid = grid

    def forward(self, x: Tensor) -> Tensor:
        """Pool and flatten."""
        return grid_mean(x, self.grid).flatten(1)


class Head(nn.Sequential):
    """Grid pooling, then an embedding of what it gives.

    Args:
        grid: side of the pooling grid.
        parts: modules from (N, C * grid * grid) to (N, D), one after another.
    """

    def __init__(self, grid: int, *parts: nn.Module) -> None:
        super().__init__(GridPool(grid), *parts)
        self.grid = grid

    def embed(self, pooled: Tensor) -> Tensor:
        """Return what `forward` gives for a map of which the grid mean is there: (N, C, grid, grid) -> (N, D)."""
        z = pooled.flatten(1)
        for part in list(self)[1:]:
            z = part(z)
        return z


def _linear(inputs: int, outputs: int, generator: torch.Generator | None) -> nn.Linear:
    layer = nn.Linear(inputs, outputs)
    nn.init.normal_(layer.weight, std=math.sqrt(1 / inputs), generator=generator)
    nn.init.zeros_(layer.bias)
    return layer


def build_head(
    name: str, channels: int, *, grid: int, width: int, out: int, generator: torch.Generator | None = None
) -> Head:
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
        return Head(grid)
    if name == "linear":
        return Head(grid, _linear(inputs, out, generator))
    if name == "mlp":
        hidden = _linear(inputs, width, generator)
        return Head(grid, hidden, nn.ReLU(inplace=True), _linear(width, out, generator))
    raise ValueError(f"unknown head {name!r}: choose from mlp, linear, none")


def head_dim(name: str, channels: int, *, grid: int, out: int) -> int:
    """Return D of the embedding that `build_head` with these arguments gives."""
    return channels * grid * grid if name == "none" else out
