"""Every step suggests a next command that works, and every error is one line."""

from __future__ import annotations

import importlib
import shlex
from collections.abc import Sequence
from pathlib import Path

import pytest

from seqff.cli import main
from seqff.config_io import dump_yaml, to_dict


def next_of(out: str) -> list[str]:
    """The command on the last line, without `seqff`."""
    last = out.splitlines()[-1]
    assert last.startswith("next: seqff "), last
    return shlex.split(last)[2:]


def test_each_step_names_the_next(clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """From scan to report only names have to be filled in, and every line given that way works."""
    from helpers.small_runs import CONFIG

    settings = tmp_path / "small.yaml"
    settings.write_text(dump_yaml({**to_dict(CONFIG), "steps": 2}))
    names = {"RUN": "run", "FEATURES": "features", "PROBE": "probe", "page.html": "page.html"}
    command = ["scan", str(clips)]
    taken = []
    while True:
        filled = [str(tmp_path / names[word]) if word in names else word for word in command]
        filled += ["--config", str(settings)] if filled[0] == "train" else []
        assert main([*filled, "--no-progress"]) == 0
        taken.append(filled[0])
        out = capsys.readouterr().out
        if filled[0] == "report":
            break
        command = next_of(out)
    assert taken == ["scan", "train", "extract", "probe", "report"]
    assert (tmp_path / "page.html").exists()


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (RuntimeError("two\nlines"), "unexpected RuntimeError: two lines; this should not happen: --debug"),
        (MemoryError(), "out of memory"),
    ],
)
def test_what_nobody_foresaw_is_one_line_too(
    error: Exception, words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 1 and a line that says how to see more; with --debug the trace."""

    def fail(arguments: Sequence[str]) -> None:
        raise error

    monkeypatch.setattr(importlib.import_module("seqff.cli.doctor"), "run", fail)
    assert main(["doctor"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("seqff doctor: error: ")
    assert words in line
    with pytest.raises(type(error)):
        main(["doctor", "--debug"])
