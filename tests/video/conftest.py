"""Painted clips in codecs and containers that mislead readers, made once per session, some served at addresses."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from helpers.painted import cut_by_copy, has_encoder, write_painted
from helpers.serving import NAMES, Served, serving

from seqff.video import Manifest, scan
from seqff.video.remote import filesystem

OPEN_GOP = {"x264-params": "open-gop=1:scenecut=0"}
X265 = {"x265-params": "log-level=none:pools=1:frame-threads=1"}


@pytest.fixture(scope="session")
def painted_clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of painted clips; those whose encoder is not there are left out."""
    folder = tmp_path_factory.mktemp("clips")
    times = np.cumsum(np.random.default_rng(0).integers(10, 90, 60)).tolist()
    write_painted(folder / "b_frames.mp4", b_frames=2)
    write_painted(
        folder / "pyramid.mkv", b_frames=3, key_every=40, options={"x264-params": "b-pyramid=normal:scenecut=0"}
    )
    write_painted(folder / "open_gop.mp4", b_frames=3, options=OPEN_GOP)
    write_painted(folder / "open_gop.mkv", b_frames=3, options=OPEN_GOP)
    write_painted(folder / "intra_refresh.mp4", options={"x264-params": "intra-refresh=1:scenecut=0"})
    write_painted(folder / "b_frames.ts", b_frames=2)
    write_painted(folder / "open_gop.ts", b_frames=3, options=OPEN_GOP)
    write_painted(folder / "mpeg2.mpg", codec="mpeg2video", b_frames=2)
    write_painted(folder / "asp.avi", codec="mpeg4", b_frames=2)
    write_painted(folder / "asp.mp4", codec="mpeg4", b_frames=2)
    write_painted(folder / "mjpeg.avi", codec="mjpeg", pixels="yuvj420p")
    write_painted(folder / "variable.mp4", b_frames=2, milliseconds=times)
    write_painted(folder / "variable.mkv", b_frames=2, milliseconds=times)
    for turn in (90, 180, 270):
        write_painted(folder / f"turned_{turn}.mp4", rotation=turn)
    if has_encoder("libx265"):
        write_painted(folder / "hevc.mp4", codec="libx265", b_frames=4, options=X265)
    if has_encoder("libvpx-vp9"):
        write_painted(folder / "vp9.webm", codec="libvpx-vp9", options={"deadline": "realtime", "cpu-used": "8"})
    cut_by_copy(folder / "b_frames.mp4", folder / "cut_17.mp4", first=17)
    cut_by_copy(folder / "open_gop.mp4", folder / "cut_27_open_gop.mp4", first=27)
    return folder


@pytest.fixture(scope="session")
def manifest(painted_clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """The scan of `painted_clips`."""
    return scan(painted_clips, out=tmp_path_factory.mktemp("scan") / "manifest.json", workers=1, progress=False)


@pytest.fixture(scope="session")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of three painted clips of different lengths."""
    folder = tmp_path_factory.mktemp("videos")
    for number, name in enumerate(NAMES):
        (folder / name).parent.mkdir(exist_ok=True)
        write_painted(folder / name, frames=24 + number)
    (folder / "walk" / "notes.txt").write_text("no video")
    return folder


@pytest.fixture
def downloads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A download cache of its own for each test, and no waiting between attempts."""
    monkeypatch.setenv("SEQFF_DOWNLOADS", str(tmp_path / "downloads"))
    monkeypatch.delenv("SEQFF_DOWNLOADS_GB", raising=False)
    monkeypatch.setattr(filesystem, "WAITS_SECONDS", (0.0, 0.0, 0.0))
    return tmp_path / "downloads"


@pytest.fixture
def bucket(videos: Path) -> Iterator[str]:
    """The folder in fsspec's memory filesystem."""
    fsspec = pytest.importorskip("fsspec", reason="fsspec is not installed: pip install 'seqff[remote]'")
    store = fsspec.filesystem("memory")
    for file in videos.rglob("*.*"):
        store.pipe_file(f"/bucket/{file.relative_to(videos).as_posix()}", file.read_bytes())
    yield "memory://bucket"
    store.store.clear()
    store.pseudo_dirs[:] = [""]


@pytest.fixture
def server(videos: Path) -> Iterator[Served]:
    """The folder on a web server."""
    with serving(videos) as served:
        yield served
