"""Custom networks, split into layers: trained, resumed, loaded."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

import seqff
from seqff.config import EncoderConfig, ObjectiveConfig, PairsConfig, TrainConfig
from seqff.errors import RunError
from seqff.nets import Encoder, load_encoder, save_encoder
from seqff.training.checkpoint import list_checkpoints
from seqff.transform import FrameTransform

TRANSFORM = FrameTransform(16, 16)
CONFIG = TrainConfig(
    steps=4,
    checkpoint_every=2,
    log_every=1,
    precision="fp32",
    pairs=PairsConfig(
        size_px=16,
        gap=1,
        far=6,
        videos_per_batch=3,
        clips_per_video=2,
        clip_frames=3,
        batches_per_visit=2,
        buffer_videos=6,
    ),
    objective=ObjectiveConfig(head_out=4),
)


class Residual(nn.Module):
    """A class that seqff does not know."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """A residual block."""
        return torch.relu(x + self.norm(self.conv(x)))


def plain(seed: int = 0) -> nn.Sequential:
    """Return convolutions with batch norm, with torch's modules only."""
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, 4, 5, stride=2, padding=2, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Sequential(nn.Conv2d(4, 6, 3, padding="same", padding_mode="reflect"), nn.LeakyReLU(0.2)),
        nn.GroupNorm(2, 6),
    )


def own(seed: int = 0) -> Encoder:
    """The same with a residual block at the end."""
    return Encoder.from_sequential(nn.Sequential(*plain(seed), Residual(6)), TRANSFORM)


def test_layers_begin_at_weights_or_where_they_are_cut() -> None:
    """By default norms, activations and pooling belong to the layer below; cuts and names override that; the maps are
    those of the net, with the norm between layers."""
    net = plain().eval()
    encoder = Encoder.from_sequential(net, TRANSFORM, norm="none").eval()
    assert [(info.name, info.channels, info.reduction) for info in encoder.feature_info] == [
        ("layer1", 4, 4),
        ("layer2", 6, 4),
    ]
    x = torch.randn(2, 3, 16, 16)
    assert torch.equal(encoder(x)[-1], net(x))
    assert torch.equal(encoder(x)[0], net[:4](x))
    assert not torch.equal(Encoder.from_sequential(net, TRANSFORM).eval()(x)[-1], net(x))
    named = Encoder.from_sequential(net, TRANSFORM, cuts=[3], names=["low", "high"], norm="none")
    assert [info.reduction for info in named.feature_info] == [2, 4]
    assert [info.name for info in named.feature_info] == ["low", "high"]
    assert net[1].num_batches_tracked == 0, "finding out the shapes moves no statistics"


def test_what_cannot_be_layers_is_refused() -> None:
    """Bad cuts, layers without weights, shared weights, dropout, a classifier, wrong maps: errors name the layer."""

    def cut(*modules: nn.Module, **options: object) -> Encoder:
        return Encoder.from_sequential(nn.Sequential(*modules), TRANSFORM, **options)  # type: ignore[arg-type]

    conv, same = nn.Conv2d(3, 3, 3), nn.Conv2d(3, 3, 3)
    for cuts in ([2], [0], [1, 1], [-1]):
        with pytest.raises(ValueError, match="cuts must grow and lie between 1 and 1"):
            cut(conv, same, cuts=cuts)
    with pytest.raises(ValueError, match="names must be 2, one a layer"):
        cut(conv, same, names=["a", "a"])
    with pytest.raises(ValueError, match="layer2 has no weights"):
        cut(conv, nn.ReLU(), cuts=[1])
    with pytest.raises(ValueError, match="layer2 and layer1 share weights"):
        cut(conv, conv)
    with pytest.raises(ValueError, match="layer1 has dropout"):
        cut(conv, nn.Dropout(0.1))
    with pytest.raises(ValueError, match="layer2 begins with a module that works in place"):
        cut(conv, nn.ReLU(inplace=True), same, cuts=[1], norm="none")
    with pytest.raises(ValueError, match="layer2 gives \\(1, 588\\); a layer gives maps"):
        cut(conv, nn.Conv2d(3, 3, 1), nn.Flatten())
    with pytest.raises(ValueError, match="layer2 cannot take its input"):
        cut(conv, nn.Conv2d(4, 3, 1))


def test_modules_of_torch_are_read_without_the_code_that_made_them(tmp_path: Path) -> None:
    """A saved encoder is rebuilt from its files alone, with the arguments of every module."""
    encoder = Encoder.from_sequential(plain(3), TRANSFORM, cuts=[4], names=["low", "high"], norm="rms")
    save_encoder(encoder, tmp_path)
    loaded = load_encoder(tmp_path)
    assert loaded.hash() == encoder.hash()  # which includes the repr of all modules
    x = torch.randn(2, 3, 16, 16)
    assert torch.equal(loaded(x)[-1], encoder.eval()(x)[-1])
    settings = json.loads((tmp_path / "encoder.json").read_text())
    settings["modules"][0][1][0] = ["Module", {}]
    (tmp_path / "encoder.json").write_text(json.dumps(settings))
    with pytest.raises(RunError, match="is not a module's name and arguments"):
        load_encoder(tmp_path)


def test_classes_of_ones_own_are_read_with_an_encoder_like_it(tmp_path: Path) -> None:
    """Without `like`, the error names the class; with an encoder split the same way, weights load into a copy."""
    encoder, other = own(1), own(2)
    save_encoder(encoder, tmp_path)
    with pytest.raises(RunError, match=r"layers hold Residual, a class of your own: give seqff\.load, as like"):
        load_encoder(tmp_path)
    before = other.hash()
    assert seqff.load(tmp_path, like=other).hash() == encoder.hash() != before == other.hash()
    with pytest.raises(RunError, match="given as like has other layers"):
        load_encoder(tmp_path, like=Encoder.from_sequential(plain(), TRANSFORM))


@pytest.fixture(scope="module")
def manifest(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The manifest of the clips, scanned once for all tests here."""
    path = tmp_path_factory.mktemp("scan") / "manifest.json"
    seqff.scan(clips, out=path, workers=1, progress=False)
    return path


def test_a_net_of_ones_own_is_trained_resumed_and_compared(manifest: Path, tmp_path: Path) -> None:
    """`train(init=...)` changes the weights of every layer but not the given encoder; a run stopped midway ends with
    the same bits, including batch norm statistics; the untrained baseline has the initial weights."""
    encoder = own()
    fresh = encoder.hash()
    straight = seqff.train(manifest, out=tmp_path / "straight", init=encoder, config=CONFIG, progress=False)
    assert encoder.hash() == fresh != straight.encoder.hash()
    trained, untrained = (load_file(straight.path / f"encoder{kind}.safetensors") for kind in ("", "_untrained"))
    for name, value in encoder.named_parameters():
        assert torch.equal(untrained[name], value)
    convs = [name for name in trained if "conv" in name or name.endswith("body.0.weight")]
    assert len(convs) >= 2
    assert all(not torch.equal(trained[name], untrained[name]) for name in convs)
    assert trained["layers.0.body.1.num_batches_tracked"] == 4
    assert untrained["layers.0.body.1.running_var"].ne(1).all(), "measured, not fresh"
    resumed = shutil.copytree(straight.path, tmp_path / "resumed")
    shutil.rmtree(list_checkpoints(resumed)[-1])
    (resumed / "encoder.safetensors").unlink()
    seqff.train(manifest, out=resumed, init=encoder, config=CONFIG, resume=True, progress=False)
    assert (resumed / "encoder.safetensors").read_bytes() == (straight.path / "encoder.safetensors").read_bytes()
    with pytest.raises(RunError, match=r"started with other settings: .*init: "):
        seqff.train(manifest, out=resumed, init=own(9), config=CONFIG, resume=True, progress=False)


def test_a_training_begins_with_the_encoder_of_a_run(manifest: Path, tmp_path: Path) -> None:
    """Given a run folder, a new run's untrained net is that run's trained net; settings of another net are refused."""
    encoder = EncoderConfig(widths=(4, 6), kernels=(5, 3), strides=(2, 1), pools=(1, 1))
    config = dataclasses.replace(CONFIG, encoder=encoder, steps=2)
    first = seqff.train(manifest, out=tmp_path / "first", config=config, progress=False)
    second = seqff.train(manifest, out=tmp_path / "second", config=config, init=first.path, progress=False)
    assert load_encoder(second.path, untrained=True).hash() == first.encoder.hash() != second.encoder.hash()
    other = dataclasses.replace(config, encoder=EncoderConfig(name="resnet18"))
    with pytest.raises(ValueError, match="leave those of encoder out"):
        seqff.train(manifest, out=tmp_path / "third", config=other, init=first.path, progress=False)
    assert not (tmp_path / "third").exists()
