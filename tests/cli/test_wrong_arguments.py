"""Wrong arguments are distinguished from failed jobs, and reported in plain words with suggestions."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest
from helpers.small_runs import CONFIG

from seqff.cli import main
from seqff.config_io import dump_yaml, to_dict


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--out", "run", "--steps", "abc"], "'abc' is no whole number"),
        (["--out", "run", "--steps", "1.5"], "'1.5' is no whole number"),
        (["--out", "run", "--steps", "-2"], "steps must be at least 1, or 0 for as many as fit the videos, got -2"),
        (["--out", "run", "--seed", "abc"], "'abc' is no whole number"),
        (["--out", "run", "--optim.lr", "big"], "'big' is no number"),
        (["-o", "run"], "no flag -o; did you mean --out"),
        (["-out", "run"], "no flag -out; did you mean --out?"),
        (["--out", "run", "-stpes=3"], "no flag -stpes=3; did you mean --steps?"),
        ([], "only a dry run (--dry-run) needs none"),
        (["--out", "run", "--max-bad", "3"], "max_bad is a share from 0 to 1, got 3.0"),
        (["--out", "run", "--pairs.gap", "abc"], "both be frames, such as 1 and 8"),
        (["--out", "run", "--preset", "clap"], "did you mean 'clapp'?"),
        (["--out", "run", "--config", "nosuch.yaml"], "nosuch.yaml: cannot be read (no such file)"),
    ],
)
def test_exit_code_2_and_plain_words(
    arguments: list[str],
    words: str,
    clips: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Whatever stands wrong on the command line; no run folder is left."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["train", str(clips), *arguments, "--no-progress"]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert "Traceback" not in error
    assert "<class" not in error
    assert not (tmp_path / "run").exists()


def test_negative_numbers_are_no_flags(capsys: pytest.CaptureFixture[str]) -> None:
    """A number below 0 is read as one, and refused for what it is."""
    assert main(["scan", "nosuch", "--workers", "-3"]) == 2
    assert "workers must be at least 1, got -3" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["scan", "nosuch"], "no such folder: "),
        (["scan", "nosuch.mp4"], "no such file: "),
        (["scan", "nosuch.json"], "no such file or folder: nosuch.json"),
        (["extract", "nosuch", "videos", "--out", "features"], "no such folder: nosuch"),
        (["report", "nosuch", "--out", "page.html"], "no such folder: nosuch"),
        (["watch", "nosuch"], "no such folder: nosuch"),
        (["search", "nosuch", "--like", "a.mp4@1"], "no such folder"),
    ],
)
def test_what_is_not_there_is_no_such_folder(
    arguments: list[str],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Not what would have to be in it; the line is right and the job failed: exit code 1."""
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 1
    assert words in capsys.readouterr().err


class Terminal(io.StringIO):
    """Standard error that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_a_scan_that_decodes_nothing_shows_no_bar(clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first one shows its progress; the second has nothing to do and says nothing."""
    shown = []
    for _ in range(2):
        monkeypatch.setattr(sys, "stderr", Terminal())
        assert main(["scan", str(clips), "--out", str(tmp_path / "manifest.json"), "--workers", "1"]) == 0
        shown.append(sys.stderr.getvalue())  # type: ignore[attr-defined]
    assert "scan: 100%" in shown[0]
    assert shown[1] == ""


def test_a_dry_run_needs_no_out_and_a_run_of_other_settings_is_told(
    clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What differs stands as `pairs.gap: 1 -> 2`, with what to do; settings that do not differ are not named."""
    settings, run = tmp_path / "small.yaml", tmp_path / "run"
    settings.write_text(dump_yaml({**to_dict(CONFIG), "steps": 2}))
    command = ["train", str(clips), "--config", str(settings), "--no-progress"]
    assert main([*command, "--dry-run"]) == 0
    assert "next: the same command with --out RUN and without --dry-run" in capsys.readouterr().out
    assert main([*command, "--out", str(run)]) == 0
    capsys.readouterr()
    other = [*command, "--out", str(run), "--optim.lr", "0.5"]
    for ways in ([], ["--resume"]):
        assert main([*other, *ways]) == 1
        error = capsys.readouterr().err
        assert f"other settings: optim.lr: {CONFIG.optim.lr} -> 0.5; " in error
        assert "choose another folder" in error
        assert "pairs" not in error
    assert main([*command, "--out", str(run)]) == 1
    assert "resume continues it" in capsys.readouterr().err
