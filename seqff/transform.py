"""Transform decoded uint8 frames to the encoder's input."""

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

SIZE_MULTIPLE_PX = 16  # divisible by four poolings by two
LARGEST_PX, LEAST_STD = 8192, 1e-6
NEARLY = 1.03
"""Videos whose aspect ratio differs from the input's by less than this factor are scaled without crop or bars."""
Fit = Literal["crop", "letterbox", "squeeze"]
FITS = ("crop", "letterbox", "squeeze")


@dataclass(frozen=True)
class FrameTransform:
    """Preprocessing of a frame: resize, crop or pad, scale.

    Args:
        height: height of the encoder's input, px.
        width: width of the encoder's input, px.
        mean: gray level (0..1) to subtract.
        std: gray level (0..1) to divide by.
        fit: treatment of videos with another aspect ratio than the input: "crop" takes the center, "letterbox" pads the
            whole frame with bars of mean gray, "squeeze" distorts it.

    Raises:
        ValueError: unknown `fit`, or an invalid size, mean or deviation.
    """

    height: int
    width: int
    mean: float = 0.45
    std: float = 0.25
    fit: Fit = field(default="crop", repr=False)  # excluded, because digests of encoders contain the repr

    def __post_init__(self) -> None:
        if self.fit not in FITS:
            raise ValueError(f"fit is {self.fit!r} (pairs.fit): choose from {', '.join(FITS)}")
        if not all(type(side) is int and 1 <= side <= LARGEST_PX for side in (self.height, self.width)):
            raise ValueError(f"frames of {self.height} x {self.width} px: sides are whole px from 1 to {LARGEST_PX}")
        if not (LEAST_STD <= self.std < math.inf and math.isfinite(self.mean)):
            raise ValueError(f"mean {self.mean}, std {self.std}: std must be at least {LEAST_STD} and both finite")

    def decode_size(self, height: int, width: int) -> tuple[int, int]:
        """Return the (height, width) to decode a height x width video at.

        With "crop" it covers the input and keeps the aspect ratio; with "letterbox" it fits inside; with "squeeze" it
        is the input's size. An aspect ratio within 3 % of the input's is decoded to the input's size exactly.
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
        """Return how much of a height x width frame is cropped, how much of the input is bars, or the distortion."""
        sides = self.height / height, self.width / width
        return 0.0 if max(sides) <= NEARLY * min(sides) else 1 - min(sides) / max(sides)

    def filled(self, frames: Tensor) -> Tensor:
        """Pad frames, (N, h, w, 3) uint8, to the input's size with "letterbox"; otherwise return them unchanged."""
        down, across = self.height - frames.shape[1], self.width - frames.shape[2]
        if self.fit != "letterbox" or (down <= 0 and across <= 0):
            return frames
        down, across = max(0, down), max(0, across)
        bars = (0, 0, across // 2, across - across // 2, down // 2, down - down // 2)
        return F.pad(frames, bars, value=round(255 * self.mean))

    def __call__(self, frames: np.ndarray | Tensor) -> Tensor:
        """Crop and scale decoded frames.

        Args:
            frames: (N, h, w, 3) uint8, at least as large as `decode_size`.

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
        """Center-crop or pad frames, (N, h, w, 3) uint8, to (N, height, width, 3) uint8.

        Raises:
            ValueError: frames smaller than the input, without "letterbox".
        """
        x = self.filled(frames)
        top, left = (x.shape[1] - self.height) // 2, (x.shape[2] - self.width) // 2
        if top < 0 or left < 0:
            raise ValueError(f"frames of {x.shape[1]}x{x.shape[2]} px are smaller than {self.height}x{self.width}")
        return x[:, top : top + self.height, left : left + self.width]

    def scale(self, frames: Tensor) -> Tensor:
        """Scale (N, H, W, 3) uint8 gray levels to (N, 3, H, W) float32 of about mean 0 and variance 1."""
        x = frames.permute(0, 3, 1, 2).float()
        return x.mul_(1 / (255 * self.std)).sub_(self.mean / self.std)

    def unscale(self, frames: Tensor) -> Tensor:
        """Invert `scale`: (N, 3, H, W) float32 to gray levels, (N, H, W, 3) uint8."""
        levels = frames.mul(255 * self.std).add_(255 * self.mean).round_().clamp_(0, 255)
        return levels.to(torch.uint8).permute(0, 2, 3, 1).contiguous()

    def to_dict(self) -> dict[str, float]:
        """Return the settings as plain numbers."""
        return asdict(self)

    @property
    def hash(self) -> str:
        """Return a short digest of the settings."""
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()[:16]


def fit_transform(shorter_px: int, shapes: list[tuple[int, int]], *, fit: Fit = "crop") -> FrameTransform:
    """Choose the input size for a set of videos: their median aspect ratio, with a shorter side of about shorter_px.

    Args:
        shorter_px: desired shorter side, px.
        shapes: (height, width) of every video, px.
        fit: treatment of videos with another aspect ratio.

    Returns:
        A transform whose sides are multiples of 16 px, with an aspect ratio of at most 2, so that a set filmed by one
        camera loses nothing to cropping.
    """
    aspect = float(np.clip(np.median([width / height for height, width in shapes]), 0.5, 2.0))
    height, width = (shorter_px, shorter_px * aspect) if aspect >= 1 else (shorter_px / aspect, shorter_px)
    sides = [max(SIZE_MULTIPLE_PX, round(side / SIZE_MULTIPLE_PX) * SIZE_MULTIPLE_PX) for side in (height, width)]
    return FrameTransform(sides[0], sides[1], fit=fit)
