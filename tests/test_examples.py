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

EXAMPLES = sorted((Path(__file__).resolve().parents[1] / "examples").glob("*.py"))


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
