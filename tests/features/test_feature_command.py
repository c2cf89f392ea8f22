"""`seqff extract`: its options reach the store, and it reports what it did and skipped."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from helpers.extracting import scan_of

from seqff.cli import main
from seqff.features import FeatureStore


@pytest.fixture
def videos(clips: Path, tmp_path: Path) -> Path:
    """Manifest of a sound video and a text file."""
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos/a.avi").write_bytes((clips.parent / "videos/run/a.avi").read_bytes())
    (tmp_path / "videos/text.mp4").write_text("no video")
    return scan_of(tmp_path / "videos", tmp_path, max_bad=1)


def test_options_and_skipped_files(run: Path, videos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Windows, whole maps, one statistic and fp16 are asked for by flags; what is skipped is printed with its cause."""
    arguments = ["extract", str(run), str(videos), "--out", str(tmp_path / "store"), "--max-bad", "0.5"]
    arguments += ["--device", "cpu", "--no-progress", "--per", "clip", "--clip-frames", "5", "--clip-stride", "8"]
    arguments += ["--grid", "full", "--statistics", "mean", "--dtype", "fp16", "--baselines", "untrained"]
    assert main(arguments) == 0
    said = capsys.readouterr().out
    assert "skipped text.mp4: " in said
    assert f"layer1               3 rows of {4 * 16 * 24}" in said
    store = FeatureStore.open(tmp_path / "store")
    assert store.index.frame.tolist() == [0, 8, 16]
    assert str(store.array("untrained/layer2").dtype) == "float16"
    assert main([*arguments, "--resume", "--json"]) == 0
    assert list(json.loads(capsys.readouterr().out)["skipped"]) == ["text.mp4"]


def test_a_share_says_that_others_are_at_work(
    run: Path, clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A rank that is not the last ends well and says so; the last says what was written."""
    arguments = ["extract", str(run), str(clips), "--out", str(tmp_path / "store"), "--device", "cpu", "--no-progress"]
    assert main([*arguments, "--world-size", "2", "--rank", "1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["finished"] is False
    assert main([*arguments, "--world-size", "2", "--rank", "0"]) == 0
    assert "written: " in capsys.readouterr().out
