"""The demo runs the whole pipeline and keeps all its results."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import seqff
from seqff.errors import RunError
from seqff.pairs.synthetic import ClipSettings, write_digit_clips


def test_the_demo_leaves_clips_run_features_and_results(tmp_path: Path) -> None:
    """A tiny demo: same steps as the real one; a second one does not overwrite it unasked."""
    folder = tmp_path / "demo"
    done = seqff.demo(out=folder, clips=40, steps=2, progress=False)
    assert done.path == folder
    assert len(list(folder.glob("videos/digit_*/*.mp4"))) == 40
    assert [layer["name"] for layer in json.loads((folder / "probe" / "results.json").read_text())["layers"]]
    assert (folder / "manifest.sqlite").exists()
    with pytest.raises(RunError, match="overwrite deletes it"):
        seqff.demo(out=folder, clips=40, steps=2, progress=False)


def test_a_folder_that_is_no_demo_is_never_replaced(tmp_path: Path) -> None:
    """--overwrite deletes an earlier demo only, not a folder of somebody's videos."""
    mine = tmp_path / "videos" / "mine.mp4"
    mine.parent.mkdir()
    mine.write_bytes(b"...")
    with pytest.raises(RunError, match="nothing was touched"):
        seqff.demo(out=tmp_path, overwrite=True, progress=False)
    assert mine.exists()


def test_digit_clips_are_labelled_evenly_and_repeatable(tmp_path: Path) -> None:
    """Each class gets its share, each clip a digit image of its own; the same seed writes the same files."""
    settings = ClipSettings(size_px=32, frames=4, object_px=20)
    one = write_digit_clips(tmp_path / "one", clips=30, settings=settings, progress=False)
    two = write_digit_clips(tmp_path / "two", clips=30, settings=settings, progress=False)
    assert sorted(path.parent.name for path in one) == sorted([f"digit_{d}" for d in range(10)] * 3)
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in two]
    with pytest.raises(ValueError, match=r"1\.\.1797"):
        write_digit_clips(tmp_path, clips=2000, progress=False)
