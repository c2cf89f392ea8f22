"""The fully connected layer of Forward-Forward nets."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqff.nets.norms import EPSILON


def length_norm(x: Tensor) -> Tensor:
    """Give every row a mean square of 1: what is left of a layer's activities is their direction, not their goodness.

    Args:
        x: (N, D) float.

    Returns:
        (N, D), the dtype of x; a row of zeros stays one.

    Reference: Hinton 2022, arXiv:2212.13345, section 2.1.
    """
    return x * torch.rsqrt(x.float().square().mean(dim=1, keepdim=True) + EPSILON).to(x.dtype)


class DenseLayer(nn.Module):
    """Length normalisation of the input, linear map, ReLU.

    Args:
        inputs: D of the input.
        units: D of the output.
        generator: source of the initial weights.
    """

    def __init__(self, inputs: int, units: int, *, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, units)
        nn.init.normal_(self.linear.weight, std=math.sqrt(1 / inputs), generator=generator)
        nn.init.zeros_(self.linear.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs) to (N, units), non-negative."""
        return F.relu(self.linear(length_norm(x)), inplace=True)
