"""`seqff config`: lists settings, shows those of a run, and checks files."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import yaml
from helpers.small_runs import CONFIG

from seqff.cli import main
from seqff.config import TrainConfig
from seqff.config_io import dump_yaml, from_dict, load_config, to_dict
from seqff.presets import PRESETS
from seqff.train import train


def test_list_names_every_preset_and_its_source(capsys: pytest.CaptureFixture[str]) -> None:
    """With what it is, and where it is published."""
    assert main(["config", "list"]) == 0
    out = capsys.readouterr().out
    for name, preset in PRESETS.items():
        assert f"{name} " in out
        assert preset.text in out
        assert preset.reference in out
    assert main(["config", "list", "--json"]) == 0
    assert set(json.loads(capsys.readouterr().out)) == set(PRESETS)


@pytest.mark.parametrize("preset", ["", *PRESETS])
def test_what_show_prints_is_those_settings(preset: str, capsys: pytest.CaptureFixture[str]) -> None:
    """All of them, as YAML that reads back to the same."""
    assert main(["config", "show", *(["--preset", preset] if preset else [])]) == 0
    shown = yaml.safe_load(capsys.readouterr().out)
    expected = PRESETS[preset].config if preset else TrainConfig()
    assert from_dict(TrainConfig, shown) == expected
    assert set(shown) == {field.name for field in dataclasses.fields(TrainConfig)}


def test_a_run_can_be_shown_and_made_again(manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--config RUN/config.yaml` gives the same weights, seed included; a flag still wins over it."""
    config = dataclasses.replace(CONFIG, steps=2)
    run = train(manifest, out=tmp_path / "run", config=config, seed=7, progress=False).path
    assert main(["config", "show", str(run)]) == 0
    assert from_dict(TrainConfig, yaml.safe_load(capsys.readouterr().out)) == config
    again = ["train", str(manifest), "--config", str(run / "config.yaml"), "--no-progress"]
    assert main([*again, "--out", str(tmp_path / "again")]) == 0
    weights = (run / "encoder.safetensors").read_bytes()
    assert (tmp_path / "again" / "encoder.safetensors").read_bytes() == weights
    assert main([*again, "--out", str(tmp_path / "other"), "--seed", "8"]) == 0
    assert (tmp_path / "other" / "encoder.safetensors").read_bytes() != weights
    capsys.readouterr()
    assert main(["config", "check", str(run)]) == 0
    assert f"--config {run / 'config.yaml'}" in capsys.readouterr().out


def test_check_says_what_a_file_changes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Against the defaults, or the preset it is laid over."""
    file = tmp_path / "mine.yaml"
    file.write_text("pairs: {gap: 3, clip_frames: 4}\nobjective: {same_video: 0.2}\nsteps: 0\n")
    assert main(["config", "check", str(file), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["changed"] == {
        "pairs.gap": 3,
        "pairs.clip_frames": 4,
        "objective.same_video": 0.2,
    }
    assert main(["config", "check", str(file), "--preset", "infonce"]) == 0
    out = capsys.readouterr().out
    assert "objective.same_video: 0.2 (else 0.5)" in out


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("objective: {margn: 1.0}", "did you mean 'objective.margin'?"),
        ("margin: 1.0", "did you mean 'objective.margin'?"),
        ("steps: many", "steps = 'many': must be of type int"),
        ("seed: 1\nstepz: 3", "did you mean 'steps'?"),
        ("a: [", "not YAML"),
    ],
)
def test_check_refuses_in_one_line(tmp_path: Path, text: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 1; the file, the name and what was meant are said."""
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    assert main(["config", "check", str(file)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"seqff config: error: {file}: ")
    assert words in line


def test_a_misspelled_action_or_preset_gets_a_suggestion(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, and what there is."""
    assert main(["config", "shwo"]) == 2
    assert "list, show, check" in capsys.readouterr().err
    assert main(["config", "show", "--preset", "clap"]) == 2
    assert "'clapp'" in capsys.readouterr().err
    assert main(["config"]) == 2


def test_what_a_run_began_with_is_no_setting(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Seed and init are passed over when settings are read; without its encoder such a run is not made again."""
    file = tmp_path / "config.yaml"
    file.write_text(dump_yaml({"seed": 3, "init": "abc", **to_dict(CONFIG)}))
    assert load_config(file) == CONFIG
    assert main(["train", str(tmp_path), "--out", str(tmp_path / "run"), "--config", str(file)]) == 2
    assert "by --init" in capsys.readouterr().err
