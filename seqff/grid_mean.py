"""Mean over the cells of a grid, whose backward pass writes the map's gradient once, in the map's own layout.

The gradient of a mean is constant over a cell. PyTorch builds it value by value, contiguous even if the map is
    channels_last, and the next operator copies it: for a locally trained layer that costs as much as a convolution.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F


def grid_mean(x: Tensor, grid: int) -> Tensor:
    """Return the mean over the cells of a grid, as `adaptive_avg_pool2d` does.

    Args:
        x: (N, C, H, W) float.
        grid: cells along each side.

    Returns:
        (N, C, grid, grid). If the grid does not divide a side, neighboring cells overlap; if a side has fewer values
        than cells, some cells are equal.
    """
    pooled: Tensor = _GridMean.apply(x, grid)
    return pooled


def relu_grid_mean(y: Tensor, grid: int, *, pool: int = 1) -> tuple[Tensor, Tensor]:
    """Apply max pooling, ReLU and the grid mean, for a map that needs a gradient only through this mean.

    The backward pass is then a single pass over the map: the mean's gradient where the map is above 0.

    Args:
        y: (N, C, H, W) float; overwritten unless max-pooled, so its values must not be used elsewhere.
        grid: cells of the mean along each side.
        pool: side of the cells of the max pooling, 1 for none.

    Returns:
        The map, (N, C, H / pool, W / pool), without a graph, and its `grid_mean`, with one.
    """
    x, places = y.detach(), None
    if pool > 1:
        x, places = F.max_pool2d(x, pool, return_indices=True)
    x = x.relu_()
    pooled: Tensor = _ReLUGridMean.apply(y, x, places, pool, grid)
    return x, pooled


class _GridMean(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, grid: int) -> Tensor:
        ctx.form = _form(x)
        return F.adaptive_avg_pool2d(x, grid)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return _spread(grad, ctx.form), None


class _ReLUGridMean(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, y: Tensor, x: Tensor, places: Tensor | None, pool: int, grid: int) -> Tensor:
        ctx.save_for_backward(x, places)
        ctx.pool, ctx.form = pool, None if places is None else _form(y)
        return F.adaptive_avg_pool2d(x, grid)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None, None]:
        x, places = ctx.saved_tensors
        grad = _spread(grad, x, above_zero=x)
        if places is not None:
            y = torch.empty_like(ctx.form, device=grad.device)  # only its shape and layout are used
            side, none = [ctx.pool, ctx.pool], [0, 0]
            grad = torch.ops.aten.max_pool2d_with_indices_backward(grad, y, side, side, none, [1, 1], False, places)
        return grad, None, None, None, None


def _form(x: Tensor) -> Tensor:
    """Return a tensor of the same shape, layout and dtype, without values."""
    return torch.empty_like(x, device="meta")


def _spread(grad: Tensor, like: Tensor, *, above_zero: Tensor | None = None) -> Tensor:
    """Return the gradient of a map, given that of its grid mean.

    It is expanded along the rows first, which is cheap, and then over the height of each cell by the kernel that writes
        the result: this kernel thus works on whole rows in either layout, however few the channels.

    Args:
        grad: (N, C, rows, columns) float.
        like: a tensor of the map's shape, layout and dtype, (N, C, H, W).
        above_zero: the map, to set the gradient to 0 where it is not above 0, as after a ReLU.
    """
    cuts = _cuts(like.shape[2], grad.shape[2])
    wide = _widen(grad, like, cuts)
    out = torch.empty_like(like, device=grad.device)
    for i, (top, bottom) in enumerate(pairwise(cuts)):
        piece = out.narrow(2, top, bottom - top)
        value = wide.narrow(2, i, 1).expand_as(piece)  # read again for each row of the piece, never materialized
        if above_zero is None:
            piece.copy_(value)
        else:
            at = above_zero.narrow(2, top, bottom - top)
            torch.ops.aten.threshold_backward.grad_input(value, at, 0, grad_input=piece)
    return out


def _widen(grad: Tensor, like: Tensor, cuts: list[int]) -> Tensor:
    """Return the rows of the map's gradient between two cuts, which are all the same: (N, C, len(cuts) - 1, W)."""
    (n, c, height, width), (rows, columns) = like.shape, grad.shape[2:]
    layout = torch.channels_last if like.is_contiguous(memory_format=torch.channels_last) else torch.contiguous_format
    if height % rows or width % columns:  # cells overlap
        exact = torch.promote_types(grad.dtype, torch.float32)
        down = _weights(height, rows, tuple(cuts[:-1]), exact, grad.device)
        across = _weights(width, columns, tuple(range(width)), exact, grad.device)
        grad = torch.einsum("ncij,ri,wj->ncrw", grad.to(exact), down, across)
        return grad.to(like.dtype).contiguous(memory_format=layout)
    wide = torch.empty(n, c, rows, width, dtype=like.dtype, device=grad.device, memory_format=layout)
    wide.view(n, c, rows, columns, width // columns).copy_((grad * (rows * columns / (height * width)))[..., None])
    return wide


def _bounds(size: int, cells: int) -> list[tuple[int, int]]:
    """Return the start and end of every cell along a side."""
    return [(i * size // cells, -(-(i + 1) * size // cells)) for i in range(cells)]


def _cuts(size: int, cells: int) -> list[int]:
    """Return all positions where cells start or end."""
    return sorted({cut for bound in _bounds(size, cells) for cut in bound})


@lru_cache(maxsize=64)  # avoids a copy from the host at every step
def _weights(size: int, cells: int, places: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return the weight of the value at each position in the mean of each cell, (len(places), cells)."""
    bounds = _bounds(size, cells)
    weights = [[(first <= place < last) / (last - first) for first, last in bounds] for place in places]
    return torch.tensor(weights, dtype=dtype).to(device)
