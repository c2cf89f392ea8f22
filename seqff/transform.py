"""From decoded uint8 frames to the encoder's input."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass, field
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

SIZE_MULTIPLE_PX = 16  # four poolings by two leave whole cells
LARGEST_PX, LEAST_STD = 8192, 1e-6
NEARLY = 1.03
"""A video whose shape differs from the input's by less than this factor is scaled to it, without crop or bars."""
Fit = Literal["crop", "letterbox", "squeeze"]
FITS = ("crop", "letterbox", "squeeze")


@dataclass(frozen=True)
class FrameTransform:
    """What happens to a frame before the encoder: resize, crop or fill up, scale.

    Args:
        height: of the encoder's input, px.
        width: of the encoder's input, px.
        mean: grey level (0..1) taken away.
        std: grey level (0..1) divided by.
        fit: what becomes of videos of another shape than the input's: "crop" covers it and takes the middle,
            "letterbox" shows the whole frame between bars of the mean grey, "squeeze" changes the shape.

    Raises:
        ValueError: unknown `fit`, a side or a deviation that no input can have.
    """

    height: int
    width: int
    mean: float = 0.45
    std: float = 0.25
    fit: Fit = field(default="crop", repr=False)  # digests of encoders hold the text of all else

    def __post_init__(self) -> None:
        if self.fit not in FITS:
            raise ValueError(f"fit is {self.fit!r} (pairs.fit): choose from {', '.join(FITS)}")
        if not all(type(side) is int and 1 <= side <= LARGEST_PX for side in (self.height, self.width)):
            raise ValueError(f"frames of {self.height} x {self.width} px: sides are whole px from 1 to {LARGEST_PX}")
        if not (LEAST_STD <= self.std < math.inf and math.isfinite(self.mean)):
            raise ValueError(f"mean {self.mean}, std {self.std}: std must be at least {LEAST_STD} and both finite")

    def decode_size(self, height: int, width: int) -> tuple[int, int]:
        """Return the (height, width) to decode a height x width video at.

        To crop, it covers the input, its shape kept; for bars it lies within; squeezed, it is the input's. A shape
        within 3 % of the input's is decoded to it exactly.
        """
        sides = self.height / height, self.width / width
        if self.fit == "squeeze" or max(sides) <= NEARLY * min(sides):
            return self.height, self.width
        if self.fit == "letterbox":
            scale = min(sides)
            return min(self.height, max(1, round(height * scale))), min(self.width, max(1, round(width * scale)))
        scale = max(sides)
        return max(self.height, round(height * scale)), max(self.width, round(width * scale))

    def lost(self, height: int, width: int) -> float:
        """Share of a height x width frame that is cut off, or of the input that is bars, or by which it is squeezed."""
        sides = self.height / height, self.width / width
        return 0.0 if max(sides) <= NEARLY * min(sides) else 1 - min(sides) / max(sides)

    def filled(self, frames: Tensor) -> Tensor:
        """Fill frames, (N, h, w, 3) uint8, up to the input's size where they are to have bars; else as they are."""
        down, across = self.height - frames.shape[1], self.width - frames.shape[2]
        if self.fit != "letterbox" or (down <= 0 and across <= 0):
            return frames
        down, across = max(0, down), max(0, across)
        bars = (0, 0, across // 2, across - across // 2, down // 2, down - down // 2)
        return F.pad(frames, bars, value=round(255 * self.mean))

    def __call__(self, frames: np.ndarray | Tensor) -> Tensor:
        """Crop and scale decoded frames.

        Args:
            frames: (N, h, w, 3) uint8, as large as `decode_size` says or larger.

        Returns:
            (N, 3, height, width) float32, channels_last in memory.

        Raises:
            ValueError: wrong shape or dtype, or frames smaller than the input.
        """
        x = torch.as_tensor(frames)
        if x.ndim != 4 or x.shape[-1] != 3 or x.dtype != torch.uint8:
            raise ValueError(f"frames must be (N, h, w, 3) uint8, got {tuple(x.shape)} {x.dtype}")
        return self.scale(self.framed(x))

    def framed(self, frames: Tensor) -> Tensor:
        """Cut the middle out of frames, (N, h, w, 3) uint8, or fill them up: (N, height, width, 3) uint8.

        Raises:
            ValueError: frames smaller than the input that are not to have bars.
        """
        x = self.filled(frames)
        top, left = (x.shape[1] - self.height) // 2, (x.shape[2] - self.width) // 2
        if top < 0 or left < 0:
            raise ValueError(f"frames of {x.shape[1]}x{x.shape[2]} px are smaller than {self.height}x{self.width}")
        return x[:, top : top + self.height, left : left + self.width]

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


def fit_transform(shorter_px: int, shapes: list[tuple[int, int]], *, fit: Fit = "crop") -> FrameTransform:
    """Choose the input size for a set of videos: their median shape, the shorter side of about shorter_px.

    Args:
        shorter_px: wanted shorter side, px.
        shapes: (height, width) of every video, px.
        fit: what becomes of videos of another shape.

    Returns:
        A transform whose sides are multiples of 16 px, at most twice as long as wide or wide as long, so that a set
        filmed by one camera loses nothing to cropping.
    """
    aspect = float(np.clip(np.median([width / height for height, width in shapes]), 0.5, 2.0))
    height, width = (shorter_px, shorter_px * aspect) if aspect >= 1 else (shorter_px / aspect, shorter_px)
    sides = [max(SIZE_MULTIPLE_PX, round(side / SIZE_MULTIPLE_PX) * SIZE_MULTIPLE_PX) for side in (height, width)]
    return FrameTransform(sides[0], sides[1], fit=fit)
