"""Bugs of FFmpeg and PyAV, and crashing decoders: sound files are still read, and the right file is blamed."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.bytes_of import remux, with_exif, with_profile
from helpers.painted import has_encoder, numbers, paint, write_painted

from seqff.online import open_live
from seqff.video import open_video, scan
from seqff.video.examine import examine
from seqff.video.workers import Worker

KILLER = """
import os, signal, sys, av
opened, before = av.open, []
def open_and_die(path, *rest, **how):
    name = os.path.basename(str(path))
    if name.startswith("deadly") or (before and name not in before):
        os.kill(os.getpid(), signal.SIGSEGV)
    if name.startswith("spoils"):
        seen = str(path).removeprefix("file:") + ".seen"
        if os.path.exists(seen) and name.startswith("spoils_often") and not before:
            os.kill(os.getpid(), signal.SIGSEGV)
        open(seen, "w").close()
        before.append(name)
    return opened(path, *rest, **how)
av.open = open_and_die
"""


@pytest.mark.parametrize("name", ["a.avi", "a.mov", "a.mkv"])
@pytest.mark.parametrize(("held", "turn"), [(1, 0), (6, 90), (3, 180), (2, 0)])
def test_notes_of_cameras_in_motion_jpeg(tmp_path: Path, name: str, held: int, turn: int) -> None:
    """Pictures with EXIF, whose kind PyAV does not know, are read, and turned as FFmpeg says (7.2 and later do)."""
    source = write_painted(tmp_path / "a.mkv", codec="mjpeg", pixels="yuvj420p", frames=10)
    path = remux(source, tmp_path / f"noted{name}", data=lambda jpeg: with_exif(jpeg, held))
    entry = examine(path)
    assert (entry.status, entry.cause, entry.frames) == ("ok", "", 10)
    assert entry.rotation_degrees in (0, turn) or held == 2
    if entry.orientation in ((1, 0, 0, 1), (0, 1, -1, 0), (-1, 0, 0, -1)):  # numbers are read turned back, not mirrored
        with open_video(path, entry=entry) as video:
            assert numbers(video.at([9, 2]), entry) == [9, 2]
    with open_live(path) as stream:
        assert len(list(stream)) == 10


@pytest.mark.parametrize("name", ["a.mov", "a.avi"])
def test_color_profiles_do_not_end_the_process(tmp_path: Path, name: str) -> None:
    """PNG pictures with a color profile are read a hundred times in one process, which lives."""
    source = write_painted(tmp_path / "plain.mov", codec="png", pixels="rgb24", frames=5)
    path = remux(source, tmp_path / f"profile_{name}", data=with_profile)
    code = (
        "import sys, pathlib; from seqff.video.examine import examine\n"
        "for _ in range(100): print(examine(pathlib.Path(sys.argv[1])).frames)"
    )
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, cwd=root)
    assert (done.returncode, done.stdout.split()) == (0, ["5"] * 100)


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_the_display_matrix_is_read_beside_other_data(tmp_path: Path, rotation: int) -> None:
    """Closed captions, timecodes or notes beside the matrix do not hide it."""
    entry = examine(write_painted(tmp_path / "a.mp4", rotation=rotation, frames=5, b_frames=1))
    assert entry.rotation_degrees == 360 - rotation
    if has_encoder("libx265"):
        path = write_painted(
            tmp_path / "hdr.mp4",
            codec="libx265",
            rotation=rotation,
            frames=5,
            options={
                "x265-params": "log-level=none:pools=1:frame-threads=1:max-cll=1000,400:"
                "master-display=G(1,1)B(2,2)R(3,3)WP(4,4)L(5,1)"
            },
        )
        assert examine(path).rotation_degrees == 360 - rotation


@pytest.fixture
def killer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Worker]:
    """A worker whose process dies of some files: of "deadly" ones at once, of "spoils" ones at the file after."""
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(KILLER)
    monkeypatch.setenv("PYTHONPATH", f"{folder}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    worker = Worker(timeout_seconds=60)
    yield worker
    worker.close()


def test_a_deadly_file_is_named_and_its_neighbours_are_not(killer: Worker, tmp_path: Path) -> None:
    """A file of which the decoder dies is unreadable for that; those before and after it are sound."""
    for name in ("a.mp4", "deadly.mp4", "z.mp4"):
        write_painted(tmp_path / name, frames=5)
    found = {name: killer.examine(tmp_path / name) for name in ("a.mp4", "deadly.mp4", "z.mp4")}
    assert [entry.status for entry in found.values()] == ["ok", "unreadable", "ok"]
    assert "crashed" in found["deadly.mp4"].cause


def test_a_neighbour_is_not_blamed(killer: Worker, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A file at which a process died of what came before it is read alone, and is sound; it is said."""
    for name in ("a.mp4", "spoils.mp4", "z.mp4"):
        write_painted(tmp_path / name, frames=5)
    with caplog.at_level(logging.WARNING, "seqff.video"):
        found = [killer.examine(tmp_path / name).status for name in ("a.mp4", "spoils.mp4", "z.mp4")]
    assert (found, killer.taken_back) == (["ok", "ok", "ok"], [])
    assert "sound when read alone" in caplog.text


def test_the_culprit_is_found_among_those_before(killer: Worker, tmp_path: Path) -> None:
    """Of a scan, the file that spoilt the process is unreadable in the manifest, though it was read without a word."""
    root = tmp_path / "videos"
    root.mkdir()
    for name in ("a.mp4", "spoils_often.mp4", "z.mp4"):
        write_painted(root / name, frames=5)
    found = scan(root, out=tmp_path / "m.json", workers=1, max_bad=0.5, progress=False)
    assert {entry.path: entry.status for entry in found} == {
        "a.mp4": "ok",
        "spoils_often.mp4": "unreadable",
        "z.mp4": "ok",
    }


def test_a_picture_with_a_profile_in_a_folder(tmp_path: Path) -> None:
    """Numbered PNG pictures with a color profile are read as well."""
    import cv2

    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(4):
        (folder / f"{number}.png").write_bytes(with_profile(cv2.imencode(".png", paint(number))[1].tobytes()))
    assert (examine(folder).status, examine(folder).frames) == ("ok", 4)
