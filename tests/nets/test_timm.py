"""timm networks as encoders: the same function, split into locally trained stages; timm is optional."""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from seqff.config import EncoderConfig, ObjectiveConfig, TrainConfig
from seqff.errors import ConfigError, RunError
from seqff.nets import Encoder, build_encoder, load_encoder, save_encoder
from seqff.pairs import FrameBatch
from seqff.training import build_learners
from seqff.transform import FrameTransform

TRANSFORM = FrameTransform(32, 48)
CUTTABLE = ("resnet18", "convnext_atto", "regnety_002")


class Toy(nn.ModuleDict):
    """A fake of timm's list of stages: a stem, and two flattened stages."""

    def __init__(self) -> None:
        parts: dict[str, nn.Module] = {"conv1": nn.Conv2d(3, 4, 3, stride=2, padding=1), "act1": nn.ReLU()}
        for number, (below, above) in enumerate(((4, 6), (6, 8))):
            parts[f"stages_{number}"] = nn.Sequential(
                nn.Conv2d(below, above, 3, padding=1), nn.Conv2d(above, above, 3, stride=2, padding=1), nn.ReLU()
            )
        super().__init__(parts)
        self.return_layers = {"act1": "0", "stages_0": "1", "stages_1": "2"}
        self.output_fmt = "NCHW"
        self.pretrained_cfg = {"mean": (0.5, 0.4, 0.3), "std": (0.1, 0.2, 0.3)}


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fake timm module with one network."""
    module: Any = types.ModuleType("timm")
    module.is_model, module.list_models = (lambda name: name == "toy"), (lambda: ["toy"])
    module.create_model = lambda name, *, pretrained, features_only: Toy()
    monkeypatch.setitem(sys.modules, "timm", module)


def frames() -> torch.Tensor:
    return torch.randint(0, 256, (2, 32, 48, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def colors(x: torch.Tensor, mean: Any, std: Any) -> torch.Tensor:
    return (x.permute(0, 3, 1, 2) / 255 - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]


def gradients_stay(encoder: Encoder) -> bool:
    """Return whether the update of each layer changes the weights of no other."""
    config = TrainConfig(objective=ObjectiveConfig(head_out=6, grid=(1,)), precision="fp32")
    learners = build_learners(encoder, config, seed=0)
    h = torch.randn(8, 3, 32, 48, generator=torch.Generator().manual_seed(0))
    relation = FrameBatch(h, torch.arange(8) // 4, torch.arange(8) % 4).relation(gap=1, far=3)
    alone = True
    for learner in learners:
        out, loss = learner.loss(h, relation)
        loss.backward()
        reached = [one for one in learners if any(parameter.grad is not None for parameter in one.parameters)]
        alone = alone and reached == [learner]
        learner.step()
        h = out.detach()
    return alone


@pytest.mark.usefixtures("toy")
def test_it_is_cut_after_each_stage_and_computes_what_it_did(tmp_path: Path) -> None:
    """The stem is in the first layer; color normalization is the network's; weights are read by timm's names, without
    the classifier; the encoder is saved and loaded like any other."""
    net = Toy()
    state = {key.replace("stages_", "stages."): value for key, value in net.state_dict().items()}
    torch.save({**state, "head.fc.weight": torch.zeros(3, 8)}, tmp_path / "toy.pth")
    encoder = build_encoder(EncoderConfig(name="timm:toy", norm="none", weights=str(tmp_path / "toy.pth")), TRANSFORM)
    assert [(info.name, info.channels, info.reduction) for info in encoder.feature_info] == [
        ("stage1", 6, 4), ("stage2", 8, 8)
    ]  # fmt: skip
    expected = colors(frames(), **net.pretrained_cfg)
    for part in net.values():
        expected = part(expected)
    torch.testing.assert_close(encoder(encoder.transform(frames()))[-1], expected, atol=1e-4, rtol=1e-4)
    save_encoder(encoder, tmp_path / "run")
    assert load_encoder(tmp_path / "run").hash() == encoder.hash()
    assert gradients_stay(encoder)


@pytest.mark.usefixtures("toy")
def test_what_timm_does_not_have_is_named(tmp_path: Path) -> None:
    """Errors for a name with a typo, one that would be downloaded, weights of another network, widths."""
    with pytest.raises(ValueError, match=r"timm has no network 'toyy'; did you mean 'timm:toy'\?"):
        build_encoder(EncoderConfig(name="timm:toyy"), TRANSFORM)
    with pytest.raises(ValueError, match="timm has no network 'hf-hub:someone/toy'"):
        build_encoder(EncoderConfig(name="timm:hf-hub:someone/toy"), TRANSFORM)
    with pytest.raises(ValueError, match=r"encoder\.widths is for encoder\.name=conv"):
        build_encoder(EncoderConfig(name="timm:toy", widths=(4, 6)), TRANSFORM)
    torch.save(nn.Conv2d(3, 4, 1).state_dict(), tmp_path / "other.pth")
    with pytest.raises(RunError, match=r"other\.pth: not the weights of timm's toy: .*conv1\.weight"):
        build_encoder(EncoderConfig(name="timm:toy", weights=str(tmp_path / "other.pth")), TRANSFORM)


def test_without_timm_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """An unknown name is reported before anything is read."""
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(RunError, match=r"encoder\.name=timm:resnet18 needs timm: pip install 'seqff\[timm\]'"):
        build_encoder(EncoderConfig(name="timm:resnet18"), TRANSFORM)
    with pytest.raises(ConfigError, match=r"encoder\.name = 'resnet81': choose from conv, resnet18, .*timm:NAME"):
        EncoderConfig(name="resnet81")


@pytest.mark.parametrize("name", CUTTABLE)
def test_timms_own_networks(name: str, tmp_path: Path) -> None:
    """With a weights file of timm's names, the last map is timm's; the seed determines fresh weights."""
    timm = pytest.importorskip("timm", reason="needs pip install -e '.[timm]'")
    torch.manual_seed(5)
    model = timm.create_model(name, pretrained=False).eval()
    torch.save(model.state_dict(), tmp_path / "weights.pth")
    config = EncoderConfig(name=f"timm:{name}", norm="none", weights=str(tmp_path / "weights.pth"))
    encoder = build_encoder(config, TRANSFORM).eval()
    x = colors(frames(), model.pretrained_cfg["mean"], model.pretrained_cfg["std"])
    with torch.no_grad():
        expected = model.forward_intermediates(x, intermediates_only=True, norm=False)[-1]
        maps = encoder(encoder.transform(frames()))
    assert len(maps) == 4
    torch.testing.assert_close(maps[-1], expected, atol=1e-3, rtol=1e-3)
    fresh = EncoderConfig(name=f"timm:{name}")
    before = torch.get_rng_state()
    assert build_encoder(fresh, TRANSFORM, seed=1).hash() == build_encoder(fresh, TRANSFORM, seed=1).hash()
    assert torch.equal(torch.get_rng_state(), before)


def test_a_vision_transformer_is_cut_by_blocks(tmp_path: Path) -> None:
    """Four groups of blocks, each trained locally on the map of patches; without class token the result is timm's;
    saved and loaded like any other. Networks without stages are refused."""
    timm = pytest.importorskip("timm", reason="needs pip install -e '.[timm]'")
    config = EncoderConfig(name="timm:vit_tiny_patch16_224", norm="none")
    encoder = build_encoder(config, TRANSFORM, seed=3).eval()
    assert [(info.channels, info.reduction) for info in encoder.feature_info] == [(192, 16)] * 4
    torch.manual_seed(3)
    model = timm.create_model("vit_tiny_patch16_224", img_size=(32, 48), class_token=False, global_pool="avg").eval()
    model.patch_embed.load_state_dict(encoder.layers[0].body[1].patch_embed.state_dict())
    model.pos_embed = encoder.layers[0].body[1].pos_embed
    for layer, start in zip(encoder.layers, range(0, 12, 3), strict=True):
        model.blocks[start : start + 3].load_state_dict(layer.body[-1].blocks.state_dict())
    x = colors(frames(), model.pretrained_cfg["mean"], model.pretrained_cfg["std"])
    with torch.no_grad():
        expected = model.forward_intermediates(x, indices=[2, 5, 8, 11], intermediates_only=True, norm=False)
        for found, wanted in zip(encoder(encoder.transform(frames())), expected, strict=True):
            torch.testing.assert_close(found, wanted, atol=1e-3, rtol=1e-3)
    save_encoder(encoder, tmp_path)
    assert load_encoder(tmp_path).hash() == encoder.hash()
    assert gradients_stay(encoder)
    with pytest.raises(ValueError, match=r"is a vision transformer, which has no class token here"):
        build_encoder(EncoderConfig(name=config.name, weights="vit.pth"), TRANSFORM)
    for name in ("efficientnet_b0", "swin_tiny_patch4_window7_224"):
        with pytest.raises(ValueError, match=f"{name} cannot be cut into stages"):
            build_encoder(EncoderConfig(name=f"timm:{name}"), TRANSFORM)
