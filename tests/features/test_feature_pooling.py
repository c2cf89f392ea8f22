"""Pooling in space and time follows its definition, however frames are batched."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from seqff.features import RunningStatistics, spatial_pool, temporal_pool


@pytest.mark.parametrize("batches", [[50], [1] * 50, [3, 0, 17, 30]])
def test_running_statistics_are_numpys(batches: list[int]) -> None:
    """Mean, standard deviation and mean |difference| agree with numpy on the whole video, in any batches."""
    x = (1000 + np.random.default_rng(0).normal(size=(50, 7))).astype(np.float32)
    running, start = RunningStatistics(), 0
    for count in batches:
        running.update(x[start : start + count])
        start += count
    y = x.astype(np.float64)
    expected = np.stack([y.mean(axis=0), y.std(axis=0), np.abs(np.diff(y, axis=0)).mean(axis=0)])
    np.testing.assert_allclose(running.result(), expected, rtol=1e-6)
    np.testing.assert_array_equal(temporal_pool(x).shape, (3, 7))


def test_one_frame_has_neither_spread_nor_motion() -> None:
    """The descriptor of a video of one frame is that frame, and zeros."""
    x = np.random.default_rng(0).normal(size=(1, 5)).astype(np.float32)
    np.testing.assert_array_equal(temporal_pool(x), np.vstack([x, np.zeros((2, 5))]))


def test_statistics_want_frames_of_one_shape() -> None:
    """No frames at all, and frames that are no rows, are refused."""
    with pytest.raises(ValueError, match="at least one"):
        RunningStatistics().result()
    with pytest.raises(ValueError, match=r"shape \(5,\); expected \(T, D\)"):
        temporal_pool(np.zeros(5))


@pytest.mark.parametrize("grid", [1, 2, 4])
def test_spatial_pool_is_the_mean_of_each_cell(grid: int) -> None:
    """Cell (i, j) of channel c is the plain mean of that part of the map, channel-major in the row."""
    maps = torch.randn(3, 5, 8, 12, generator=torch.Generator().manual_seed(0))
    cells = maps.reshape(3, 5, grid, 8 // grid, grid, 12 // grid).mean(dim=(3, 5))
    torch.testing.assert_close(spatial_pool(maps, grid), cells.flatten(1))


def test_grid_is_capped_by_the_map() -> None:
    """A map with fewer cells than the grid asks for gives the cells it has, none twice."""
    maps = torch.arange(12.0).reshape(1, 2, 2, 3)
    assert spatial_pool(maps, 4).shape == (1, 2 * 2 * 2)
    with pytest.raises(ValueError, match="grid is 0"):
        spatial_pool(maps, 0)
