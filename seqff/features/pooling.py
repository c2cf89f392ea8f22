"""Pool feature maps to vectors: means over a spatial grid, and statistics over the frames of a video."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

STATISTICS = ("mean", "std", "mean_abs_difference")
"""Statistics over time, in the order of a descriptor's rows. The third measures motion."""

Grid = int | Literal["full"]
"""Cells per side that a map is averaged over; "full" keeps every position."""


def effective_grid(grid: Grid, height: int, width: int) -> tuple[int, int]:
    """The cells (rows, columns) of a map of height x width: grid x grid, with grid at most the shorter side.

    Raises:
        ValueError: the grid is neither "full" nor 1 or more.
    """
    if grid == "full":
        return height, width
    if not isinstance(grid, int) or grid < 1:
        raise ValueError(f"grid is {grid}; it must be 1 or more (2 means 2 x 2 cells), or 'full' for whole maps")
    side = min(grid, height, width)
    return side, side


def spatial_pool(maps: Tensor, grid: Grid) -> Tensor:
    """Mean over the cells of a grid x grid division of each map.

    Args:
        maps: (N, C, H, W) float.
        grid: cells per side, at most the length of a map's shorter side. "full" keeps every position.

    Returns:
        (N, C * rows * columns) with the effective grid; channel-major, then cell rows, then cell columns.
    """
    cells = effective_grid(grid, maps.shape[-2], maps.shape[-1])
    if cells == tuple(maps.shape[-2:]):
        return maps.flatten(1)
    return torch.nn.functional.adaptive_avg_pool2d(maps, cells).flatten(1)


def temporal_pool(frames: NDArray[np.floating]) -> NDArray[np.float32]:
    """Statistics over the frames of one video.

    Args:
        frames: (T, D) features of T >= 1 frames in temporal order.

    Returns:
        (3, D) float32: mean, (population) standard deviation and mean |difference| of neighboring frames. For a single
        frame, the last two are 0.
    """
    statistics = RunningStatistics()
    statistics.update(frames)
    return statistics.result()


class RunningStatistics:
    """Streaming `temporal_pool` for a video that arrives in batches; keeps three vectors for any video length.

    Variances are merged batch by batch, each around its own mean (Chan, Golub, LeVeque 1983,
    doi:10.1080/00031305.1983.10483115), in float64, so that small motion in long videos is not lost to rounding.
    """

    def __init__(self) -> None:
        self.frames = 0
        self._mean: NDArray[np.float64] = np.zeros(0)
        self._squares: NDArray[np.float64] = np.zeros(0)
        self._moves: NDArray[np.float64] = np.zeros(0)
        self._last: NDArray[np.float64] = np.zeros(0)

    def update(self, frames: NDArray[np.floating]) -> None:
        """Add the next frames.

        Args:
            frames: (T, D), T >= 0, following those added before.
        """
        if frames.ndim != 2:
            raise ValueError(f"frames have shape {frames.shape}; expected (T, D)")
        batch = frames.astype(np.float64)
        count = len(batch)
        if count == 0:
            return
        if self.frames == 0:
            self._mean, self._squares, self._moves = (np.zeros(batch.shape[1]) for _ in range(3))
            self._last = batch[0]
        self._moves += np.abs(np.diff(batch, axis=0, prepend=self._last[None])).sum(axis=0)
        self._last = batch[-1]
        mean = batch.mean(axis=0)
        shift = mean - self._mean
        total = self.frames + count
        self._squares += np.square(batch - mean).sum(axis=0) + np.square(shift) * (self.frames * count / total)
        self._mean += shift * (count / total)
        self.frames = total

    def result(self) -> NDArray[np.float32]:
        """The (3, D) float32 statistics of all frames added so far; see `temporal_pool`."""
        if self.frames == 0:
            raise ValueError("no frames were given; statistics need at least one")
        std = np.sqrt(self._squares / self.frames)
        move = self._moves / max(self.frames - 1, 1)
        return np.stack([self._mean, std, move]).astype(np.float32)
