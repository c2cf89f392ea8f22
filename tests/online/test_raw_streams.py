"""Streams without timestamps: training takes its steps and ends as on any other stream."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from helpers.painted import write_painted
from helpers.streams import stream_config

from seqff.train import train


@pytest.mark.parametrize("b_frames", [0, 2])
@pytest.mark.parametrize("fps", [0.0, 10.0])
def test_a_training_by_seconds_on_raw_h264(tmp_path: Path, b_frames: int, fps: float) -> None:
    """Distances in seconds are there, by the rate of the stream or the one given, so that pairs are found."""
    path = write_painted(tmp_path / "a.h264", frames=400, rate=20, b_frames=b_frames, size=(32, 32))
    config = stream_config(live={"fps": fps})
    pairs = replace(config.pairs, gap="0.05s" if not fps else "0.1s", far="0.5s")
    run = train(stream=path, out=tmp_path / "run", config=replace(config, pairs=pairs, steps=5), progress=False)
    assert len((run.path / "metrics.jsonl").read_text().splitlines()) == 5
