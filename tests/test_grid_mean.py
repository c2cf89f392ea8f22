"""The grid mean and its backward pass: PyTorch's numbers, in the map's own layout."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from seqff.grid_mean import grid_mean, relu_grid_mean

SIZES = [(8, 8), (9, 7), (6, 13), (3, 4)]
LAYOUTS = [torch.contiguous_format, torch.channels_last]


def plain_mean(x: Tensor, grid: int) -> Tensor:
    """The same with PyTorch alone."""
    return F.adaptive_avg_pool2d(x, grid)


def plain_chain(y: Tensor, grid: int, pool: int) -> tuple[Tensor, Tensor]:
    """Max pooling, ReLU and grid mean with PyTorch alone."""
    x = F.relu(F.max_pool2d(y, pool) if pool > 1 else y)
    return x, plain_mean(x, grid)


def noise(size: tuple[int, int], layout: torch.memory_format, dtype: torch.dtype = torch.float32) -> Tensor:
    """A small map; few different values, so that there are ties in the max pooling and zeros at the ReLU."""
    x = torch.randint(-9, 10, (3, 5, *size), generator=torch.Generator().manual_seed(0)) / 4
    return x.to(dtype).contiguous(memory_format=layout)


def gradient(x: Tensor, mean: Tensor) -> Tensor:
    """Of a weighted sum of a mean, with respect to x."""
    weights = torch.randn(mean.shape, generator=torch.Generator().manual_seed(1)).to(mean.dtype)
    (found,) = torch.autograd.grad((mean * weights).sum(), x)
    return found


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("grid", "size"), list(itertools.product([1, 2, 3, 4], SIZES)))
def test_mean_and_gradient_are_pytorchs(grid: int, size: tuple[int, int], layout: torch.memory_format) -> None:
    """Also where the grid does not divide a side, so that cells overlap, and where a side is shorter than the grid."""
    x = noise(size, layout).requires_grad_()
    expected, found = plain_mean(x, grid), grid_mean(x, grid)
    assert torch.equal(found, expected)
    torch.testing.assert_close(gradient(x, found), gradient(x, expected), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("pool", [1, 2, 3])
@pytest.mark.parametrize(("grid", "size"), list(itertools.product([1, 2, 4], SIZES)))
def test_the_whole_chain_is_pytorchs(grid: int, size: tuple[int, int], pool: int, layout: torch.memory_format) -> None:
    """Map, mean and gradient are those of max pooling, ReLU and mean one after another; ties go to the same value."""
    y = noise(size, layout).requires_grad_()
    x, expected = plain_chain(y, grid, pool)
    out, found = relu_grid_mean(y * 1, grid, pool=pool)
    assert torch.equal(out, x)
    assert not out.requires_grad
    assert torch.equal(found, expected)
    torch.testing.assert_close(gradient(y, found), gradient(y, expected), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("pool", [1, 2])
@pytest.mark.parametrize(("grid", "size"), [(1, (4, 4)), (2, (4, 6)), (2, (5, 7)), (4, (6, 6))])
def test_gradients_are_those_of_finite_differences(grid: int, size: tuple[int, int], pool: int) -> None:
    """gradcheck in double precision, away from the kinks."""
    values = torch.randperm(2 * size[0] * size[1], generator=torch.Generator().manual_seed(0)).double()
    y = ((values - values.mean()) / 50).view(1, 2, *size).requires_grad_()
    assert torch.autograd.gradcheck(lambda y: grid_mean(y, grid), y)
    assert torch.autograd.gradcheck(lambda y: relu_grid_mean(y * 1, grid, pool=pool)[1], y)


@pytest.mark.parametrize("pool", [1, 2])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_gradient_has_the_maps_layout(layout: torch.memory_format, pool: int) -> None:
    """Nothing need copy it before the convolution's way back, in float32 and in bfloat16."""
    for dtype, size in itertools.product((torch.float32, torch.bfloat16), SIZES[:2]):
        y = noise(size, layout, dtype).requires_grad_()
        for mean in (grid_mean(y, 2), relu_grid_mean(y * 1, 2, pool=pool)[1]):
            found = gradient(y, mean)
            assert found.dtype == dtype
            assert found.is_contiguous(memory_format=layout)


def test_bfloat16_is_as_near_as_its_rounding() -> None:
    """The chain in bfloat16 gives PyTorch's gradients in bfloat16 within two roundings."""
    y = noise((8, 8), torch.channels_last, torch.bfloat16).requires_grad_()
    for grid, pool in itertools.product((1, 2, 4), (1, 2)):
        expected = gradient(y, plain_chain(y, grid, pool)[1])
        found = gradient(y, relu_grid_mean(y * 1, grid, pool=pool)[1])
        torch.testing.assert_close(found, expected, rtol=2**-7, atol=0)


def test_a_second_way_back_gives_the_same() -> None:
    """Nothing that the way back needs is used up by it."""
    y = noise((8, 8), torch.channels_last).requires_grad_()
    for pool in (1, 2):
        total = relu_grid_mean(y * 1, 2, pool=pool)[1].sum()
        first, second = (torch.autograd.grad(total, y, retain_graph=True)[0] for _ in range(2))
        assert torch.equal(first, second)
