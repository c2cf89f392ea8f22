"""Augmentation of decoded frames: crop, flip, brightness and contrast."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from seqff.config import PairsConfig
from seqff.transform import FrameTransform


def augment(frames: Tensor, transform: FrameTransform, config: PairsConfig, random: np.random.Generator) -> Tensor:
    """Crop, flip and jitter the frames of one video in one batch.

    Args:
        frames: (T, h, w, 3) uint8, at least the transform's size.
        transform: gives size and scaling of the output.
        config: `crop`, `flip`, `jitter`, and whether they are shared by all frames or drawn for each.
        random: source of the draws.

    Returns:
        (T, 3, height, width) float32.
    """
    if config.augment == "independent":
        return torch.cat([_augment_alike(frame[None], transform, config, random) for frame in frames])
    return _augment_alike(frames, transform, config, random)


def _augment_alike(
    frames: Tensor, transform: FrameTransform, config: PairsConfig, random: np.random.Generator
) -> Tensor:
    share, down, across = random.uniform(config.crop, 1.0), random.random(), random.random()
    mirrored = config.flip and random.random() < 0.5
    contrast, brightness = 1 + config.jitter * random.uniform(-1, 1), config.jitter * random.uniform(-1, 1)
    height, width = round(transform.height * share), round(transform.width * share)
    top, left = int(down * (frames.shape[1] - height + 1)), int(across * (frames.shape[2] - width + 1))
    x = transform.scale(frames[:, top : top + height, left : left + width])
    if (height, width) != (transform.height, transform.width):
        x = F.interpolate(x, (transform.height, transform.width), mode="bilinear", align_corners=False)
    if mirrored:
        x = x.flip(3)
    return x.mul_(contrast).add_(brightness) if config.jitter else x
