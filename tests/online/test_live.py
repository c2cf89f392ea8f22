"""Live sources: read once, frame by frame."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import numpy as np
import pytest
from helpers.painted import read_numbers, write_painted

from seqff.errors import VideoError
from seqff.online import open_live


def test_a_pipe(tmp_path: Path) -> None:
    """Frames come out of a named pipe in order, with their times, while the other side still writes."""
    clip = write_painted(tmp_path / "clip.ts", frames=40, rate=20)
    data, pipe, go_on = clip.read_bytes(), tmp_path / "pipe", threading.Event()
    os.mkfifo(pipe)

    def send() -> None:
        with pipe.open("wb") as file:
            file.write(data[: len(data) * 3 // 4])
            file.flush()
            go_on.wait(60)
            file.write(data[len(data) * 3 // 4 :])

    sender = threading.Thread(target=send, daemon=True)
    sender.start()
    with open_live(pipe, size=(24, 32)) as frames:
        first = next(frames)
        go_on.set()
        seen = [first, *frames]
    sender.join()
    assert [frame.number for frame in seen] == list(range(40))
    assert read_numbers(np.stack([frame.image for frame in seen])) == list(range(40))
    np.testing.assert_allclose(np.diff([frame.time_seconds for frame in seen]), 0.05, atol=0.001)


def test_an_open_file_and_a_turned_clip(tmp_path: Path) -> None:
    """An open binary file is a source too, and frames stand upright."""
    path = write_painted(tmp_path / "clip.mkv", frames=6, rotation=90)
    with path.open("rb") as file, open_live(file) as frames:
        assert [frame.image.shape for frame in frames] == [(64, 48, 3)] * 6


def test_sources_that_are_not_there(tmp_path: Path) -> None:
    """What cannot be opened is a VideoError with its cause; arguments are checked first."""
    (tmp_path / "text.mp4").write_text("no video")
    for source in (tmp_path / "gone.mp4", tmp_path / "text.mp4", "http://127.0.0.1:9/video"):
        with pytest.raises(VideoError, match="live"):
            open_live(source, timeout_seconds=2)
    with pytest.raises(VideoError, match="no such camera"):
        open_live(99)
    with pytest.raises(ValueError, match="timeout_seconds"):
        open_live("x", timeout_seconds=0)
    with pytest.raises(ValueError, match="8192"):
        open_live("x", size=(0, 0))


@pytest.mark.parametrize(("name", "codec"), [("a.h264", "libx264"), ("b.h264", "libx264"), ("c.m4v", "mpeg4")])
@pytest.mark.parametrize("way", ["file", "pipe", "open file"])
def test_raw_streams_have_times_by_their_rate(tmp_path: Path, name: str, codec: str, way: str) -> None:
    """Frames whose stream bears no times are counted by its rate, or by the one that is given, and come to an end."""
    path = write_painted(tmp_path / name, frames=20, rate=20, codec=codec, b_frames=2 if name == "b.h264" else 0)
    source: object = path
    if way == "pipe":
        source = tmp_path / "pipe"
        os.mkfifo(tmp_path / "pipe")
        threading.Thread(target=lambda: (tmp_path / "pipe").write_bytes(path.read_bytes()), daemon=True).start()
    opened = path.open("rb")
    with opened, open_live(opened if way == "open file" else source) as frames:  # type: ignore[arg-type]
        seen = list(frames)
    assert read_numbers(np.stack([frame.image for frame in seen])) == list(range(20))
    steps = np.diff([frame.time_seconds for frame in seen])
    if codec == "libx264":  # the rate stands in the stream
        np.testing.assert_allclose(steps, 0.05)
        with open_live(path, fps=50) as frames:
            np.testing.assert_allclose(np.diff([frame.time_seconds for frame in frames]), 0.02)
    assert (steps > 0).all()
