"""Encoders as Hugging Face hub folders: written, read, and described correctly."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest
import torch
import yaml

import seqff
from seqff.cli import main
from seqff.config import EncoderConfig, ObjectiveConfig, PairsConfig, TrainConfig
from seqff.errors import RunError
from seqff.nets import Encoder, build_encoder
from seqff.transform import FrameTransform


def small(seed: int = 0) -> Encoder:
    """Return an encoder of two narrow layers."""
    config = EncoderConfig(widths=(4, 6), kernels=(5, 3), strides=(2, 1), pools=(1, 2), norm="batch")
    return build_encoder(config, FrameTransform(16, 32), seed=seed)


def test_an_encoder_survives_the_folder(tmp_path: Path) -> None:
    """Exactly config.json, model.safetensors and README.md; both ways of loading give the same encoder, in eval mode,
    with its transform."""
    encoder = small()
    encoder(torch.randn(4, 3, 16, 32))  # changes the statistics
    folder = encoder.save_pretrained(tmp_path / "pretrained")
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "config.json", "model.safetensors"]
    for loaded in (Encoder.from_pretrained(folder), seqff.load(folder)):
        assert loaded.hash() == encoder.hash()
        assert loaded.transform == FrameTransform(16, 32)
        assert not loaded.training
    with pytest.raises(RunError, match="comes without its untrained net"):
        seqff.load(folder, untrained=True)


def test_nothing_is_replaced_by_accident(tmp_path: Path) -> None:
    """Replacing an encoder needs overwrite; a folder with other content is never touched."""
    folder = small(0).save_pretrained(tmp_path / "pretrained")
    with pytest.raises(RunError, match="overwrite"):
        small(1).save_pretrained(folder)
    assert Encoder.from_pretrained(small(1).save_pretrained(folder, overwrite=True)).hash() == small(1).hash()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("x")
    with pytest.raises(RunError, match="holds other things"):
        small().save_pretrained(tmp_path / "mine", overwrite=True)


def test_damaged_folders_are_refused(tmp_path: Path) -> None:
    """A truncated weights file, invalid settings, a missing folder: one line that names the file."""
    folder = small().save_pretrained(tmp_path / "pretrained")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-7])
    with pytest.raises(RunError, match=r"model\.safetensors .*: the encoder cannot be loaded"):
        seqff.load(folder)
    (folder / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(RunError, match=r"config\.json: not encoder settings of format 1"):
        Encoder.from_pretrained(folder)
    with pytest.raises(RunError, match=r"no config\.json there; a run folder is what .* a pretrained encoder what"):
        Encoder.from_pretrained(tmp_path)


@pytest.mark.skipif(importlib.util.find_spec("huggingface_hub") is not None, reason="huggingface_hub is installed")
def test_without_the_client_the_hub_is_an_extra() -> None:
    """For a name on the hub the error says what to install; for any other path, that it does not exist."""
    with pytest.raises(RunError, match=r"somebody/encoder: no such folder; .*pip install 'seqff\[hub\]'"):
        Encoder.from_pretrained("somebody/encoder")
    with pytest.raises(RunError, match=r"some/where/encoder; a run folder is what .* a pretrained encoder what"):
        Encoder.from_pretrained("./some/where/encoder")
    with pytest.raises(ValueError, match="revision='main' is for repositories on the hub"):
        Encoder.from_pretrained("./encoder", revision="main")


def test_the_card_says_what_it_was_trained_on(clips: Path, tmp_path: Path) -> None:
    """Videos, frames, objective, seed and settings are those of the run and survive saving again; local paths are not
    included; and the card of an encoder without a run claims nothing."""
    config = TrainConfig(
        steps=2,
        encoder=EncoderConfig(widths=(4, 6), kernels=(5, 3), strides=(2, 1), pools=(1, 1)),
        pairs=PairsConfig(size_px=16, far=6, videos_per_batch=3, clips_per_video=2, batches_per_visit=2),
        objective=ObjectiveConfig(head_out=4, terms=("vicreg",)),
    )
    run = seqff.train(clips, out=tmp_path / "run", config=config, seed=7, progress=False)
    folder = run.encoder.save_pretrained(tmp_path / "pretrained")
    card = (folder / "README.md").read_text()
    front, _, text = card.removeprefix("---\n").partition("---\n")
    assert yaml.safe_load(front)["library_name"] == "seqff"
    assert "Trained on 8 videos without labels: 128 frames, 0.00 hours." in text
    assert "2 steps, trainer local, objective vicreg, seed 7." in text
    assert "no gradient passed between layers" in text
    assert f"| layer2 | 6 | {run.encoder.feature_info[1].reduction} px |" in text
    assert run.encoder.hash() in text
    settings = yaml.safe_load(text.split("```yaml\n")[1].split("```")[0])
    assert settings["objective"]["terms"] == ["vicreg"]
    assert str(tmp_path) not in card + (folder / "config.json").read_text()
    again = Encoder.from_pretrained(folder).save_pretrained(tmp_path / "again")
    assert (again / "README.md").read_text() == card
    assert "Nothing is known here" in (small().save_pretrained(tmp_path / "other") / "README.md").read_text()


def test_the_command_writes_the_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`seqff convert` to a name without a suffix writes the folder, and the card is readable on any terminal."""
    folder = small().save_pretrained(tmp_path / "pretrained")
    assert main(["convert", str(folder), "--out", str(tmp_path / "copy"), "--json"]) == 0
    assert set(json.loads(capsys.readouterr().out)["bytes"]) == {"README.md", "config.json", "model.safetensors"}
    assert seqff.load(tmp_path / "copy").hash() == small().hash()
