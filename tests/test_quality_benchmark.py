"""The benchmark of quality: settings by name, finished results reused, and never those of other settings."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.clips import write_clips
from helpers.small_runs import CONFIG

from benchmarks import quality
from benchmarks.records import Records
from benchmarks.sets import VideoSet
from seqff.config import TrainConfig
from seqff.config_io import dump_yaml, to_dict
from seqff.errors import ConfigError


def test_settings_are_a_preset_and_changes() -> None:
    """Numbers, words and lists are read as YAML has them; the preset keeps all else."""
    config = quality.settings_of("vicreg+optim.name=muon+optim.lr=2e-3+objective.grid=[4, 2]")
    assert (config.optim.name, config.optim.lr, config.objective.grid) == ("muon", 2e-3, (4, 2))
    assert config.objective.terms == ("vicreg",)
    assert quality.settings_of("default") == TrainConfig()


@pytest.mark.parametrize("text", ["nosuch", "default+steps", "default+step=3", "default+steps=many"])
def test_settings_that_are_none_are_named(text: str) -> None:
    """No such preset, no value, no such setting, no number."""
    with pytest.raises(ConfigError):
        quality.settings_of(text)


@pytest.mark.parametrize("way", [{"unseen_folds": 2}, {}, {"split_frames": "every:4"}])
def test_a_set_goes_the_whole_way(tmp_path: Path, way: dict[str, object]) -> None:
    """Encoders that see all videos, encoders that do not, and frames inside videos: layers beside untrained ones."""
    videos = VideoSet(write_clips(tmp_path / "clips"), **way)  # type: ignore[arg-type]
    found = quality.one_run(videos, replace(CONFIG, steps=2), 5, tmp_path / "out")
    assert found["steps"] == 2
    assert [set(layer) for layer in found["layers"]] == [{"name", "trained", "untrained", "interval"}] * 2
    assert 0 <= found["pixels"] <= 1


def test_results_of_other_settings_are_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A record is found by set, settings, seed and digest of the settings; other settings make it anew in its place."""
    clips = write_clips(tmp_path / "clips", clips=4)
    file, settings = tmp_path / "results" / "quality.json", tmp_path / "c.yaml"
    settings.write_text(dump_yaml(to_dict(CONFIG)))
    monkeypatch.setitem(quality.SETS, "clips", ("", lambda data, made: VideoSet(clips)))

    def record(steps: int) -> list[int]:
        arguments = ["quality", str(tmp_path), "--sets", "clips", "--settings", f"{settings}+steps={steps}", "--seeds"]
        monkeypatch.setattr(sys, "argv", [*arguments, "0", "--results", str(file), "--out", str(tmp_path / "out")])
        assert quality.main() == 0
        return [record["steps"] for record in json.loads(file.read_text())]

    assert record(2) == [2]
    hidden = clips.rename(tmp_path / "hidden")
    assert record(2) == [2]  # read again: there is nothing to train on
    hidden.rename(clips)
    assert record(3) == [2, 3]
    assert Records(file).find(set="clips", seed=0, steps=3)
