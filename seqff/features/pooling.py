"""From feature maps to vectors: means over a spatial grid, and statistics over the frames of one video."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

STATISTICS = ("mean", "std", "mean_abs_difference")
"""The rows of a descriptor over time, in this order. Motion lives in the third."""

Grid = int | Literal["full"]
"""Cells along each side that a map is averaged over; "full" leaves it as it is."""


def effective_grid(grid: Grid, height: int, width: int) -> tuple[int, int]:
    """The cells (rows, columns) of a map of height x width: grid x grid, or as many as its shorter side has places.

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
        grid: cells along each side; maps with a side below it are divided into as many cells as that side has.
            "full" keeps every place.

    Returns:
        (N, C * rows * columns) with the effective grid; channel-major, then cell rows, then cell columns.
    """
    cells = effective_grid(grid, maps.shape[-2], maps.shape[-1])
    if cells == tuple(maps.shape[-2:]):
        return maps.flatten(1)
    return torch.nn.functional.adaptive_avg_pool2d(maps, cells).flatten(1)


def temporal_pool(frames: NDArray[np.floating]) -> NDArray[np.float32]:
    """Statistics of one video's frames over time.

    Args:
        frames: (T, D) features of T >= 1 frames in order of time.

    Returns:
        (3, D) float32: mean, standard deviation (of the population) and mean |difference| of neighbouring frames.
        One frame alone has no spread and no motion: both are 0.
    """
    statistics = RunningStatistics()
    statistics.update(frames)
    return statistics.result()


class RunningStatistics:
    """`temporal_pool` of a video that comes in batches; holds three vectors whatever the video's length.

    Spread is merged batch by batch around each batch's own mean (Chan, Golub, LeVeque 1983,
    doi:10.1080/00031305.1983.10483115), in float64, so long videos with small motion keep their digits.
    """

    def __init__(self) -> None:
        self.frames = 0
        self._mean: NDArray[np.float64] = np.zeros(0)
        self._squares: NDArray[np.float64] = np.zeros(0)
        self._moves: NDArray[np.float64] = np.zeros(0)
        self._last: NDArray[np.float64] = np.zeros(0)

    def update(self, frames: NDArray[np.floating]) -> None:
        """Take the next frames.

        Args:
            frames: (T, D), T >= 0, following those given before.
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
        """The (3, D) float32 statistics of all frames given so far; see `temporal_pool`."""
        if self.frames == 0:
            raise ValueError("no frames were given; statistics need at least one")
        std = np.sqrt(self._squares / self.frames)
        move = self._moves / max(self.frames - 1, 1)
        return np.stack([self._mean, std, move]).astype(np.float32)
