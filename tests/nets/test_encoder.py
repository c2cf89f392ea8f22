"""The contract of the encoder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from seqff.config import EncoderConfig
from seqff.errors import RunError
from seqff.nets import Encoder, build_encoder, load_encoder, save_encoder
from seqff.nets.norms import build_norm, layer_norm, rms_norm
from seqff.transform import FrameTransform

CONFIG = EncoderConfig(widths=(4, 6, 8), kernels=(5, 3, 3), strides=(2, 1, 1), pools=(1, 2, 1))


def small(seed: int = 0) -> Encoder:
    """Return an encoder of three narrow layers."""
    return build_encoder(CONFIG, FrameTransform(16, 32), seed=seed).eval()


def test_feature_info_tells_the_shapes() -> None:
    """Channels and reduction in feature_info are those of the maps."""
    encoder = small()
    for info, h in zip(encoder.feature_info, encoder(torch.randn(2, 3, 16, 32)), strict=True):
        assert h.shape == (2, info.channels, 16 // info.reduction, 32 // info.reduction)


def test_layers_can_be_chosen() -> None:
    """Layers by name or by index from either end, in the requested order; errors list the existing ones."""
    encoder, x = small(), torch.randn(2, 3, 16, 32)
    every = encoder(x)
    last, first = encoder(x, layers=[-1, 0])
    assert torch.equal(last, every[2])
    assert torch.equal(first, every[0])
    assert encoder(x, layers=[]) == []
    assert torch.equal(encoder(x, layers=["layer3"])[0], last)
    with pytest.raises(IndexError, match=r"layers 0\.\.2"):
        encoder(x, layers=[3])
    with pytest.raises(ValueError, match="no layer 'layer_3'; did you mean 'layer3'"):
        encoder(x, layers=["layer_3"])


def test_decoded_frames_are_sent_through_the_transform() -> None:
    """For uint8 arrays or tensors the error shows the right call."""
    frames = torch.zeros(2, 16, 32, 3, dtype=torch.uint8)
    for given in (frames, frames.numpy()):
        with pytest.raises(TypeError, match=r"encoder\(encoder\.transform\(frames\)\)"):
            small()(given)
    assert len(small()(small().transform(frames))) == 3


def test_same_seed_same_weights() -> None:
    """The seed alone decides the initial weights."""
    assert small(1).hash() == small(1).hash() != small(2).hash()


def test_an_encoder_survives_the_disk(tmp_path: Path) -> None:
    """Trained and untrained weights are restored, with the transform, in eval mode."""
    before, after = small(1), small(2)
    save_encoder(before, tmp_path, untrained=True)
    save_encoder(after, tmp_path)
    assert load_encoder(tmp_path).hash() == after.hash()
    assert load_encoder(tmp_path, untrained=True).hash() == before.hash()
    assert load_encoder(tmp_path).transform == FrameTransform(16, 32)
    assert not load_encoder(tmp_path).training


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    """No run, damaged settings, a pickle instead of weights, weights of another net: one line that names the file."""
    with pytest.raises(RunError, match=r"no encoder\.json"):
        load_encoder(tmp_path)
    save_encoder(small(), tmp_path)
    with pytest.raises(RunError, match=r"no encoder_untrained\.safetensors"):
        load_encoder(tmp_path, untrained=True)
    weights = tmp_path / "encoder.safetensors"
    whole = weights.read_bytes()
    for content in (whole[:-7], b"", b"\x80\x04\x95" + b"x" * 50):
        weights.write_bytes(content)
        with pytest.raises(RunError, match=r"encoder\.safetensors .*: the encoder cannot be loaded"):
            load_encoder(tmp_path)
    weights.write_bytes(whole)
    settings = tmp_path / "encoder.json"
    content = json.loads(settings.read_text())
    content["encoder"]["widths"][0] = 5
    settings.write_text(json.dumps(content))
    with pytest.raises(RunError, match="cannot be loaded"):
        load_encoder(tmp_path)
    settings.write_text("{")
    with pytest.raises(RunError, match="JSON"):
        load_encoder(tmp_path)


def test_norms_do_what_they_say() -> None:
    """layer: mean 0 and variance 1 per sample; rms: mean square 1; the same in both memory layouts."""
    x = torch.randn(3, 5, 4, 6) * 7 + 2
    for memory in (torch.contiguous_format, torch.channels_last):
        h = layer_norm(x.contiguous(memory_format=memory))
        torch.testing.assert_close(h.mean(dim=(1, 2, 3)), torch.zeros(3), atol=1e-5, rtol=0)
        torch.testing.assert_close(h.var(dim=(1, 2, 3), correction=0), torch.ones(3), atol=1e-4, rtol=0)
        h = rms_norm(x.contiguous(memory_format=memory))
        torch.testing.assert_close(h.square().mean(dim=(1, 2, 3)), torch.ones(3), atol=1e-4, rtol=0)
    assert build_norm("batch", 5)(x).shape == x.shape
    with pytest.raises(ValueError, match="choose from layer, rms, batch, none"):
        build_norm("group", 5)


def test_poolings_must_fit() -> None:
    """Errors unless there is one pooling per layer, and a nonempty last map."""
    with pytest.raises(ValueError, match="3 widths"):
        build_encoder(EncoderConfig(widths=(4, 4, 4)), FrameTransform(16, 16))
    with pytest.raises(ValueError, match="leave nothing"):
        build_encoder(
            EncoderConfig(widths=(4, 4), kernels=(3, 3), strides=(1, 1), pools=(8, 4)), FrameTransform(16, 16)
        )
    with pytest.raises(ValueError, match="must be odd"):
        build_encoder(EncoderConfig(kernels=(7, 3, 4, 3)), FrameTransform(64, 64))


def test_settings_that_claim_absurd_sizes_take_no_memory(tmp_path: Path) -> None:
    """Sizes that do not match the weights are refused before anything is allocated."""
    save_encoder(small(), tmp_path)
    settings = json.loads((tmp_path / "encoder.json").read_text())
    for width in (10**5, 10**9):  # 10**5: 240 GB, more than a machine has
        settings["encoder"]["widths"] = [width] * 3
        (tmp_path / "encoder.json").write_text(json.dumps(settings))
        with pytest.raises(RunError, match=r"encoder\.safetensors .*: the encoder cannot be loaded"):
            load_encoder(tmp_path)
