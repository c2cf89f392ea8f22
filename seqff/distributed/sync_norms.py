"""Synchronized norms: normalize with statistics of the batches of all replicas."""

from __future__ import annotations

from types import MethodType
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from seqff.distributed.ranks import Ranks
from seqff.nets.norms import MOMENTUM, Whitening


def over_batch(part: nn.Module) -> bool:
    """Whether a module normalizes over the batch."""
    return isinstance(part, (nn.BatchNorm2d, Whitening))


def synchronize_norms(layer: nn.Module, ranks: Ranks) -> None:
    """Make every norm with batch statistics in a layer normalize over the batches of all replicas.

    Modules and their state do not change, so they can be saved and copied as usual; only the method that computes the
    statistics is replaced.
    """
    for part in layer.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.shared_by = ranks  # type: ignore[assignment]
            part.forward = MethodType(_batch_norm, part)  # type: ignore[method-assign]
        elif isinstance(part, Whitening):
            part.shared_by = ranks  # type: ignore[assignment]
            part._statistics = MethodType(_whitening_statistics, part)  # type: ignore[method-assign]


class _Sum(torch.autograd.Function):
    """Sum over the replicas; the gradient is summed over them, too."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, ranks: Ranks) -> Tensor:
        ctx.ranks = ranks
        return _sum(x, ranks)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return _sum(grad, ctx.ranks), None


def _sum(x: Tensor, ranks: Ranks) -> Tensor:
    total = x.clone(memory_format=torch.contiguous_format)
    with ranks.comm_errors():
        dist.all_reduce(total, group=ranks.group)
    return total


def _batch_norm(norm: nn.BatchNorm2d, x: Tensor) -> Tensor:
    """Normalize x, (N, C, H, W) -> (N, C, H, W), like `torch.nn.SyncBatchNorm`, which only supports CUDA."""
    if not norm.training:
        return nn.BatchNorm2d.forward(norm, x)
    ranks: Any = norm.shared_by
    with torch.autocast(x.device.type, enabled=False):
        wide, over = x.float(), (0, 2, 3)
        own = x.new_full((1,), x.numel() // x.shape[1], dtype=torch.float32)
        both: Tensor = _Sum.apply(torch.cat([own, wide.sum(dim=over)]), ranks)
        count, mean = both[:1], both[1:] / both[:1]
        centered = wide - mean[:, None, None]
        variance: Tensor = _Sum.apply(centered.square().sum(dim=over), ranks) / count
        _remember(norm, mean.detach(), variance.detach() * count / (count - 1))
        out = centered * torch.rsqrt(variance + norm.eps)[:, None, None]
        if norm.affine:
            out = out * norm.weight[:, None, None] + norm.bias[:, None, None]
        return torch.as_tensor(out, dtype=x.dtype)


@torch.no_grad()
def _remember(norm: nn.BatchNorm2d, mean: Tensor, variance: Tensor) -> None:
    if norm.running_mean is None or norm.running_var is None or norm.num_batches_tracked is None:
        return
    norm.num_batches_tracked += 1
    weight = 1 / float(norm.num_batches_tracked) if norm.momentum is None else norm.momentum
    norm.running_mean.lerp_(mean, weight)
    norm.running_var.lerp_(variance, weight)


def _whitening_statistics(norm: Whitening, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and covariance of the rows of all replicas, and update the running ones."""
    ranks: Any = norm.shared_by
    count = _sum(rows.new_full((1,), rows.shape[1]), ranks)
    mean = _sum(rows.sum(dim=1, keepdim=True), ranks) / count
    centered = rows - mean
    covariance = _sum(centered.transpose(1, 2) @ centered, ranks) / count
    norm.mean.lerp_(mean, MOMENTUM)
    norm.covariance.lerp_(covariance, MOMENTUM)
    return mean, covariance
