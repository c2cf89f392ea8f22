"""The examples run."""

from __future__ import annotations

import runpy
import sys
import tempfile
from pathlib import Path
from unittest.mock import patch

import pytest
import torch

from seqff.objectives import OBJECTIVES
from seqff.pairs.synthetic import ClipSettings, write_digit_clips

FOLDER = Path(__file__).resolve().parents[1] / "examples"
EXAMPLES = sorted(path for path in FOLDER.glob("*.py") if path.stem != "tiny")


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each example ends without an error, and without a warning, on the clips it makes itself.

    In this process: starting another one takes longer than most examples.
    """
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(sys, "argv", [str(path)])
    with patch.dict(OBJECTIVES), torch.random.fork_rng(devices=[]):  # what examples add and draw stays theirs
        runpy.run_path(str(path), run_name="__main__")
    assert "layer1" in capsys.readouterr().out


def test_the_whole_way_in_one_file(tmp_path: Path) -> None:
    """examples/tiny.py, plain torch without seqff, at most 200 lines: its layers end above themselves untrained."""
    text = (FOLDER / "tiny.py").read_text(encoding="utf-8")
    assert "import seqff" not in text
    assert len(text.splitlines()) <= 200
    write_digit_clips(tmp_path, clips=200, settings=ClipSettings(background="none", frames=16), progress=False)
    with torch.random.fork_rng(devices=[]):
        trained, untrained = runpy.run_path(str(FOLDER / "tiny.py"))["main"](tmp_path, steps=60)
    assert max(trained) > max(untrained) + 0.05
    assert sum(trained) > sum(untrained)
