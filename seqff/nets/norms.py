"""Normalisations between layers: take away what would let the next layer read this layer's answer from its length."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqff.nets.whitening import Whitening

EPSILON = 1e-5


def layer_norm(x: Tensor) -> Tensor:
    """Give every sample mean 0 and variance 1 over (C, H, W), without learnt scale or shift.

    Args:
        x: (N, C, H, W) float.

    Returns:
        (N, C, H, W), the dtype and memory format of x.

    Reference: Ba, Kiros, Hinton 2016, arXiv:1607.06450.
    """
    # one row a sample in memory order: the fused kernel then reads and writes straight through
    channels_last = x.permute(0, 2, 3, 1)
    if channels_last.is_contiguous():
        rows = channels_last.flatten(1)
        return F.layer_norm(rows, rows.shape[1:], eps=EPSILON).view_as(channels_last).permute(0, 3, 1, 2)
    return F.layer_norm(x, x.shape[1:], eps=EPSILON)


def rms_norm(x: Tensor) -> Tensor:
    """Give every sample a mean square of 1 over (C, H, W): Forward-Forward's length normalisation.

    Args:
        x: (N, C, H, W) float.

    Returns:
        (N, C, H, W), mean(x ** 2) = 1 in each sample (not unit length: with unit length the activities of a wide
        layer vanish).

    Reference: Hinton 2022, arXiv:2212.13345, section 2.1.
    """
    return x * torch.rsqrt(x.square().mean(dim=(1, 2, 3), keepdim=True) + EPSILON)


class FunctionNorm(nn.Module):
    """A normalisation without state, as a module."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        """Normalise x, (N, C, H, W) -> (N, C, H, W)."""
        return self.function(x)

    def extra_repr(self) -> str:
        """Name the function in the module's print."""
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
