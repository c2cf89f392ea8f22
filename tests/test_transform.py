"""The transform from decoded frames to the encoder's input."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from seqff.transform import FrameTransform, fit_transform


def test_scaling_and_centre_crop() -> None:
    """The output is the middle of the frame, (grey / 255 - mean) / std, channels first."""
    frames = np.random.default_rng(0).integers(0, 256, (2, 20, 30, 3), dtype=np.uint8)
    x = FrameTransform(16, 16, mean=0.5, std=0.25)(frames)
    expected = (frames[:, 2:18, 7:23].astype(np.float32) / 255 - 0.5) / 0.25
    assert x.shape == (2, 3, 16, 16)
    np.testing.assert_allclose(x.permute(0, 2, 3, 1), expected, atol=1e-5)


def test_decode_size_covers_the_input_and_keeps_the_shape() -> None:
    """A video of another shape is decoded larger on one side; one of nearly the same shape exactly."""
    transform = FrameTransform(64, 80)
    assert transform.decode_size(144, 180) == (64, 80)
    assert transform.decode_size(480, 640) == (64, 85)
    assert transform.decode_size(100, 101) == (79, 80)
    assert transform.decode_size(640, 480) == (107, 80)


def test_the_input_takes_the_videos_median_shape() -> None:
    """Sides are multiples of 16 px; extreme shapes are held to 2 : 1."""
    assert fit_transform(64, [(144, 180)] * 5 + [(100, 100)]) == FrameTransform(64, 80)
    assert fit_transform(64, [(640, 480)]) == FrameTransform(80, 64)
    assert fit_transform(64, [(10, 1000)]) == FrameTransform(64, 128)
    assert fit_transform(5, [(10, 10)]) == FrameTransform(16, 16)


@pytest.mark.parametrize("shape", [(2, 20, 30), (2, 3, 20, 30), (2, 8, 30, 3)])
def test_wrong_frames_are_refused(shape: tuple[int, ...]) -> None:
    """Channels first, missing axes and frames too small get an error that shows the shape."""
    with pytest.raises(ValueError, match=r"frames"):
        FrameTransform(16, 16)(torch.zeros(shape, dtype=torch.uint8))


def test_bars_show_the_whole_frame_and_squeezing_fills_the_input() -> None:
    """A wide frame between bars keeps its shape in the middle of mean grey; squeezed, it is decoded to the input."""
    boxed = FrameTransform(64, 64, fit="letterbox")
    assert boxed.decode_size(100, 200) == (32, 64)
    assert boxed.decode_size(200, 100) == (64, 32)
    assert boxed.decode_size(100, 101) == (64, 64)
    x = boxed(np.full((1, 32, 64, 3), 255, np.uint8))
    assert x.shape == (1, 3, 64, 64)
    assert torch.allclose(x[:, :, :16], torch.zeros(()), atol=0.01)
    assert float(x[:, :, 16:48].min()) == pytest.approx((1 - 0.45) / 0.25)
    assert torch.allclose(x[:, :, 48:], torch.zeros(()), atol=0.01)
    assert FrameTransform(64, 64, fit="squeeze").decode_size(100, 200) == (64, 64)
    with pytest.raises(ValueError, match=r"pairs\.fit\): choose from crop, letterbox, squeeze"):
        FrameTransform(64, 64, fit="stretch")  # type: ignore[arg-type]


def test_what_is_lost_of_other_shapes() -> None:
    """Half of a frame twice as wide as the input, nothing of one of nearly its shape."""
    assert FrameTransform(64, 64).lost(100, 200) == pytest.approx(0.5)
    assert FrameTransform(64, 64).lost(100, 102) == 0


def test_levels_come_back_from_scaled_frames() -> None:
    """`unscale` undoes `scale`, to the bit."""
    frames = torch.arange(256, dtype=torch.uint8).view(1, 16, 16, 1).expand(1, 16, 16, 3).contiguous()
    transform = FrameTransform(16, 16)
    assert torch.equal(transform.unscale(transform.scale(frames)), frames)
