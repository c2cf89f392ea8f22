"""Projection heads between a layer's map and its objective, discarded after training."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from seqff.grid_mean import grid_mean

HIDDEN_UNITS = 256
"""Hidden units of the MLP head."""


class Head(nn.Module):
    """Grid pooling and an embedding of the result; optionally also an embedding of the mean over the map.

    Args:
        grid: side of the pooling grid.
        cells: maps (N, C * grid * grid) to (N, D).
        whole: maps (N, C) to (N, D'), the video embedding; None for none.
        split: number of leading channels for `cells`, the others are for `whole`; 0 = both use all.
    """

    def __init__(self, grid: int, cells: nn.Module, whole: nn.Module | None = None, *, split: int = 0) -> None:
        super().__init__()
        self.grid, self.cells, self.whole, self.split = grid, cells, whole, split

    def forward(self, x: Tensor) -> Tensor:
        """Return the embedding of (N, C, H, W), (N, D), followed by the video embedding: (N, D + D')."""
        return self.embed(grid_mean(x, self.grid))

    def embed(self, pooled: Tensor) -> Tensor:
        """Like `forward`, given the grid mean of the map, (N, C, grid, grid)."""
        first, second = pooled.tensor_split([self.split], dim=1) if self.split else (pooled, pooled)
        z: Tensor = self.cells(first.flatten(1))
        return z if self.whole is None else torch.cat([z, self.whole(second.mean(dim=(2, 3)))], dim=1)


def _linear(inputs: int, outputs: int, generator: torch.Generator | None) -> nn.Linear:
    layer = nn.Linear(inputs, outputs)
    nn.init.normal_(layer.weight, std=math.sqrt(1 / inputs), generator=generator)
    nn.init.zeros_(layer.bias)
    return layer


def _projector(name: str, inputs: int, out: int, generator: torch.Generator | None) -> nn.Module:
    if name == "none":
        return nn.Identity()
    if name == "linear":
        return _linear(inputs, out, generator)
    if name == "mlp":
        hidden = _linear(inputs, HIDDEN_UNITS, generator)
        return nn.Sequential(hidden, nn.ReLU(inplace=True), _linear(HIDDEN_UNITS, out, generator))
    raise ValueError(f"unknown head {name!r}: choose from mlp, linear, none")


def build_head(
    name: str,
    channels: int,
    *,
    grid: int,
    out: int,
    video: bool = False,
    split: int = 0,
    generator: torch.Generator | None = None,
) -> Head:
    """Build the head of one layer.

    Args:
        name: "mlp" (grid pooling, linear, ReLU of 256 units, linear), "linear" or "none" (only grid pooling).
        channels: C of the layer's map (N, C, H, W).
        grid: side of the pooling grid.
        out: D of the embedding (ignored by "none": D = C * grid * grid).
        video: add a second embedding, of the mean over the whole map.
        split: channels for the first embedding, the others are for the second; 0 = both use all.
        generator: source of the initial weights.

    Returns:
        A module (N, C, H, W) -> (N, D), or (N, D + D') with the video embedding.

    Raises:
        ValueError: unknown name.
    """
    first, second = (split, channels - split) if split else (channels, channels)
    cells = _projector(name, first * grid * grid, out, generator)
    return Head(grid, cells, _projector(name, second, out, generator) if video else None, split=split)


def split_channels(channels: int, fraction: float) -> int:
    """Return the number of a layer's channels for terms within videos, given the fraction for terms between videos.

    Args:
        channels: channels of the layer's map.
        fraction: `objective.video_channels`; for 0, all terms use all channels and 0 is returned.

    Raises:
        ValueError: the fraction is not in [0, 1), or leaves one kind of term without a channel.
    """
    between = round(fraction * channels)
    if not 0 <= fraction < 1 or (fraction and not 0 < between < channels):
        raise ValueError(
            "objective.video_channels is the fraction of a layer's channels for terms between videos, 0 (all terms see "
            f"all) to below 1, and must leave each kind of them at least one of {channels}; got {fraction}"
        )
    return channels - between if fraction else 0


def head_dim(name: str, channels: int, *, grid: int, out: int) -> int:
    """Return D of the embedding of `build_head` with these arguments."""
    return channels * grid * grid if name == "none" else out
