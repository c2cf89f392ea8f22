"""Heads accept any map, also one smaller than the grid."""

from __future__ import annotations

import pytest
import torch

from seqff.objectives import build_head


@pytest.mark.parametrize("name", ["linear", "mlp", "none"])
@pytest.mark.parametrize("size", [(8, 10), (2, 3), (1, 1)])
def test_the_embedding_does_not_depend_on_the_size_of_the_map(name: str, size: tuple[int, int]) -> None:
    """Its width follows the settings, and the gradient reaches every position."""
    head = build_head(name, 3, grid=4, out=5, video=True, generator=torch.Generator().manual_seed(0))
    x = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(1), requires_grad=True)
    z = head(x)
    assert z.shape == (2, 3 * 16 + 3 if name == "none" else 10)
    (grad,) = torch.autograd.grad(z.square().sum(), x)
    assert bool((grad.abs().sum(dim=(0, 1)) > 0).all())
