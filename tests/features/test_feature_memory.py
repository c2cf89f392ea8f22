"""Memory of an extraction does not grow with the length of a video."""

from __future__ import annotations

import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.extracting import scan_of, take
from helpers.painted import write_painted

import seqff.features.decoding as decoding
from seqff.features.describe import FrameDescriber

FRAMES = 3000
STATM = Path("/proc/self/statm")


@pytest.fixture(scope="module")
def long_video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Manifest of a video of 3000 frames, 14 MB as the encoder wants them."""
    folder = tmp_path_factory.mktemp("long")
    (folder / "videos").mkdir()
    write_painted(folder / "videos/long.avi", frames=FRAMES, codec="mpeg4", size=(48, 72), options={"g": "250"})
    return scan_of(folder / "videos", folder)


@pytest.mark.skipif(not STATM.exists(), reason="this system does not show the memory in /proc")
@pytest.mark.parametrize("per", ["frame", "clip", "video"])
def test_memory_is_flat(run: Path, long_video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, per: str) -> None:
    """From a sixth of a long video to its end less than 5 MB are added, though frames take 14 MB and rows 17 MB."""
    megabytes: list[float] = []
    original: Callable[..., Any] = FrameDescriber.__call__

    def noting(self: FrameDescriber, frames: np.ndarray) -> Any:
        megabytes.append(int(STATM.read_text().split()[1]) * resource.getpagesize() / 1e6)
        return original(self, frames)

    monkeypatch.setattr(FrameDescriber, "__call__", noting)
    monkeypatch.setattr(decoding, "AHEAD_BYTES", 2**20)
    options = {
        "baselines": (),
        "grid": 16,
        "batch_frames": 64,
        "clip_stride": 1,
        "clip_frames": 2,
    }  # 1408 numbers a frame
    store = take(run, long_video, tmp_path / "store", per=per, **options)
    assert len(store) == {"frame": FRAMES, "clip": FRAMES - 1, "video": 1}[per]
    assert len(megabytes) == 47
    assert max(megabytes) - max(megabytes[:8]) < 5
