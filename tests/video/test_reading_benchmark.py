"""The benchmark of reading runs on small clips; its numbers are not checked here."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from benchmarks import reading


def test_every_section_gives_its_rows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clips are made, rows come out in Markdown and JSON, and a tool that is not there is named."""
    monkeypatch.setattr(shutil, "which", lambda name: None)  # ffmpeg need not be there, and its start takes a while
    small = ["--widths", "64", "--frames", "40", "--repeats", "1", "--visits", "16"]
    sections = ["--sections", "whole", "pairs", "cache", "memory"]
    assert reading.main([*small, *sections, "--json", str(tmp_path / "r.json")]) == 0
    lines = capsys.readouterr().out.splitlines()
    rows = json.loads((tmp_path / "r.json").read_text())["rows"]
    assert len(lines) == len(rows) + 2
    assert any(row["note"] == "ffmpeg is not there" for row in rows)
    measured = {row["what"] for row in rows if row["ratio"] is not None}
    assert {"pairs/s, u8 cache, collated", "memory, MB over 16 visits", "CPU a pair, batches"} <= measured
