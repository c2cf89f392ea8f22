"""`seqff train --preset`: shown in the help, overridden by --config and flags; a typo is one line."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from seqff.cli import main, train
from seqff.cli.arguments import parse

SMALL = [
    "--steps", "2", "--pairs.size-px", "16", "--pairs.far", "6", "--pairs.videos-per-batch", "3",
    "--pairs.clips-per-video", "2", "--encoder.widths", "4", "--encoder.kernels", "3", "--encoder.strides", "2",
    "--encoder.pools", "1", "--no-progress",
]  # fmt: skip


def test_flags_win_over_the_file_and_the_file_over_the_preset(clips: Path, tmp_path: Path) -> None:
    """Of three settings of the method, the preset gives one, --config another, a flag the third."""
    file, run = tmp_path / "config.yaml", tmp_path / "run"
    file.write_text("objective: {same_video: 0.25, infonce: {temperature: 2, score: cosine}}\n")
    arguments = ["train", str(clips), "--out", str(run), "--preset", "greedy-infomax", "--config", str(file)]
    assert main([*arguments, "--objective.infonce.score", "bilinear", *SMALL]) == 0
    objective = yaml.safe_load((run / "config.yaml").read_text())["objective"]
    assert objective["terms"] == ["infonce"]
    assert objective["infonce"] == {"score": "bilinear", "temperature": 2.0}
    assert (objective["same_video"], objective["head"]) == (0.25, "none")


def test_help_shows_the_settings_of_a_preset(capsys: pytest.CaptureFixture[str]) -> None:
    """`--help` says where presets are told; with one given, its settings are the defaults shown."""
    assert main(["train", "--help"]) == 0
    assert "seqff config list" in capsys.readouterr().out
    for asked in (["--help", "objective.terms"], ["--help-all"]):
        assert main(["train", "--preset=clapp", *asked]) == 0
        assert "(default: clapp)" in capsys.readouterr().out


def test_an_unknown_preset_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2 as for other wrong arguments, a suggestion, no trace, and no run folder."""
    run = tmp_path / "run"
    assert main(["train", "videos", "--out", str(run), "--preset", "clap"]) == 2
    assert capsys.readouterr().err == "seqff train: error: no preset 'clap'; did you mean 'clapp'?\n"
    assert not run.exists()


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["0.1"], 0.1),
        (["0.4", "0.2", "1e-1"], (0.4, 0.2, 0.1)),
        (["0.4,0.2,0.1"], (0.4, 0.2, 0.1)),
        (["falling"], "falling"),
        (["calibrated"], "calibrated"),
    ],
)
def test_a_tolerance_is_a_number_several_or_a_word(words: list[str], found: object) -> None:
    """With spaces or commas between them; the flags behind it are still flags."""
    arguments = ["videos", "--out", "run", "--objective.tolerance", *words, "--steps", "3"]
    settings = parse(train, "train", arguments).settings
    assert (settings.objective.tolerance, settings.steps) == (found, 3)


def test_a_tolerance_that_is_none_says_what_is_allowed(capsys: pytest.CaptureFixture[str]) -> None:
    """The flag, what can be given, and what was."""
    assert main(["train", "videos", "--out", "run", "--objective.tolerance", "0.1", "fallen"]) == 2
    text = " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert (
        "--objective.tolerance: give a number, a number for every layer, falling or calibrated, not '0.1 fallen'"
        in text
    )
