"""Heads: the throw-away projector through which a layer's objective looks at its map."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from seqff.grid_mean import grid_mean


class Head(nn.Module):
    """Grid pooling, then an embedding of what it gives; and, where a term asks for them, some of the mean over the map.

    Args:
        grid: side of the pooling grid.
        cells: from (N, C * grid * grid) to (N, D).
        videos: each from (N, C) to (N, D'), the video embeddings.
        split: where the map's channels are cut: the first part is for `cells`, the next ones for `videos`, one each.
            Empty = all see all channels.
    """

    def __init__(
        self, grid: int, cells: nn.Module, videos: Sequence[nn.Module] = (), *, split: Sequence[int] = ()
    ) -> None:
        super().__init__()
        self.grid, self.cells, self.videos, self.split = grid, cells, nn.ModuleList(videos), tuple(split)

    def forward(self, x: Tensor) -> Tensor:
        """Return the embedding of (N, C, H, W), (N, D), with the video embeddings behind it: (N, D + P * D')."""
        return self.embed(grid_mean(x, self.grid))

    def embed(self, pooled: Tensor) -> Tensor:
        """Return what `forward` gives for a map of which the grid mean is there, (N, C, grid, grid)."""
        count = 1 + len(self.videos)
        first, *others = pooled.tensor_split(self.split, dim=1) if self.split else [pooled] * count
        wholes = [video(part.mean(dim=(2, 3))) for video, part in zip(self.videos, others, strict=True)]
        return torch.cat([self.cells(first.flatten(1)), *wholes], dim=1)


def _linear(inputs: int, outputs: int, generator: torch.Generator | None) -> nn.Linear:
    layer = nn.Linear(inputs, outputs)
    nn.init.normal_(layer.weight, std=math.sqrt(1 / inputs), generator=generator)
    nn.init.zeros_(layer.bias)
    return layer


def _projector(name: str, inputs: int, width: int, out: int, generator: torch.Generator | None) -> nn.Module:
    if name == "none":
        return nn.Identity()
    if name == "linear":
        return _linear(inputs, out, generator)
    if name == "mlp":
        hidden = _linear(inputs, width, generator)
        return nn.Sequential(hidden, nn.ReLU(inplace=True), _linear(width, out, generator))
    raise ValueError(f"unknown head {name!r}: choose from mlp, linear, none")


def build_head(
    name: str,
    channels: int,
    *,
    grid: int,
    width: int,
    out: int,
    video: bool = False,
    split: Sequence[int] = (),
    generator: torch.Generator | None = None,
) -> Head:
    """Build the head of one layer.

    Args:
        name: "mlp" (grid pooling, linear, ReLU, linear), "linear" or "none" (grid pooling alone).
        channels: C of the layer's map (N, C, H, W).
        grid: side of the pooling grid.
        width: hidden units of the mlp.
        out: D of the embedding (ignored by "none": D = C * grid * grid).
        video: with a second embedding, of the mean over the whole map.
        split: where the channels are cut for `Head`, with a video embedding for each part but the first; empty = one
            video embedding, and all see all channels.
        generator: source of the initial weights.

    Returns:
        A module (N, C, H, W) -> (N, D), or (N, D + P * D') with P video embeddings.

    Raises:
        ValueError: unknown name.
    """
    bounds = [0, *split, channels]
    first, *others = [after - before for before, after in pairwise(bounds)] if split else [channels, channels]
    cells = _projector(name, first * grid * grid, width, out, generator)
    videos = [_projector(name, part, width, out, generator) for part in others] if video else []
    return Head(grid, cells, videos, split=split)


def split_channels(channels: int, share: float) -> tuple[int, ...]:
    """Say where a layer's channels are cut between terms within videos and between them.

    Args:
        channels: of the layer's map.
        share: of the channels that terms between videos see (`objective.video_channels`).

    Returns:
        Two places: the channels before the first are for terms within videos; those up to the second for terms between
        videos that see pairs with changed colors, the rest, as many, for pairs with colors as they are. None for a
        share of 0.

    Raises:
        ValueError: the share is not 0 to below 1, or leaves one of them without a channel.
    """
    each = round(share * channels / 2)
    if not 0 <= share < 1 or (share and not 0 < 2 * each < channels):
        raise ValueError(
            "objective.video_channels is the share of a layer's channels for terms between videos, 0 (all terms see "
            f"all) to below 1, and must leave each kind of them at least one of {channels}; got {share}"
        )
    return (channels - 2 * each, channels - each) if share else ()


def head_dim(name: str, channels: int, *, grid: int, out: int) -> int:
    """Return D of the embedding that `build_head` with these arguments gives."""
    return channels * grid * grid if name == "none" else out
