"""The benchmark of pretrained networks passes on torchvision's weights."""

from __future__ import annotations

from pathlib import Path

import torch
from torchvision import models

from benchmarks.pretrained import halves, torchvision_state
from seqff.config import EncoderConfig
from seqff.nets import build_encoder
from seqff.transform import FrameTransform


def test_weights_have_torchvisions_names() -> None:
    """torchvision's network takes them, all but its classifier's, and computes what the encoder does."""
    encoder = build_encoder(EncoderConfig(name="resnet18", norm="none"), FrameTransform(32, 32), seed=4).eval()
    model = models.resnet18()
    missing, unexpected = model.load_state_dict(torchvision_state(encoder), strict=False)
    assert (sorted(missing), unexpected) == (["fc.bias", "fc.weight"], [])
    x = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    trunk = torch.nn.Sequential(*list(model.children())[:-2]).eval()
    with torch.no_grad():
        torch.testing.assert_close(trunk(encoder.layers[0].norm(x)), encoder(x)[-1])


def test_actions_that_are_taught_are_not_probed(tmp_path: Path) -> None:
    """Each action is in one half; a second call finds the links there."""
    for name in "abcde":
        (tmp_path / "data" / name).mkdir(parents=True)
    for _ in range(2):
        taught, other = halves(tmp_path / "data", tmp_path / "videos")
    assert sorted(path.name for path in taught.iterdir()) == ["a", "c", "e"]
    assert sorted(path.name for path in other.iterdir()) == ["b", "d"]
