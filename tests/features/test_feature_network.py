"""Features of networks not trained by seqff: stored, probed and compared like those of runs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.extracting import SMALL, content, scan_of, take
from torch import nn
from torchvision import models

from seqff.cli import main
from seqff.config import EncoderConfig
from seqff.errors import RunError
from seqff.features import FeatureStore, extract
from seqff.nets import build_encoder, load_encoder
from seqff.transform import FrameTransform
from seqff.video import Manifest, open_video

STAGES = ("stage1", "stage2", "stage3", "stage4")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state_dict of torchvision's ResNet-18 as torch.save writes it, with its classifier."""
    torch.manual_seed(7)
    model = models.resnet18()
    for part in model.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.normal_(std=0.1)
            part.running_var.uniform_(0.5, 1.5)
    file = tmp_path_factory.mktemp("weights") / "resnet18.pth"
    torch.save(model.state_dict(), file)
    return file


@pytest.fixture(scope="module")
def store(weights: Path, clips: Path, tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    """Its features of the clips, at 32 px."""
    network = {"name": "resnet18", "weights": str(weights), "size_px": 32}
    return extract(videos=clips, encoder=network, out=tmp_path_factory.mktemp("network") / "store", **SMALL)


def test_features_are_those_of_the_network(store: FeatureStore, weights: Path, clips: Path) -> None:
    """The last stage of every frame, by torchvision itself; itself untrained and pixels stand beside it."""
    assert store.names == (*STAGES, *(f"untrained/{name}" for name in STAGES), "pixels")
    model = models.resnet18()
    model.load_state_dict(torch.load(weights, weights_only=True))
    trunk = nn.Sequential(*list(model.children())[:-2]).eval()
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    manifest, transform = Manifest.load(clips), FrameTransform(32, 32)
    for row, entry in enumerate(manifest.usable):
        with open_video(manifest.path(entry), size=transform.decode_size(48, 60)) as reader:
            frames = transform.framed(torch.from_numpy(reader.at(range(entry.frames))))
        with torch.no_grad():
            maps = trunk(((frames / 255 - mean) / std).permute(0, 3, 1, 2))
        x = maps.reshape(entry.frames, -1)
        expected = np.concatenate([x.mean(0), x.std(0, correction=0), x.diff(dim=0).abs().mean(0)])
        np.testing.assert_allclose(store.to_numpy("stage4")[row], expected, atol=1e-3)
    assert store.meta["network"] == {"name": "resnet18", "weights": str(weights), "size_px": 32}
    assert store.trained_on is None  # nobody knows


def test_the_store_keeps_what_it_was_extracted_with(
    store: FeatureStore, weights: Path, clips: Path, tmp_path: Path
) -> None:
    """As a run does; an extraction that goes on takes it from there, even where the file of weights has changed."""
    kept = store.path / "encoder"
    assert load_encoder(kept).hash() == store.meta["encoder"]["hash"]
    assert load_encoder(kept, untrained=True).hash() == store.meta["encoder"]["untrained_hash"]
    begun, file = tmp_path / "store", tmp_path / "resnet18.pth"
    shutil.copy(weights, file)
    network = {"name": "resnet18", "weights": str(file), "size_px": 32}
    first = content(extract(videos=clips, encoder=network, out=begun, **SMALL).path)
    torch.save(build_encoder(EncoderConfig(name="resnet18"), FrameTransform(32, 48)).state_dict(), file)
    (begun / "meta.json").unlink()
    again = extract(videos=clips, encoder=network, out=begun, resume=True, **SMALL)
    assert content(again.path) == first
    with pytest.raises(RunError, match=r"started with .* now it is"):
        extract(videos=clips, encoder={**network, "size_px": 64}, out=begun, resume=True, **SMALL)


def test_without_weights_it_is_an_untrained_net_and_says_so(
    clips: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing stands beside it as untrained; its batch norms have statistics of these videos; it has seen none."""
    options = {"out": tmp_path / "store", "encoder": {"name": "resnet18", "size_px": 32}, **SMALL}
    store = extract(videos=clips, **options)
    assert "resnet18 without weights (encoder.weights FILE) is an untrained net, of seed 0" in caplog.text
    assert store.names == (*STAGES, "pixels")
    assert store.trained_on == frozenset()
    net = load_encoder(store.path / "encoder")
    fresh = build_encoder(EncoderConfig(name="resnet18", norm="none"), net.transform, seed=0)
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), fresh.parameters(), strict=True))
    assert not torch.equal(net.layers[0].body[1].running_var, fresh.layers[0].body[1].running_var)


def test_a_single_frame_is_enough_for_statistics(clips: Path, tmp_path: Path) -> None:
    """One short video, frames of which a single cell is left: nothing breaks."""
    (tmp_path / "videos").mkdir()
    shutil.copy(clips.parent / "videos/walk/d.avi", tmp_path / "videos")
    manifest = scan_of(tmp_path / "videos", tmp_path)
    store = extract(videos=manifest, encoder={"name": "vgg11", "size_px": 32}, out=tmp_path / "store", **SMALL)
    assert np.isfinite(store.to_numpy("stage5")).all()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["VIDEOS"], "give a run and videos, or videos and a network (encoder.name, such as resnet18)"),
        (["RUN", "VIDEOS", "--encoder.name", "resnet18"], "leave out the run (RUN), or encoder.name=resnet18"),
        (["VIDEOS", "--encoder.name", "resnet81"], "no network 'resnet81'; did you mean 'resnet18'?"),
        (["--encoder.name", "resnet18"], "no videos to extract features of resnet18 from"),
        (["RUN", "VIDEOS", "--encoder.weights", "w.pth"], "are for a network: encoder.name says which"),
        (["VIDEOS", "--encoder.name", "resnet18", "--encoder.size-px", "abc"], "'abc' is no whole number"),
    ],
)
def test_wrong_combinations(
    arguments: list[str],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """One line says what to leave out or to give, with exit code 2; nothing is written."""
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["extract", *arguments, "--out", str(tmp_path / "store")]) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "store").exists()


def test_files_that_are_no_weights_of_it(clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No such file, or another network's: one line, exit code 1, and nothing is written."""
    torch.save(nn.Conv2d(3, 4, 1).state_dict(), tmp_path / "other.pth")
    for file, words in (("none.pth", "no such file of weights"), ("other.pth", "not the weights of torchvision's")):
        arguments = ["extract", str(clips), "--encoder.name", "resnet18", "--encoder.weights", str(tmp_path / file)]
        assert main([*arguments, "--out", str(tmp_path / "store"), "--no-progress"]) == 1
        error = capsys.readouterr().err
        assert words in error
        assert len(error.splitlines()) == 1
        assert not (tmp_path / "store").exists()


def test_probed_and_compared_beside_a_run(
    run: Path, clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The way on is printed at each step; the probe says that the net is untrained, and names new videos."""
    asked = ["--labels", "folder", "--folds", "2", "--no-progress", "--device", "cpu"]
    take(run, clips, tmp_path / "ours", baselines=())
    assert main(["probe", str(tmp_path / "ours"), "--out", str(tmp_path / "probe_ours"), *asked]) == 0
    theirs = ["--encoder.name", "resnet18", "--encoder.size-px", "32", "--out", str(tmp_path / "theirs")]
    theirs += ["--grid", "1", "--statistics", "mean", "--baselines"]
    assert main(["extract", str(clips), *theirs, "--device", "cpu", "--no-progress"]) == 0
    capsys.readouterr()
    probe = tmp_path / "probe"
    assert main(["probe", str(tmp_path / "theirs"), "--out", str(probe), *asked]) == 0
    said = capsys.readouterr().out
    assert "resnet18 was extracted without weights: what stands as trained is an untrained net" in said
    assert f"next: seqff compare PROBE {probe}" in said
    result = json.loads((probe / "results.json").read_text())
    assert result["encoder_seen"] == "unseen"
    assert result["extraction"]["network"]["name"] == "resnet18"
    assert main(["compare", str(tmp_path / "probe_ours"), str(probe)]) == 0
    table = capsys.readouterr().out
    assert "layer2" in table
    assert "stage4" in table
    assert main(["classify", str(probe), str(clips), "--device", "cpu", "--no-progress"]) == 0
    assert "run/a.avi" in capsys.readouterr().out
