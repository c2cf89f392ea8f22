"""Normalizations between layers, so that a layer cannot simply read the answer of the layer below from its length."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

GROUP = 64
"""Largest group of channels whitened together: larger groups cost more and are less accurate on small batches."""
RIDGE = 1e-3
"""Ridge relative to the mean variance, which keeps directions of tiny variance from being amplified."""
ITERATIONS = 16
"""Enough for directions with RIDGE / GROUP of the total variance, which grow by 9/4 per iteration (see the tests)."""
MOMENTUM = 0.1
"""Weight of a batch in the running statistics, as in torch's batch norm."""


def group_size(channels: int) -> int:
    """Return the largest number up to GROUP that divides the channels."""
    return next(size for size in range(min(GROUP, channels), 0, -1) if channels % size == 0)


def inverse_square_root(covariance: Tensor) -> Tensor:
    """Return the symmetric inverse square root of covariances with a ridge.

    The coupled Newton-Schulz iteration needs only matrix products, no eigendecomposition, and is stable where the plain
    iteration for the inverse root loses its symmetry to rounding.

    Args:
        covariance: (..., S, S) float32, symmetric, positive semi-definite.

    Returns:
        (..., S, S) float32, (covariance + RIDGE * mean variance * identity) ** (-1/2). A covariance of 0 gives a finite
        matrix.

    Reference: Higham 2008, Functions of Matrices, equation 6.35; for whitening: Huang et al. 2019, arXiv:1904.03441
    (iterative normalization), which uses the plain iteration, stopped early.
    """
    size = covariance.shape[-1]
    identity = torch.eye(size, device=covariance.device)
    variance = covariance.diagonal(dim1=-2, dim2=-1).mean(dim=-1).clamp(min=1e-12)[..., None, None]
    scale = variance * size * (1 + RIDGE)  # the trace: after division all eigenvalues are below 1
    y, z = (covariance + RIDGE * variance * identity) / scale, identity.expand_as(covariance)
    for _ in range(ITERATIONS):
        step = 1.5 * identity - 0.5 * (z @ y)
        y, z = y @ step, step @ z
    return z * torch.rsqrt(scale)


class Whitening(nn.Module):
    """Center and whiten the channels in groups, over all samples and positions of a batch (ZCA); nothing is learned.

    ZCA changes each channel as little as possible. Training uses the batch's statistics, evaluation running ones, which
    are buffers. No gradient passes through the statistics.

    Args:
        channels: C of the input; groups have the largest size up to GROUP that divides it.

    Reference: Huang et al. 2018, arXiv:1804.08450 (decorrelated batch normalization).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.size = group_size(channels)
        groups = channels // self.size
        self.mean: Tensor
        self.covariance: Tensor
        self.register_buffer("mean", torch.zeros(groups, 1, self.size))
        self.register_buffer("covariance", torch.eye(self.size).repeat(groups, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Whiten x: (N, C, H, W) float -> (N, C, H, W), the dtype of x, channels last."""
        with torch.autocast(x.device.type, enabled=False):
            channels_last = x.permute(0, 2, 3, 1)
            rows = channels_last.reshape(-1, len(self.mean), self.size).transpose(0, 1).float()  # (groups, rows, size)
            with torch.no_grad():
                mean, covariance = self._statistics(rows) if self.training else (self.mean, self.covariance)
                matrix = inverse_square_root(covariance)
            white = ((rows - mean) @ matrix).transpose(0, 1)
            return white.reshape(channels_last.shape).permute(0, 3, 1, 2).to(x.dtype)

    def _statistics(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and covariance of the batch, and update the running ones."""
        mean = rows.mean(dim=1, keepdim=True)
        centered = rows - mean
        covariance = centered.transpose(1, 2) @ centered / rows.shape[1]
        self.mean.lerp_(mean, MOMENTUM)
        self.covariance.lerp_(covariance, MOMENTUM)
        return mean, covariance

    def extra_repr(self) -> str:
        """Describe the groups in the module's repr."""
        return f"groups={len(self.mean)}, size={self.size}"


EPSILON = 1e-5


def layer_norm(x: Tensor) -> Tensor:
    """Give every sample mean 0 and variance 1 over (C, H, W), without learned scale or shift.

    Args:
        x: (N, C, H, W) float.

    Returns:
        (N, C, H, W), the dtype and memory format of x.

    Reference: Ba, Kiros, Hinton 2016, arXiv:1607.06450.
    """
    # one contiguous row per sample, which the fused kernel reads and writes sequentially
    channels_last = x.permute(0, 2, 3, 1)
    if channels_last.is_contiguous():
        rows = channels_last.flatten(1)
        return F.layer_norm(rows, rows.shape[1:], eps=EPSILON).view_as(channels_last).permute(0, 3, 1, 2)
    return F.layer_norm(x, x.shape[1:], eps=EPSILON)


def rms_norm(x: Tensor) -> Tensor:
    """Give every sample a mean square of 1 over (C, H, W): Forward-Forward's length normalization.

    Args:
        x: (N, C, H, W) float.

    Returns:
        (N, C, H, W), mean(x ** 2) = 1 in each sample (not unit length, which would make the activities of a wide layer
        vanish).

    Reference: Hinton 2022, arXiv:2212.13345, section 2.1.
    """
    return x * torch.rsqrt(x.square().mean(dim=(1, 2, 3), keepdim=True) + EPSILON)


class FunctionNorm(nn.Module):
    """A normalization without state, as a module."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        """Normalize x, (N, C, H, W) -> (N, C, H, W)."""
        return self.function(x)

    def extra_repr(self) -> str:
        """Name the function in the module's repr."""
        return self.function.__name__


def build_norm(name: str, channels: int) -> nn.Module:
    """Build an inter-layer norm by name.

    Args:
        name: "layer", "rms", "batch", "none" or "whitening".
        channels: channels of the tensor it will see (only "batch" and "whitening" need it).

    Raises:
        ValueError: unknown name.
    """
    norms: dict[str, Callable[[], nn.Module]] = {
        "layer": lambda: FunctionNorm(layer_norm),
        "rms": lambda: FunctionNorm(rms_norm),
        "batch": lambda: nn.BatchNorm2d(channels, affine=False),
        "none": nn.Identity,
        "whitening": lambda: Whitening(channels),
    }
    if name not in norms:
        raise ValueError(f"unknown norm {name!r}: choose from {', '.join(norms)}")
    return norms[name]()
