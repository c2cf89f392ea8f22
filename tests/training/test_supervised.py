"""Supervised end-to-end training starts like `train` and gives a usable net."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest
import torch
from helpers.small_runs import metrics, weights
from torch import nn

import seqff
from seqff.config import EncoderConfig, ObjectiveConfig, PairsConfig, TrainConfig
from seqff.pairs import PairStream
from seqff.train import train
from seqff.training.checkpoint import list_checkpoints
from seqff.training.supervised import train_supervised
from seqff.video import Manifest

CONFIG = TrainConfig(
    steps=60,
    precision="fp32",
    pairs=PairsConfig(size_px=16, far=6, videos_per_batch=4, clips_per_video=2, batches_per_visit=2),
    encoder=EncoderConfig(widths=(4, 6), kernels=(3, 3), strides=(2, 1), pools=(1, 1), norm="batch"),
    objective=ObjectiveConfig(head_out=4, grid=(2,)),
)


def test_it_begins_with_the_untrained_net_of_train(manifest: Path, tmp_path: Path) -> None:
    """Same settings and seed give the same untrained baseline, with batch norm statistics of the first batches."""
    config = dataclasses.replace(CONFIG, steps=1)
    labels = {entry.path: entry.path.split("/")[0] for entry in Manifest.load(manifest)}
    train(manifest, out=tmp_path / "own", config=config, device="cpu", progress=False)
    train_supervised(manifest, labels, out=tmp_path / "taught", config=config, device="cpu", progress=False)
    name = "encoder_untrained.safetensors"
    assert (tmp_path / "own" / name).read_bytes() == (tmp_path / "taught" / name).read_bytes()
    norm = next(part for part in seqff.load(tmp_path / "taught", untrained=True).modules() if is_norm(part))
    assert not norm.running_var.allclose(torch.ones(()), rtol=0.1)


@pytest.mark.parametrize("untrained", [True, False])
def test_batch_norms_know_what_comes_in(manifest: Path, tmp_path: Path, untrained: bool) -> None:
    """Running statistics are those of the frames: in eval mode each norm gives mean 0 and variance 1."""
    labels = {entry.path: entry.path.split("/")[0] for entry in Manifest.load(manifest)}
    train_supervised(manifest, labels, out=tmp_path / "run", config=CONFIG, device="cpu", progress=False)
    encoder = seqff.load(tmp_path / "run", untrained=untrained).eval()
    given: dict[nn.Module, list[torch.Tensor]] = {part: [] for part in encoder.modules() if is_norm(part)}
    for part in given:
        part.register_forward_pre_hook(lambda norm, inputs: given[norm].append(inputs[0]))
    stream = PairStream(Manifest.load(manifest), encoder.transform, CONFIG.pairs, seed=1)
    with torch.no_grad():
        for _, batch in zip(range(16), stream.batches(), strict=False):
            encoder(batch.frames)
    assert len(given) >= 1
    for norm, inputs in given.items():
        values = torch.cat(inputs).transpose(0, 1).flatten(1)
        shift = (norm.running_mean - values.mean(dim=1)) / values.std(dim=1)
        assert shift.abs().max() < 0.25
        assert (norm.running_var / values.var(dim=1)).log().abs().max() < 0.5


def test_it_is_watched_and_resumed_as_any_training(manifest: Path, tmp_path: Path) -> None:
    """Metrics of the last layer include its accuracy; resumed in the middle, the result is bit-identical."""
    labels = {entry.path: entry.path.split("/")[0] for entry in Manifest.load(manifest)}
    config = dataclasses.replace(CONFIG, steps=12, checkpoint_every=6, log_every=6)
    run = train_supervised(manifest, labels, out=tmp_path / "run", config=config, device="cpu", progress=False).path
    before = weights(run)
    assert 0 <= metrics(run)[-1]["layer2/accuracy"] <= 1
    assert "layer2/effective_rank" in metrics(run)[0]
    shutil.rmtree(list_checkpoints(run)[-1])
    (run / "encoder.safetensors").unlink()
    train_supervised(manifest, labels, out=run, config=config, device="cpu", progress=False)
    assert weights(run) == before


def test_every_video_needs_a_label(manifest: Path, tmp_path: Path) -> None:
    """A missing label is reported, and nothing is written."""
    labels = {entry.path: "one" for entry in list(Manifest.load(manifest))[1:]}
    with pytest.raises(ValueError, match="has no label, and 0 more"):
        train_supervised(manifest, labels, out=tmp_path / "run", config=CONFIG, device="cpu", progress=False)
    assert not (tmp_path / "run").exists()


def is_norm(part: nn.Module) -> bool:
    """Return whether it is a batch norm."""
    return isinstance(part, nn.BatchNorm2d)
