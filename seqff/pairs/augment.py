"""Augmentation of decoded frames: crop, flip, brightness and contrast."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from seqff.config import PairsConfig
from seqff.transform import FrameTransform


def augment(
    frames: Tensor,
    transform: FrameTransform,
    config: PairsConfig,
    random: np.random.Generator,
    *,
    time: NDArray[np.int64] | None = None,
    out: Tensor | None = None,
) -> Tensor:
    """Crop, flip and jitter the frames of one video in one batch.

    Args:
        frames: (T, h, w, 3) uint8, at least the transform's size.
        transform: gives size and scaling of the output.
        config: `crop`, `flip`, `jitter`, and whether they are shared by all frames, by a stretch, or drawn for each.
        random: source of the draws.
        time: (T,) frame numbers, ascending; a stretch ends where they leap. None for consecutive frames.
        out: (T, 3, height, width) float32 to write into; None for a new tensor.

    Returns:
        (T, 3, height, width) float32, `out` if it was given.
    """
    if out is None:
        out = torch.empty(
            (len(frames), 3, transform.height, transform.width), memory_format=torch.channels_last, dtype=torch.float32
        )
    borders: list[int] = []
    if config.augment == "independent":
        borders = list(range(1, len(frames)))
    elif config.augment == "stretch" and time is not None:
        borders = (np.flatnonzero(np.diff(time) != 1) + 1).tolist()
    for part, target in zip(frames.tensor_split(borders), out.tensor_split(borders), strict=True):
        _augment_alike(part, transform, config, random, target)
    return out


def _augment_alike(
    frames: Tensor, transform: FrameTransform, config: PairsConfig, random: np.random.Generator, out: Tensor
) -> None:
    share, down, across = random.uniform(config.crop, 1.0), random.random(), random.random()
    mirrored = config.flip and random.random() < 0.5
    # grey level g (0..1) becomes gain * g + offset, as with a camera's exposure; here said for scaled values
    gain, offset = 1 + config.jitter * random.uniform(-1, 1), config.jitter / 2 * random.uniform(-1, 1)
    shift = ((gain - 1) * transform.mean + offset) / transform.std
    height, width = round(transform.height * share), round(transform.width * share)
    top, left = int(down * (frames.shape[1] - height + 1)), int(across * (frames.shape[2] - width + 1))
    x = transform.scale(frames[:, top : top + height, left : left + width])
    if (height, width) != (transform.height, transform.width):
        x = F.interpolate(x, (transform.height, transform.width), mode="bilinear", align_corners=False)
    if mirrored:
        x = x.flip(3)
    if config.jitter:
        torch.add(x.mul_(gain), shift, out=out)
    else:
        out.copy_(x)
