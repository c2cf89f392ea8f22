"""Turn decoded frames into one feature row each: every layer of every encoder, and the pixels, in one pass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqff.features.pooling import Grid, effective_grid, spatial_pool
from seqff.nets import Encoder

PIXEL_GRID = 8
"""Cells per side of the pixel baseline: 8 x 8 cells x 3 colors = 192 numbers per frame."""


@dataclass(frozen=True)
class Columns:
    """Location of an array in a frame's row: columns start to stop, for channels x rows x columns of cells."""

    start: int
    stop: int
    channels: int
    cells: tuple[int, int]

    @property
    def width(self) -> int:
        """Number of columns."""
        return self.stop - self.start


class FrameDescriber:
    """Pooled features of frames.

    Args:
        encoders: at least one, all with the same transform; keys are prefixes of array names ("" and "untrained/").
        pixels: also pool the transformed frame itself to an array "pixels", always on `PIXEL_GRID`.
        grid: cells per side that the layers' maps are pooled to, or "full"; see `spatial_pool`.
        device: device of the encoders.

    Attributes:
        columns: location of each array in a row, by name.
        width: number of values per row.
    """

    def __init__(self, encoders: Mapping[str, Encoder], *, pixels: bool, grid: Grid, device: torch.device) -> None:
        self.transform = next(iter(encoders.values())).transform
        if any(encoder.transform != self.transform for encoder in encoders.values()):
            raise ValueError("the encoders have different transforms; frames can be prepared in one way only")
        self._encoders = {prefix: encoder.to(device).eval() for prefix, encoder in encoders.items()}
        self._pixels = pixels
        self._grid = grid
        self._device = device
        self.columns = self._measure()
        self.width = max(columns.stop for columns in self.columns.values())

    def __call__(self, frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Compute features of frames, (N, h, w, 3) uint8 of the transform's decode size, as (N, width) float32."""
        # Full precision and deterministic kernels: reported numbers must be reproducible.
        exact = torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)
        with torch.inference_mode(), exact:
            x = self.transform(torch.from_numpy(frames).to(self._device))
            pooled = [spatial_pool(maps, grid) for _, maps, grid in self._maps(x)]
            rows: NDArray[np.float32] = torch.cat(pooled, dim=1).float().cpu().numpy()
        return rows

    def _maps(self, x: Tensor) -> list[tuple[str, Tensor, Grid]]:
        """Name, (N, C, H, W) maps and requested grid of every array."""
        maps: list[tuple[str, Tensor, Grid]] = [
            (prefix + info.name, layer, self._grid)
            for prefix, encoder in self._encoders.items()
            for info, layer in zip(encoder.feature_info, encoder(x), strict=True)
        ]
        return [*maps, ("pixels", x, PIXEL_GRID)] if self._pixels else maps

    def _measure(self) -> dict[str, Columns]:
        """Encode one gray frame to find the widths."""
        shape = (1, self.transform.height, self.transform.width, 3)
        columns: dict[str, Columns] = {}
        start = 0
        with torch.inference_mode():
            grey = self.transform(torch.full(shape, 128, dtype=torch.uint8, device=self._device))
            for name, maps, grid in self._maps(grey):
                cells = effective_grid(grid, maps.shape[-2], maps.shape[-1])
                stop = start + maps.shape[1] * cells[0] * cells[1]
                columns[name] = Columns(start, stop, maps.shape[1], cells)
                start = stop
        return columns
