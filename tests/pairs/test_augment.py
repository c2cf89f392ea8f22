"""Augmentation of the frames of one video: what is shared, and its bounds."""

from __future__ import annotations

import importlib
from dataclasses import replace

import numpy as np
import pytest
import torch

from seqff.config import PairsConfig
from seqff.pairs.augment import augment
from seqff.transform import FrameTransform

CONFIG = PairsConfig(crop=0.7, brightness=0.2)
SMALL = FrameTransform(16, 16)
augment_module = importlib.import_module("seqff.pairs.augment")


def test_augmentation_is_shared_by_what_the_setting_says() -> None:
    """Equal frames stay equal within the video, within a clip, or not at all."""
    frames = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (1, 20, 20, 3), dtype=np.uint8)).repeat(
        6, 1, 1, 1
    )
    time = np.array([0, 1, 2, 7, 8, 9])
    sizes = {}
    for kind in ("shared", "clip", "independent"):
        config = replace(CONFIG, augment=kind, photometric=kind)  # type: ignore[arg-type]
        out = augment(frames, SMALL, config, np.random.default_rng(1), time=time)
        sizes[kind] = [int((out == one).flatten(1).all(dim=1).sum()) for one in out]
    assert sizes == {"shared": [6] * 6, "clip": [3] * 6, "independent": [1] * 6}


@pytest.mark.parametrize("photometric", ["independent", "clip", "shared"])
def test_other_devices_change_colors_alike(photometric: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The implementation without OpenCV gives the same frames from the same draws, up to rounding."""
    frames = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (6, 20, 22, 3), dtype=np.uint8))
    time, config = np.array([0, 1, 2, 7, 8, 9]), replace(CONFIG, photometric=photometric, color_jitter=1.0)  # type: ignore[arg-type]
    found = []
    for host in ("cpu", "none"):
        monkeypatch.setattr(augment_module, "HOST", host)
        found.append(augment(frames, SMALL, config, np.random.default_rng(1), time=time))
    torch.testing.assert_close(*found, atol=1e-5, rtol=0)


def test_brightness_is_a_gain_and_an_offset_of_grey_levels() -> None:
    """Brightness changes are affine functions of gray levels, within the configured bounds."""
    frames = torch.arange(256, dtype=torch.uint8).reshape(1, 16, 16, 1).expand(2, 16, 16, 3)
    transform = FrameTransform(16, 16)
    config = PairsConfig(crop=1.0, flip=False, brightness=0.2, color_jitter=0.0, photometric="shared")
    for seed in range(20):
        x = augment(frames, transform, config, np.random.default_rng(seed))
        grey = x * transform.std + transform.mean
        gain = (grey[0, 0, -1, -1] - grey[0, 0, 0, 0]).item()
        assert 0.8 <= gain <= 1.2
        assert abs(grey[0, 0, 0, 0].item()) <= 0.1 + 1e-6
        assert torch.equal(x[0], x[1])


def test_exposure_and_colors_are_of_each_frame_where_crops_are_of_the_video() -> None:
    """By default frames differ by an affine function of their pixels, which is never the identity."""
    frames = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (1, 20, 20, 3), dtype=np.uint8))
    first, *others = augment(
        frames.repeat(8, 1, 1, 1), SMALL, PairsConfig(crop=0.7, color_jitter=1.0), np.random.default_rng(2)
    )
    pixels = torch.cat([first.flatten(1).T, torch.ones(256, 1)], dim=1)
    for other in others:
        found = torch.linalg.lstsq(pixels, other.flatten(1).T).solution
        torch.testing.assert_close(pixels @ found, other.flatten(1).T, atol=1e-4, rtol=0)
        assert not torch.allclose(first, other, atol=0.01)


def test_colors_change_around_the_axis_of_greys() -> None:
    """Grays and the mean of the channels are unchanged; a fifth becomes gray, the rest stays within the bounds."""
    count = 2000
    frames = torch.tensor([[[200, 120, 40], [90, 90, 90]]], dtype=torch.uint8).expand(count, 1, 2, 3)
    transform = FrameTransform(1, 2)
    config = PairsConfig(crop=1.0, flip=False, brightness=0.0, color_jitter=1.0)
    x = augment(frames, transform, config, np.random.default_rng(0)).double()[:, :, 0]
    before = transform.scale(frames[:1]).double()[0, :, 0]
    torch.testing.assert_close(x[:, :, 1], before[:, 1].expand(count, 3))
    torch.testing.assert_close(x[:, :, 0].mean(dim=1), before[:, 0].mean().expand(count), atol=1e-6, rtol=0)
    chroma, was = x[:, :, 0] - x[:, :, 0].mean(dim=1, keepdim=True), before[:, 0] - before[:, 0].mean()
    length = chroma.norm(dim=1) / was.norm()
    grey = length < 1e-5
    assert 0.17 < grey.double().mean() < 0.23
    assert length.max() <= 2 + 1e-5
    assert length[~grey].std() > 0.5
    cosine = (chroma[~grey] @ was) / chroma[~grey].norm(dim=1) / was.norm()
    assert cosine.min() >= -1e-4
    assert cosine.min() < 0.1
    assert torch.equal(
        augment(frames, transform, replace(config, color_jitter=0.0), np.random.default_rng(0))[0],
        transform.scale(frames)[0],
    )
