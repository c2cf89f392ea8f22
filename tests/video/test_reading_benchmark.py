"""The benchmark of reading runs from start to end on small clips; its figures are not judged here."""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
from pathlib import Path
from types import ModuleType

import pytest
from helpers.painted import write_painted

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "reading.py"


@pytest.fixture
def reading(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script."""
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    monkeypatch.setattr(shutil, "which", lambda name: None)  # ffmpeg need not be there, and its start takes a while
    spec = importlib.util.spec_from_file_location("reading", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    return module


def test_scans_are_compared_with_those_of_another_checkout(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], reading: ModuleType
) -> None:
    """Both scan the folder and many tiny files; here the other checkout is this one."""
    write_painted(tmp_path / "a.mp4", frames=4)
    asked = ["--sections", "scan", "--tiny-files", "2", "--repeats", "1", "--against", str(SCRIPT.parents[1])]
    assert reading.main([str(tmp_path), *asked]) == 0
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| scan, speed")]
    assert len(rows) == 2


def test_every_section_gives_its_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str], reading: ModuleType) -> None:
    """Clips are made, rows come out in Markdown and JSON, and a tool that is not there is named."""
    small = ["--widths", "64", "--frames", "40", "--repeats", "1", "--visits", "16"]
    sections = ["--sections", "whole", "pairs", "cache", "memory"]
    assert reading.main([*small, *sections, "--json", str(tmp_path / "r.json")]) == 0
    lines = capsys.readouterr().out.splitlines()
    rows = json.loads((tmp_path / "r.json").read_text())["rows"]
    assert len(lines) == len(rows) + 2
    assert any(row["note"] == "ffmpeg is not there" for row in rows)
    measured = {row["what"] for row in rows if row["ratio"] is not None}
    assert {"pairs/s, u8 cache, collated", "memory, MB over 16 visits", "CPU a pair, batches"} <= measured
