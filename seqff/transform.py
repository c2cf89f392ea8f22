"""From decoded uint8 frames to the encoder's input."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import Tensor

SIZE_MULTIPLE_PX = 16  # four poolings by two leave whole cells


@dataclass(frozen=True)
class FrameTransform:
    """What happens to a frame before the encoder: resize to cover, centre crop, scale.

    Args:
        height: of the encoder's input, px.
        width: of the encoder's input, px.
        mean: grey level (0..1) taken away.
        std: grey level (0..1) divided by.
    """

    height: int
    width: int
    mean: float = 0.45
    std: float = 0.25

    def decode_size(self, height: int, width: int) -> tuple[int, int]:
        """Return the (height, width) to decode a height x width video at: it covers the input, its shape kept.

        A shape within 3 % of the input's is decoded to it exactly, without a crop.
        """
        scale = max(self.height / height, self.width / width)
        covered = round(height * scale), round(width * scale)
        if covered[0] <= 1.03 * self.height and covered[1] <= 1.03 * self.width:
            return self.height, self.width
        return max(covered[0], self.height), max(covered[1], self.width)

    def __call__(self, frames: np.ndarray | Tensor) -> Tensor:
        """Crop and scale decoded frames.

        Args:
            frames: (N, h, w, 3) uint8, h >= height and w >= width.

        Returns:
            (N, 3, height, width) float32, channels_last in memory.

        Raises:
            ValueError: wrong shape or dtype, or frames smaller than the input.
        """
        x = torch.as_tensor(frames)
        if x.ndim != 4 or x.shape[-1] != 3 or x.dtype != torch.uint8:
            raise ValueError(f"frames must be (N, h, w, 3) uint8, got {tuple(x.shape)} {x.dtype}")
        top, left = (x.shape[1] - self.height) // 2, (x.shape[2] - self.width) // 2
        if top < 0 or left < 0:
            raise ValueError(f"frames of {x.shape[1]}x{x.shape[2]} px are smaller than {self.height}x{self.width}")
        return self.scale(x[:, top : top + self.height, left : left + self.width])

    def scale(self, frames: Tensor) -> Tensor:
        """Scale (N, H, W, 3) uint8 grey levels to (N, 3, H, W) float32 of about mean 0 and variance 1."""
        x = frames.permute(0, 3, 1, 2).float()
        return x.mul_(1 / (255 * self.std)).sub_(self.mean / self.std)

    def unscale(self, frames: Tensor) -> Tensor:
        """Turn what `scale` gives, (N, 3, H, W) float32, back into grey levels, (N, H, W, 3) uint8."""
        levels = frames.mul(255 * self.std).add_(255 * self.mean).round_().clamp_(0, 255)
        return levels.to(torch.uint8).permute(0, 2, 3, 1).contiguous()

    def to_dict(self) -> dict[str, float]:
        """Return the settings as plain numbers."""
        return asdict(self)

    @property
    def hash(self) -> str:
        """A short digest of the settings."""
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()[:16]


def fit_transform(shorter_px: int, shapes: list[tuple[int, int]]) -> FrameTransform:
    """Choose the input size for a set of videos: their median shape, the shorter side of about shorter_px.

    Args:
        shorter_px: wanted shorter side, px.
        shapes: (height, width) of every video, px.

    Returns:
        A transform whose sides are multiples of 16 px, at most twice as long as wide or wide as long, so that a set
        filmed by one camera loses nothing to cropping.
    """
    aspect = float(np.clip(np.median([width / height for height, width in shapes]), 0.5, 2.0))
    height, width = (shorter_px, shorter_px * aspect) if aspect >= 1 else (shorter_px / aspect, shorter_px)
    sides = [max(SIZE_MULTIPLE_PX, round(side / SIZE_MULTIPLE_PX) * SIZE_MULTIPLE_PX) for side in (height, width)]
    return FrameTransform(*sides)
