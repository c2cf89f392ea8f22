"""torchvision networks as encoders: the same function, split into locally trained layers."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torchvision import models

from seqff.config import EncoderConfig, ObjectiveConfig, TrainConfig
from seqff.errors import RunError
from seqff.nets import Encoder, build_encoder, load_encoder, save_encoder, with_statistics
from seqff.nets.backbones import MEAN, STD
from seqff.pairs import FrameBatch
from seqff.training import build_learners
from seqff.transform import FrameTransform

NAMES = ("resnet18", "resnet34", "resnet50", "vgg11", "convnext_tiny")
TRANSFORM = FrameTransform(32, 48)


def published(name: str) -> nn.Module:
    """Return torchvision's network without its classifier, with random weights and statistics."""
    torch.manual_seed(5)
    if name == "vgg11":  # without drawing 120 million weights of a classifier
        with torch.device("meta"):
            model = models.vgg11()
        model.classifier = nn.Sequential()
        model.features.to_empty(device="cpu")
    else:
        model = getattr(models, name)()
    with torch.no_grad():
        for key, value in model.state_dict().items():
            if name == "vgg11":
                value.normal_(std=0.05)
            elif "running_var" in key:
                value.uniform_(0.5, 1.5)
            elif "running_mean" in key:
                value.normal_(std=0.1)
    return model.eval()


def last_map(model: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """Return the last map of torchvision's network, before averaging."""
    if isinstance(model, models.ResNet):
        x = model.maxpool(model.relu(model.bn1(model.conv1(x))))
        return model.layer4(model.layer3(model.layer2(model.layer1(x))))
    return model.features(x)


@pytest.mark.parametrize("name", NAMES)
def test_with_given_weights_and_no_norm_it_is_torchvisions_network(name: str, tmp_path: Path) -> None:
    """With weights from a state_dict, the last map is torchvision's for the same image, and each layer's map has the
    channels and size in feature_info."""
    model = published(name)
    save_file(model.state_dict(), tmp_path / "weights.safetensors")
    config = EncoderConfig(name=name, norm="none", weights=str(tmp_path / "weights.safetensors"))  # type: ignore[arg-type]
    encoder = build_encoder(config, TRANSFORM).eval()
    frames = torch.randint(0, 256, (2, 32, 48, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    colors = (frames.permute(0, 3, 1, 2) / 255 - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]
    with torch.no_grad():
        maps, expected = encoder(encoder.transform(frames)), last_map(model, colors)
    scale = float(expected.abs().max())
    torch.testing.assert_close(maps[-1] / scale, expected / scale, atol=1e-4, rtol=0)
    for info, h in zip(encoder.feature_info, maps, strict=True):
        assert h.shape[1] == info.channels
        assert abs(h.shape[2] - 32 / info.reduction) < 1
        assert abs(h.shape[3] - 48 / info.reduction) < 1


def test_the_seed_decides_and_nothing_else(tmp_path: Path) -> None:
    """Same seed, same weights, whatever the state of torch's generator, which is not changed; also for VGG."""
    for name in ("resnet18", "vgg11"):
        config = EncoderConfig(name=name)  # type: ignore[arg-type]
        before = torch.get_rng_state()
        first = build_encoder(config, TRANSFORM, seed=1)
        assert torch.equal(torch.get_rng_state(), before)
        torch.rand(3)
        assert first.hash() == build_encoder(config, TRANSFORM, seed=1).hash()
        assert first.hash() != build_encoder(config, TRANSFORM, seed=2).hash()
    save_encoder(first, tmp_path)
    assert load_encoder(tmp_path).hash() == first.hash()


def test_files_that_are_not_its_weights_are_refused(tmp_path: Path) -> None:
    """A missing file, a pickle with code, another network's weights, other content: one line that names the file."""
    save_file(nn.Conv2d(3, 4, 1).state_dict(), tmp_path / "other.safetensors")
    torch.save({"epoch": 3}, tmp_path / "epoch.pth")
    torch.save(nn.ReLU(), tmp_path / "code.pth")
    (tmp_path / "cut.safetensors").write_bytes((tmp_path / "other.safetensors").read_bytes()[:-9])
    for file, cause in {
        "none.pth": "no such file of weights",
        "other.safetensors": "not the weights of torchvision's resnet18: .*conv1.weight",
        "epoch.pth": "holds no state_dict",
        "code.pth": "not readable as weights",
        "cut.safetensors": "not readable as weights",
    }.items():
        config = EncoderConfig(name="resnet18", weights=str(tmp_path / file))
        with pytest.raises(RunError, match=f"{file}: {cause}"):
            build_encoder(config, TRANSFORM)


def test_settings_that_do_not_apply_are_refused() -> None:
    """Errors for widths of the plain net, weights for it, too small frames, and nets that settings cannot build."""
    with pytest.raises(ValueError, match=r"encoder\.widths is for encoder\.name=conv"):
        build_encoder(EncoderConfig(name="resnet18", widths=(4, 6)), TRANSFORM)
    with pytest.raises(ValueError, match=r"at least 32 px on each side, got 16x48: raise size_px"):
        build_encoder(EncoderConfig(name="vgg11"), FrameTransform(16, 48))
    with pytest.raises(ValueError, match=r"weights=x\.pth is for networks of torchvision or timm"):
        build_encoder(EncoderConfig(weights="x.pth"), TRANSFORM)
    with pytest.raises(ValueError, match=r"give seqff\.train what Encoder\.from_sequential"):
        build_encoder(EncoderConfig(name="sequential"), TRANSFORM)


def test_each_layer_of_a_resnet_learns_alone() -> None:
    """A layer's loss gives no gradient to others; a few updates lower it; its batch norms count them."""
    config = TrainConfig(
        encoder=EncoderConfig(name="resnet18"),
        objective=ObjectiveConfig(head_out=6, grid=(1,)),
        precision="fp32",
    )
    learners = build_learners(build_encoder(config.encoder, FrameTransform(32, 32)), config, seed=0)
    assert [learner.name for learner in learners] == ["stage1", "stage2", "stage3", "stage4"]
    h = torch.randn(8, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    batch = FrameBatch(h, torch.arange(8) // 4, torch.arange(8) % 4)
    relation = batch.relation(gap=1, far=3)
    for learner in learners:
        losses = []
        learner.set_rate(5e-5)
        for _ in range(4):
            out, loss = learner.loss(h, relation)
            loss.backward()
            reached = [one for one in learners if any(parameter.grad is not None for parameter in one.parameters)]
            assert reached == [learner]
            learner.step()
            losses.append(float(learner.metrics["loss"]))
        assert losses[-1] < losses[0], learner.name
        norms = [part for part in learner.layer.modules() if isinstance(part, nn.BatchNorm2d)]
        assert norms
        assert all(norm.num_batches_tracked == 4 for norm in norms)
        h = out.detach()


def test_an_untrained_net_with_batch_norm_has_statistics_of_its_frames() -> None:
    """Measured statistics make eval mode normalize like training mode, without changing weights or the given encoder.
    Without batch norm nothing is measured, and no frame is read."""
    encoder = build_encoder(EncoderConfig(name="resnet18", norm="none"), FrameTransform(32, 32))
    batches = [torch.randn(16, 3, 32, 32, generator=torch.Generator().manual_seed(number)) * 3 for number in range(2)]
    fresh = encoder.hash()
    measured = with_statistics(encoder, iter(batches))
    assert encoder.hash() == fresh != measured.hash()
    assert encoder.training
    assert all(torch.equal(a, b) for a, b in zip(encoder.parameters(), measured.parameters(), strict=True))
    with torch.no_grad():
        wanted = encoder(batches[0], layers=[-1])[0].std()  # in training: normalised by the batch
        bare, found = (net.eval()(batches[0], layers=[-1])[0].std() for net in (encoder, measured))
    assert abs(found / wanted - 1) < 0.2 < abs(bare / wanted - 1)
    plain = build_encoder(EncoderConfig(), FrameTransform(32, 32))
    assert with_statistics(plain, _nothing()) is plain


def _nothing() -> list[torch.Tensor]:
    """Frames that must not be iterated over."""

    class Never(list[torch.Tensor]):
        def __iter__(self) -> None:  # type: ignore[override]
            raise AssertionError("no frame is needed")

    return Never()


@pytest.mark.parametrize("name", ["resnet18", "convnext_tiny"])
def test_a_saved_network_computes_what_it_did(name: str, tmp_path: Path) -> None:
    """Every layer's map is the same after saving and loading, bit for bit."""
    encoder = build_encoder(EncoderConfig(name=name), TRANSFORM, seed=1).eval()  # type: ignore[arg-type]
    save_encoder(encoder, tmp_path)
    save_encoder(encoder, tmp_path, untrained=True)
    x = torch.randn(2, 3, 32, 48, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for loaded in (load_encoder(tmp_path), load_encoder(tmp_path, untrained=True)):
            for mine, theirs in zip(loaded.to("cpu")(x), encoder(x), strict=True):
                assert torch.equal(mine, theirs)


def test_an_encoder_knows_its_network() -> None:
    """The digest depends on network and norm, but not on the path of the initial weights."""
    one = build_encoder(EncoderConfig(name="resnet18"), TRANSFORM)
    same = Encoder(list(one.layers), one.feature_info, TRANSFORM, EncoderConfig(name="resnet18", weights="a.pth"))
    other = Encoder(list(one.layers), one.feature_info, TRANSFORM, EncoderConfig(name="resnet18", norm="rms"))
    assert one.hash() == same.hash() != other.hash()
    old = build_encoder(EncoderConfig(), FrameTransform(64, 80), seed=3)
    assert old.hash() == "8fda4582c6365e3d"  # as before there were other networks; stores of features hold such digests
