"""Augmentation of the frames of one video: what is shared, and what is bounded."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from seqff.config import PairsConfig
from seqff.pairs.augment import augment
from seqff.transform import FrameTransform

CONFIG = PairsConfig(crop=0.7, jitter=0.2)
SMALL = FrameTransform(16, 16)


def test_augmentation_is_shared_by_what_the_setting_says() -> None:
    """Equal frames stay equal within the video, within a stretch, or not at all."""
    frames = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (1, 20, 20, 3), dtype=np.uint8)).repeat(
        6, 1, 1, 1
    )
    time = np.array([0, 1, 2, 7, 8, 9])
    sizes = {}
    for kind in ("shared", "stretch", "independent"):
        config = replace(CONFIG, augment=kind)  # type: ignore[arg-type]
        out = augment(frames, SMALL, config, np.random.default_rng(1), time=time)
        sizes[kind] = [int((out == one).flatten(1).all(dim=1).sum()) for one in out]
    assert sizes == {"shared": [6] * 6, "stretch": [3] * 6, "independent": [1] * 6}


def test_jitter_is_a_gain_and_an_offset_of_grey_levels() -> None:
    """A jittered frame is an affine function of its grey levels, within the bounds that config states."""
    frames = torch.arange(256, dtype=torch.uint8).reshape(1, 16, 16, 1).expand(2, 16, 16, 3)
    transform, config = FrameTransform(16, 16), PairsConfig(crop=1.0, flip=False, jitter=0.2, augment="shared")
    for seed in range(20):
        x = augment(frames, transform, config, np.random.default_rng(seed))
        grey = x * transform.std + transform.mean
        gain = (grey[0, 0, -1, -1] - grey[0, 0, 0, 0]).item()
        assert 0.8 <= gain <= 1.2
        assert abs(grey[0, 0, 0, 0].item()) <= 0.1 + 1e-6
        assert torch.equal(x[0], x[1])
