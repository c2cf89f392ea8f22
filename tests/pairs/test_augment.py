"""Augmentation of the frames of one video: what is shared, what is bounded, what is erased."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from seqff.config import PairsConfig
from seqff.pairs.augment import augment, erase_background
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


def moving_square() -> torch.Tensor:
    """Eight frames of a square of 1 that moves over a texture; no cell is covered twice."""
    behind = torch.rand(3, 16, 16, generator=torch.Generator().manual_seed(0)) - 0.5
    frames = behind.repeat(8, 1, 1, 1)
    for time, frame in enumerate(frames):
        frame[:, 4:8, 2 * time : 2 * time + 2] += 1
    return frames


def test_an_erased_frame_shows_what_moves_and_the_others_are_as_they_were() -> None:
    """The texture is gone; of the square's height 1 an eighth is in the mean of eight frames."""
    frames = moving_square()
    erased = frames.clone()
    erase_background(erased, 0.5, np.random.default_rng(0))
    chosen = np.random.default_rng(0).random(8) < 0.5
    assert 0 < chosen.sum() < 8
    for time, (before, after, which) in enumerate(zip(frames, erased, chosen, strict=True)):
        if not which:
            assert torch.equal(before, after)
            continue
        square = after[:, 4:8, 2 * time : 2 * time + 2]
        assert torch.allclose(square, torch.tensor(7 / 8), atol=1e-6)
        assert float(after[:, 8:].abs().max()) < 1e-6


def test_of_few_frames_the_mean_is_no_background() -> None:
    """Three frames stay as they are."""
    frames = moving_square()[:3]
    erase_background(frames, 1.0, np.random.default_rng(0))
    assert torch.equal(frames, moving_square()[:3])
