"""Augmentation of decoded frames: crop and flip, exposure and colors."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from seqff.config import PairsConfig
from seqff.devices import sent
from seqff.transform import FrameTransform

HUE = np.pi / 2
"""Largest hue rotation at color_jitter = 1, in radians."""
HOST = "cpu"
"""Device on which OpenCV changes colors, because it is faster than torch."""
GRAY = 0.2
"""Share of gray draws at color_jitter = 1."""
QUARTER = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / np.sqrt(3)
"""Rotates the hue of a pixel (r, g, b) by a quarter of the circle: the cross product with the gray axis."""


def augment(
    frames: Tensor,
    transform: FrameTransform,
    config: PairsConfig,
    random: np.random.Generator,
    *,
    time: NDArray[np.int64] | None = None,
    out: Tensor | None = None,
) -> Tensor:
    """Crop, flip and recolor the frames of one video in one batch.

    Args:
        frames: (T, h, w, 3) uint8 of the transform's `decode_size`; on any device.
        transform: determines size and scaling of the output.
        config: `crop`, `flip`, `brightness`, `color_jitter`, and whether each is drawn per video, per clip or per
            frame.
        random: random generator.
        time: (T,) frame numbers, ascending; a jump starts a new clip. None for consecutive frames.
        out: (T, 3, height, width) float32 to write into, on the same device; None for a new tensor.

    Returns:
        (T, 3, height, width) float32; `out` if given.
    """
    if out is None:
        shape = (len(frames), 3, transform.height, transform.width)
        out = torch.empty(shape, device=frames.device, memory_format=torch.channels_last, dtype=torch.float32)
    frames = transform.filled(frames)
    borders = _borders(config.augment, len(frames), time)
    for part, target in zip(frames.tensor_split(borders), out.tensor_split(borders), strict=True):
        _crop_and_flip(part, transform, config, random, target)
    if config.brightness or config.color_jitter:
        _recolor(out, _borders(config.photometric, len(frames), time), transform, config, random)
    return out


def _borders(shared: str, count: int, time: NDArray[np.int64] | None) -> list[int]:
    """Return the frames at which draws change: none, clip starts, or all."""
    if shared == "independent":
        return list(range(1, count))
    if shared == "clip" and time is not None:
        return [int(place) for place in np.flatnonzero(np.diff(time) != 1) + 1]
    return []


def _crop_and_flip(
    frames: Tensor, transform: FrameTransform, config: PairsConfig, random: np.random.Generator, out: Tensor
) -> None:
    share, down, across = random.uniform(config.crop, 1.0), random.random(), random.random()
    mirrored = config.flip and random.random() < 0.5
    height, width = round(transform.height * share), round(transform.width * share)
    top, left = int(down * (frames.shape[1] - height + 1)), int(across * (frames.shape[2] - width + 1))
    x = transform.scale(frames[:, top : top + height, left : left + width])
    if (height, width) != (transform.height, transform.width):
        x = F.interpolate(x, (transform.height, transform.width), mode="bilinear", align_corners=False)
    out.copy_(x.flip(3) if mirrored else x)


def _recolor(
    x: Tensor, borders: list[int], transform: FrameTransform, config: PairsConfig, random: np.random.Generator
) -> None:
    """Change exposure and colors of scaled frames, (T, 3, H, W), in place; constant between borders."""
    draws = random.uniform(-1, 1, (len(borders) + 1, 5))
    # a pixel becomes gain * pixel + offset, like a camera's exposure; here in terms of scaled values
    gain, offset = 1 + config.brightness * draws[:, 0], config.brightness / 2 * draws[:, 1]
    shift = ((gain - 1) * transform.mean + offset) / transform.std
    saturation, angle = 1 + config.color_jitter * draws[:, 2], config.color_jitter * HUE * draws[:, 3]
    saturation[(draws[:, 4] + 1) / 2 < config.color_jitter * GRAY] = 0
    turned = np.cos(angle)[:, None, None] * (np.eye(3) - 1 / 3) + np.sin(angle)[:, None, None] * QUARTER
    mix = gain[:, None, None] * (1 / 3 + saturation[:, None, None] * turned)
    affine = np.concatenate([mix, np.repeat(shift, 3).reshape(-1, 3, 1)], axis=2).astype(np.float32)
    if x.device.type != HOST:
        parts = np.diff([0, *borders, len(x)])
        each = sent(torch.from_numpy(np.repeat(affine, parts, axis=0)), x.device)
        changed = torch.baddbmm(each[:, None, :, 3], x.permute(0, 2, 3, 1).flatten(1, 2), each[:, :, :3].mT)
        x.copy_(changed.mT.view_as(x))
        return
    pixels = x.permute(0, 2, 3, 1).numpy()  # channels last for cv2: no copy if the batch has this layout
    for part, matrix in zip(np.split(pixels, borders), affine, strict=True):
        for frame in part:
            frame[:] = cv2.transform(frame, matrix)
