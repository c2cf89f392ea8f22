"""Nothing is skipped silently: what looks like a video is read, everything else is counted or named."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from helpers.painted import has_encoder, write_painted
from helpers.picture_folders import pictures, quick, seen, write_stack

from seqff.cli import main
from seqff.video import Manifest
from seqff.video.find import find_videos

_CODECS = {
    **{".mpg": "mpeg2video", ".m2v": "mpeg2video", ".y4m": "rawvideo", ".wmv": "wmv2", ".hevc": "libx265"},
    **{".ivf": "libvpx-vp9", ".obu": "libsvtav1", ".flv": "flv", ".nut": "mpeg4"},
}
"""Encoders by ending, where they are not libx264."""


@pytest.mark.parametrize(
    "names",
    [
        [f"IMG ({n}).jpg" for n in range(12)],
        [f"{n:04d}_rgb.jpg" for n in range(3)],
        [f"t_{n}.jpg" for n in (0.5, 1.5, 2.25, 10.5)],
        [f"t_{n / 50 + 0.96:.2f}.png" for n in range(6)],
        [f"shot1.{n}.png" for n in (8, 9, 10, 11)],
        [f"view_{n}_of_12.png" for n in range(9, 12)],
        [f"{n}_{1_600_000_000 + 40 * n}.jpg" for n in range(8, 12)],
        [f"20230131{n:06d}.jpg" for n in (58, 59, 60, 61, 100)],
        [f"2023-01-31_23-59-{n}.jpg" for n in (57, 58, 59)] + ["2023-02-01_00-00-00.jpg"],
        ["cam_1.JPG", "cam_2.jpg", "cam_10.Jpg"],
        ["0.jpe", "1.jpe"],
    ],
)
def test_pictures_are_read_in_the_order_of_their_number(tmp_path: Path, names: list[str]) -> None:
    """Brackets, suffixes, decimals, shots, times of day: one number counts the pictures, wherever it stands."""
    found = quick(pictures(tmp_path / "v", names), tmp_path / "m.json")
    assert seen(found) == {"v": list(range(len(names)))}
    assert not found.skipped


@pytest.mark.parametrize(
    ("names", "videos"),
    [
        (["camA_0.jpg", "camA_1.jpg", "camB_0.jpg", "camB_1.jpg"], ["camA_%d.jpg", "camB_%d.jpg"]),
        (
            [f"obj{o}__{n}.png" for o in (1, 2, 10) for n in (0, 5, 10)],
            ["obj10__%d.png", "obj1__%d.png", "obj2__%d.png"],
        ),
        ([f"shot0{s}.000{n}.png" for s in (1, 2) for n in (1, 2, 3)], ["shot01.%d.png", "shot02.%d.png"]),
        (["100%d_0.png", "100%d_1.png", "a0.bmp", "a1.bmp"], ["100%d_%d.png", "a%d.bmp"]),
    ],
)
def test_each_prefix_is_a_video(tmp_path: Path, names: list[str], videos: list[str]) -> None:
    """Pictures of several cameras or objects in one folder are a video each, and each can be given by its name."""
    folder = pictures(tmp_path / "v", names)
    found = quick(folder, tmp_path / "m.json")
    assert [entry.path for entry in found] == videos
    first = len(names) // len(videos)
    assert sorted(seen(found).values()) == [[*range(n, n + first)] for n in range(0, len(names), first)]
    assert quick(folder / videos[0], tmp_path / "one.json").entries[0].frames == first
    with pytest.raises(FileNotFoundError, match="camC_"):
        find_videos(folder / "camC_%d.jpg")
    (listed,) = quick([folder], tmp_path / "list.json")
    assert "numbered sequences: give one of them" in listed.cause


def test_what_stands_beside_pictures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Covers, sub-folders and masks do not hide the pictures; masks are never read instead; the rest is named."""
    root = tmp_path / "videos"
    numbered = [f"f_{n:04d}.jpg" for n in range(3)]
    pictures(root / "cover", [*numbered, "folder.jpg"])
    pictures(root / "sub", numbered)
    (root / "sub" / "empty").mkdir()
    pictures(root / "deep", numbered)
    pictures(root / "deep" / "more", ["1.png", "2.png"])
    pictures(root / "masked", numbered)
    pictures(root / "masked" / "masks", numbered)
    pictures(root / "suffix", [f"{n}{what}.png" for what in ("", "_mask") for n in range(3)])
    pictures(root / "set" / "JPEGImages" / "bear", numbered)
    pictures(root / "set" / "Annotations" / "bear", numbered)
    pictures(root / "single", ["f_0000.jpg"])
    pictures(root / "unnumbered", ["a.jpg", "b.jpg"])
    pictures(root / "posters", numbered)
    write_painted(root / "posters" / "film.mp4", frames=4)
    assert main(["scan", str(root), "--out", str(tmp_path / "m.json"), "--workers", "1"]) == 0
    found = Manifest.load(tmp_path / "m.json")
    assert [entry.path for entry in found] == [
        *("cover", "deep", "deep/more", "masked", "posters/film.mp4", "set/JPEGImages/bear", "sub", "suffix"),
    ]
    assert seen(found)["suffix"] == [0, 1, 2]
    said, logged = capsys.readouterr()
    assert "skipped: " not in logged, "once is enough"
    for name in (
        *(
            "cover/folder.jpg",
            "sub/empty",
            "masked/masks",
            "suffix/%d_mask.png",
            "set/Annotations",
            "single/f_0000.jpg",
        ),
        *("unnumbered/a.jpg", "unnumbered/b.jpg", "posters/f_0002.jpg"),
    ):
        assert name in said, name
    assert [entry.path for entry in quick(root / "masked" / "masks", tmp_path / "masks.json")] == ["masks"]


def test_what_is_skipped_is_said_once_by_other_commands(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Every command that scans says what was skipped, and says it again only when it has changed."""
    root = pictures(tmp_path / "v", ["1.jpg", "2.jpg"])
    (root / "notes.txt").write_text("no video")
    for said in (1, 0):
        quick(root, tmp_path / "m.json")
        assert caplog.text.count("skipped: 1 file (1 .txt)") == said
        caplog.clear()
    (root / "more.txt").write_text("no video")
    assert quick(root, tmp_path / "m.json").skipped == ("skipped: 2 files (2 .txt)",)
    assert caplog.text.count("skipped: 2 files (2 .txt)") == 1


def test_a_picture_that_is_gone_is_named(tmp_path: Path) -> None:
    """A link to nowhere and a folder among the pictures: the one is named, the other is no picture."""
    root = pictures(tmp_path / "v", ["1.jpg", "2.jpg"])
    (root / "3.jpg").mkdir()
    assert quick(root, tmp_path / "m.json").entries[0].frames == 2
    (root / "4.jpg").symlink_to(root / "gone.jpg")
    (entry,) = quick(root, tmp_path / "m.json").bad
    assert entry.cause == "4.jpg: No such file or directory"


def test_folders_and_files_that_systems_make(tmp_path: Path) -> None:
    """Thumbnails, recycle bins, resource forks and AppleDouble files are no videos; the scan says that it saw them."""
    root = pictures(tmp_path / "v", ["1.jpg", "2.jpg"])
    (root / "a").mkdir()
    write_painted(root / "a" / "a.mp4", frames=4)
    for folder in ("@eaDir/a.mp4", "__MACOSX/a", "#recycle", "$RECYCLE.BIN/x", "a/@EADIR", "Thumbnails", ".Trash"):
        pictures(root / folder, ["1.jpg", "2.jpg"])
        write_painted(root / folder / "old.mp4", frames=4)
    for name in ("._1.jpg", "._2.jpg", "a/._a.mp4", "a/Thumbs.db", "a/notes.txt", "a/more.txt", "a/.DS_Store"):
        (root / name).write_bytes(b"\0\5\x16\7")
    found = quick(root, tmp_path / "m.json")
    assert [entry.path for entry in found] == ["%d.jpg", "a/a.mp4"]
    said = "\n".join(found.skipped)
    assert "skipped: 7 files (3 AppleDouble (._*), 2 .txt, " in said
    assert "1 .db" in said
    assert "1 hidden" in said
    assert "folders of a system, by their name: 6 (#recycle, $RECYCLE.BIN, @eaDir, Thumbnails, __MACOSX, ...)" in said
    assert "hidden folders: 1 (.Trash)" in said
    assert Manifest.load(tmp_path / "m.json") == found
    assert quick(tmp_path / "m.json", tmp_path / "m.json").skipped == found.skipped


@pytest.mark.parametrize(
    ("written", "names"),
    [
        ("x.mp4", ["x.LRV", "x.insv", "x.f4v", "x.f4p", "plain", "MVI.0001"]),
        ("x.mov", ["x.qt", "x.mqv", "plain"]),
        ("x.ts", ["x.m2t", "x.trp", "x.tp", "plain"]),
        ("x.mpg", ["x.MOD", "x.tod", "x.vro", "plain"]),
        ("x.mkv", ["x.mk3d", "plain"]),
        ("x.avi", ["plain"]),
        ("x.h264", ["x.264", "x.dav", "x.avc", "plain"]),
        ("x.hevc", ["x.265", "x.h265", "plain"]),
        ("x.m2v", ["x.m1v", "x.mpv", "plain"]),
        ("x.y4m", ["plain"]),
        ("x.ivf", ["plain"]),
        ("x.obu", ["plain"]),
        ("x.nut", ["plain"]),
        ("x.flv", ["plain"]),
        ("x.wmv", ["x.wm", "plain"]),
    ],
)
def test_endings(tmp_path: Path, written: str, names: list[str]) -> None:
    """Rare endings are found, and so are videos without an ending, by their first bytes."""
    codec = _CODECS.get(Path(written).suffix, "libx264")
    if not has_encoder(codec):
        pytest.skip(f"this FFmpeg has no {codec}")
    file = write_painted(tmp_path / written, frames=6, codec=codec)
    root = tmp_path / "videos"
    root.mkdir()
    for name in (written, *names):
        (root / name).write_bytes(file.read_bytes())
    for name, content in (("LICENSE", b"free"), ("index", b"\0\0\0\1 no video"), ("cover", b"\x89PNG\r\n\x1a\n")):
        (root / name).write_bytes(content)
    found = quick(root, tmp_path / "m.json")
    assert [(entry.path, entry.frames) for entry in found] == [(name, 6) for name in sorted([written, *names])]
    assert found.skipped == ("skipped: 3 files (3 without an ending)",)


def test_arrays_that_are_no_frames_are_named(tmp_path: Path) -> None:
    """An array of another type or shape is skipped with the reason."""
    np.save(tmp_path / "good.npy", np.zeros((3, 8, 8), np.uint8))
    np.save(tmp_path / "floats.npy", np.zeros((3, 8, 8)))
    np.save(tmp_path / "first.npy", np.zeros((5, 3, 16, 16), np.uint8))
    (tmp_path / "cut.npy").write_bytes(b"\x93NUM")
    found = find_videos(tmp_path)
    assert found.paths == ["good.npy"]
    (said,) = found.skipped
    assert "3 (cut.npy: " in said
    assert "first.npy: frames must be uint8 or uint16 (T, H, W) or (T, H, W, 3), got uint8 (5, 3, 16, 16)" in said
    assert "float64 (3, 8, 8)" in said


def test_links_and_folders_that_cannot_be_read(tmp_path: Path) -> None:
    """A folder that two links lead to is searched once, where it lies, and said; one that cannot be read is named."""
    root, outside = tmp_path / "v", tmp_path / "outside"
    pictures(root / "z" / "real", ["1.png", "2.png"])
    pictures(outside, ["1.png", "2.png", "3.png"])
    (root / "a_link").symlink_to(root / "z" / "real")
    (root / "back").symlink_to(root)
    (root / "one").symlink_to(outside)
    (root / "two").symlink_to(outside)
    (root / "circle").symlink_to(root / "circle")
    place, deep = os.open(root, os.O_RDONLY), "d" * 250
    for _ in range(17):  # a path longer than any system takes
        os.mkdir(deep, dir_fd=place)
        below = os.open(deep, os.O_RDONLY, dir_fd=place)
        os.close(place)
        place = below
    os.close(place)
    found = quick(root, tmp_path / "m.json")
    assert [entry.path for entry in found] == ["one", "z/real"]
    said = "\n".join(found.skipped)
    assert "folders that are searched elsewhere: 3 (a_link is z/real, back is ., two is one)" in said
    assert "folders that cannot be read: 1 (ddd" in said
    assert "File name too long" in said


def test_names_of_any_bytes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Names that are not UTF-8, NFC beside NFD, with control characters: all are read, and shown on one line each."""
    root = tmp_path / "v"
    root.mkdir()
    names = [
        b"caf\xe9.mp4", *(unicodedata.normalize(form, "é.mp4").encode() for form in ("NFC", "NFD")),
        b"line\nbreak.mp4", b"\x1b[31mred.mp4", b"\xff\xfe/v.mp4",
    ]  # fmt: skip
    try:
        (root / os.fsdecode(b"\xff\xfe")).mkdir()
    except OSError:
        pytest.skip("this disk takes UTF-8 names only")
    for number, name in enumerate(names):
        write_painted(tmp_path / "clip.mp4", frames=4 + number).rename(root / os.fsdecode(name))
    write_stack(tmp_path / "stack.tif", 3).rename(root / os.fsdecode(b"st\xe9ck.tif"))
    pictures(tmp_path / "some", ["1.png", "2.png"]).rename(root / os.fsdecode(b"\xe8"))
    found = quick(root, tmp_path / "m.json")
    assert sorted(os.fsencode(entry.path) for entry in found) == sorted([*names, b"st\xe9ck.tif", b"\xe8"])
    assert {path: len(numbers) for path, numbers in seen(found).items()} == {e.path: e.frames for e in found}
    assert all(numbers == [*range(len(numbers))] for numbers in seen(found).values())
    assert main(["scan", str(root), "--out", str(tmp_path / "m.json")]) == 0
    said = capsys.readouterr().out
    assert "\x1b" not in said
    assert "line\\nbreak.mp4" in said
    assert "caf\\xe9.mp4" in said
    assert main(["scan", str(root), "--out", str(tmp_path / "m.json"), "--json"]) == 0
