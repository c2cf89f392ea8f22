"""Settings survive YAML, and a typo is an error."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from seqff.config import ObjectiveConfig, PairsConfig, TrainConfig
from seqff.config_io import dump_yaml, from_dict, load_config, load_settings, to_dict
from seqff.errors import ConfigError
from seqff.presets import PRESETS


def test_settings_survive_yaml() -> None:
    """What is written as YAML is read as the same settings, tuples and nested parts included."""
    config = TrainConfig(steps=7, pairs=PairsConfig(gap=2), objective=ObjectiveConfig(tolerance=(0.3, 0.1)))
    assert from_dict(TrainConfig, yaml.safe_load(dump_yaml(to_dict(config)))) == config


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("objective: {margn: 1.0}", "unknown key 'objective.margn'; did you mean 'objective.margin'?"),
        ("stepz: 3", "unknown key 'stepz'; did you mean 'steps'?"),
        ("steps: many", "steps = 'many': must be of type int, got str"),
        ("steps: true", "steps = True: must be of type int, got bool"),
        ("pairs: {flip: 1}", "pairs.flip = 1: must be of type bool"),
        ("objective: {tolerance: loose}", "must be a number, a list of numbers, falling or calibrated"),
        ("objective: {lpl: {weights: [1.0]}}", "must have 3 values"),
        ("encoder: {widths: 3}", "encoder.widths = 3: must be a list"),
        ("- 1", "must be a mapping"),
        ("steps: [", "not YAML"),
        ("!!python/object/apply:os.system ['true']", "not YAML"),
    ],
)
def test_wrong_settings_are_named(tmp_path: Path, text: str, message: str) -> None:
    """The error names the file, the key and what is allowed; nothing in a YAML file is executed."""
    file = tmp_path / "config.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_config(file)
    assert message in str(caught.value)
    assert str(file) in str(caught.value)


def test_whole_numbers_serve_as_floats(tmp_path: Path) -> None:
    """`margin: 1` in YAML is 1.0; an empty file is the defaults."""
    file = tmp_path / "config.yaml"
    file.write_text("objective: {margin: 1}")
    assert load_config(file).objective.margin == 1.0
    file.write_text("")
    assert load_config(file) == TrainConfig()


def test_numbers_with_an_exponent_alone_are_numbers(tmp_path: Path) -> None:
    """YAML reads 2e-3 as a word; here it is the number that was meant."""
    (tmp_path / "settings.yaml").write_text("optim: {lr: 2e-3, weight_decay: 1E4}")
    config = load_config(tmp_path / "settings.yaml")
    assert (config.optim.lr, config.optim.weight_decay) == (2e-3, 1e4)


def test_settings_are_given_as_a_mapping_a_path_or_whole(tmp_path: Path) -> None:
    """Over a preset by its name; a run folder is as good as its config.yaml."""
    wanted = replace(TrainConfig(), pairs=replace(TrainConfig().pairs, gap=2), steps=7)
    file = tmp_path / "config.yaml"
    file.write_text("pairs: {gap: 2}\n")
    for given in ({"pairs": {"gap": 2}}, {"pairs": wanted.pairs}, file, str(tmp_path), replace(wanted, steps=0)):
        assert load_settings(given, steps=7) == wanted
    vicreg = load_settings({"pairs": {"gap": 2}}, "vicreg")
    assert (vicreg.objective, vicreg.pairs) == (PRESETS["vicreg"].config.objective, wanted.pairs)


@pytest.mark.parametrize(
    ("given", "preset", "words"),
    [
        ({"pairs": {"gapp": 2}}, "default", "did you mean 'pairs.gap'"),
        ({"gap": 2}, "default", "did you mean 'pairs.gap'"),
        (None, "vicrek", "did you mean 'vicreg'"),
        (TrainConfig(), "vicreg", "leave preset='vicreg' out"),
        (3, "default", "a TrainConfig, a mapping or the path"),
    ],
)
def test_wrong_settings_say_what_is_right(given: Any, preset: str, words: str) -> None:
    """The nearest name, or what is allowed."""
    with pytest.raises((ConfigError, ValueError, TypeError), match=re.escape(words)):
        load_settings(given, preset)
