"""Damaged, foreign, tiny and odd files: a defined status and a cause, never silently short, no crash."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from helpers.painted import read_numbers, write_painted

from seqff.errors import VideoError
from seqff.video import open_video, scan
from seqff.video.examine import examine

FOLDER = Path(__file__).resolve().parents[2] / "../shared/data/bad_inputs"
EXPECTED = {  # status, frames, part of the cause
    "anim.gif": ("ok", 10, ""),
    "audio_longer.mp4": ("ok", 25, ""),
    "audio_only.mp4": ("no_video", 0, "only audio"),
    "bitflip_mid.mp4": ("damaged", 89, "damaged at frame 89"),
    "gray.mp4": ("ok", 25, ""),
    "image.png": ("too_short", 1, "at least 2"),
    "näme with space 日本.mp4": ("ok", 300, ""),
    "one_frame.mp4": ("too_short", 1, "at least 2"),
    "png_named.mp4": ("too_short", 1, "at least 2"),
    "random_bytes.mp4": ("unreadable", 0, "Invalid data"),
    "res_change.ts": ("ok", 50, "changes its size at frame 25"),
    "start_nonkey.ts": ("damaged", 25, "starts inside a group"),
    "ten_bit.mp4": ("ok", 25, ""),
    "text.mp4": ("unreadable", 0, "moov atom not found"),
    "tiny_8x6.mp4": ("ok", 25, ""),
    "trunc.avi": ("damaged", 180, "damaged at frame 180"),
    "trunc.mkv": ("damaged", 177, "declares 12.00 s"),
    "trunc_faststart.mp4": ("damaged", 176, "damaged at frame 176"),
    "trunc_moov_at_end.mp4": ("unreadable", 0, "moov atom not found"),
    "two_frames.mp4": ("ok", 2, ""),
    "zero_byte.mp4": ("unreadable", 0, "empty"),
    "zeroed_mid.mp4": ("damaged", 120, "damaged at frame 120"),
}


@pytest.mark.skipif(not FOLDER.is_dir(), reason=f"the bad inputs are not at {FOLDER}")
def test_the_collection(tmp_path: Path) -> None:
    """Each file of the collection has its status and cause; what is kept of damaged ones is sound."""
    found = scan(list(FOLDER.iterdir()), out=tmp_path / "m.json", max_bad=1, workers=1, progress=False)
    seen = {entry.path: (entry.status, entry.frames, entry.cause) for entry in found}
    assert {path: row[:2] for path, row in seen.items()} == {path: row[:2] for path, row in EXPECTED.items()}
    assert not [path for path, row in EXPECTED.items() if row[2] not in seen[path][2]]
    for entry in found:
        if entry.frames:
            with open_video(found.path(entry), entry=entry) as video:
                frames = video.clip(0, entry.frames)
                if (entry.height, entry.width) == (192, 256):  # these are painted
                    assert read_numbers(frames) == list(range(entry.frames)), entry.path
                with pytest.raises(IndexError):
                    video.at([entry.frames])
        else:
            with pytest.raises(VideoError, match=entry.status):
                open_video(found.path(entry))


def test_paths_that_are_no_files(tmp_path: Path) -> None:
    """A dangling link and a folder named like a video are unreadable videos, found and named."""
    write_painted(tmp_path / "good.mp4", frames=5)
    (tmp_path / "folder.mp4").mkdir()
    (tmp_path / "link.mp4").symlink_to(tmp_path / "gone.mp4")
    os.mkfifo(tmp_path / "pipe.mp4")
    found = scan(tmp_path, out=tmp_path / "m.json", max_bad=1, workers=1, progress=False)
    assert {entry.path: entry.status for entry in found} == {
        "folder.mp4": "unreadable",
        "good.mp4": "ok",
        "link.mp4": "unreadable",
        "pipe.mp4": "unreadable",
    }
    assert all(entry.cause for entry in found.bad)
    with pytest.raises(FileNotFoundError):
        open_video(tmp_path / "gone.mp4")
    with pytest.raises(VideoError):
        open_video(tmp_path / "folder.mp4")


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="files of others are a matter of POSIX")
def test_a_file_one_may_not_read(painted_clips: Path) -> None:
    """A file without permission is unreadable, with that as its cause."""
    code = (
        "import os, pathlib, sys; from seqff.video.examine import examine; os.getuid() or os.seteuid(65534);"
        "entry = examine(pathlib.Path(sys.argv[1])); print(entry.status, entry.cause)"
    )  # root may read everything, so it becomes nobody
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mine.mp4"
        path.write_bytes((painted_clips / "asp.mp4").read_bytes())
        Path(folder).chmod(0o755)
        path.chmod(0)
        asked = [sys.executable, "-c", code, str(path)]
        root = Path(__file__).resolve().parents[2]
        done = subprocess.run(asked, capture_output=True, text=True, check=True, cwd=root)
    assert done.stdout.strip() == "unreadable Permission denied"


def test_absurd_dimensions_are_refused_before_memory_is_taken(tmp_path: Path) -> None:
    """A header that claims 10 000 x 10 000 px is not believed."""
    path = write_painted(tmp_path / "a.avi", frames=4, codec="rawvideo")
    data = path.read_bytes()
    claim = data.index(b"strf") + 12
    path.write_bytes(data[:claim] + struct.pack("<ii", 10_000, 10_000) + data[claim + 8 :])
    entry = examine(path)
    assert (entry.status, "10000 x 10000" in entry.cause) == ("unreadable", True)
    np.save(tmp_path / "b.npy", np.zeros((2, 4, 4), np.uint8))
    header = (tmp_path / "b.npy").read_bytes().replace(b"(2, 4, 4), }        ", b"(2, 99999, 99999), }")
    (tmp_path / "b.npy").write_bytes(header)
    assert examine(tmp_path / "b.npy").status == "unreadable"


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv", "clip.avi", "clip.ts"])
@pytest.mark.parametrize("share", [0.3, 0.7, 0.9, 0.99])
def test_cut_files_never_pass_for_short_ones(tmp_path: Path, name: str, share: float) -> None:
    """A file cut short is damaged or unreadable, and the frames that are kept are the right ones."""
    options = {"movflags": "faststart"} if name.endswith("mp4") else {}
    write_painted(tmp_path / name, frames=200, b_frames=2, container_options=options, size=(96, 128))
    data = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(data[: int(len(data) * share)])
    entry = examine(tmp_path / name)
    if entry.frames < 200 and not name.endswith("ts"):  # nothing in a .ts says how long it should be
        assert entry.status in ("damaged", "unreadable")
    if entry.frames:
        with open_video(tmp_path / name, entry=entry) as video:
            times = entry.times_seconds - entry.times_seconds[0]
            assert read_numbers(video.clip(0, entry.frames)) == np.rint(times * 25).astype(int).tolist()


def test_damaged_images_and_arrays(tmp_path: Path) -> None:
    """A folder of images ends before its first damaged image; a cut array is unreadable."""
    import cv2

    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(6):
        cv2.imwrite(str(folder / f"{number}.jpg"), np.full((16, 16, 3), 20 * number, np.uint8))
    data = (folder / "4.jpg").read_bytes()
    (folder / "4.jpg").write_bytes(data[: len(data) // 2])
    entry = examine(folder)
    assert (entry.status, entry.frames, "4.jpg" in entry.cause) == ("damaged", 4, True)
    np.save(tmp_path / "a.npy", np.zeros((5, 8, 8, 3), np.uint8))
    (tmp_path / "a.npy").write_bytes((tmp_path / "a.npy").read_bytes()[:-10])
    assert examine(tmp_path / "a.npy").status == "unreadable"
    np.save(tmp_path / "b.npy", np.zeros((5, 8, 8, 3), np.float32))
    assert "uint8" in examine(tmp_path / "b.npy").cause
