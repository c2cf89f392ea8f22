"""Sound files with wrong header counts are sound; truncated files are not."""

from __future__ import annotations

import logging
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers.bytes_of import remux
from helpers.painted import count_wrong, paint, read_numbers, write_painted

from seqff.video import open_video, scan
from seqff.video.examine import examine
from seqff.video.file_structure import is_complete
from seqff.video.image_headers import is_complete_image


def assert_sound(path: Path, expected: list[int]) -> None:
    """Nothing is called damaged, and each picture is the one painted."""
    entry = examine(path)
    assert (entry.status, entry.cause, entry.frames) == ("ok", "", len(expected))
    with open_video(path, entry=entry) as video:
        assert read_numbers(video.clip(0, entry.frames)) == expected
        assert read_numbers(video.at([entry.frames - 1, 0])) == [expected[-1], expected[0]]


@pytest.mark.parametrize(("codec", "b_frames"), [("mjpeg", 0), ("mpeg4", 0), ("mpeg4", 2)])
@pytest.mark.parametrize("drop", [4, 180])
def test_empty_chunks_of_an_avi_are_no_damage(tmp_path: Path, codec: str, b_frames: int, drop: int) -> None:
    """A camera that holds a picture writes empty chunks, which the header counts; all pictures are read."""
    pixels = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    source = write_painted(tmp_path / "all.mkv", codec=codec, b_frames=b_frames, pixels=pixels)
    path = remux(source, tmp_path / "held.avi", time=lambda n: n + drop * (n > 40))
    assert_sound(path, list(range(60)))
    if not b_frames:
        expected = np.arange(60) + drop * (np.arange(60) > 40)
        np.testing.assert_allclose(examine(path).times_seconds, expected / 25)


def test_empty_samples_of_a_mov_are_no_damage(tmp_path: Path) -> None:
    """QuickTime holds a picture by an empty sample; those after it are read, at their times."""
    path = write_painted(tmp_path / "a.mov", codec="mjpeg", pixels="yuvj420p")
    data = bytearray(path.read_bytes())
    at = data.index(b"stsz") + 16 + 4 * 20  # size of sample 20, whose bytes go to the one before
    data[at - 4 : at + 4] = struct.pack(">II", sum(struct.unpack(">II", data[at - 4 : at + 4])), 0)
    path.write_bytes(data)
    shown = [n for n in range(60) if n != 20]
    assert_sound(path, shown)
    np.testing.assert_allclose(examine(path).times_seconds, np.array(shown) / 25, atol=1e-4)


def test_an_avi_that_ends_with_empty_chunks(tmp_path: Path) -> None:
    """A still end, which capture programs hold by empty chunks, is no damage either."""
    path = write_painted(tmp_path / "a.avi", codec="mpeg4")
    data = path.read_bytes()
    for name in (b"avih", b"strh"):  # the header counts 40 more
        at = data.index(name) + 8 + (16 if name == b"avih" else 32)
        assert data[at : at + 4] == struct.pack("<I", 60)
        data = data[:at] + struct.pack("<I", 100) + data[at + 4 :]
    path.write_bytes(data)
    assert_sound(path, list(range(60)))


@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
@pytest.mark.parametrize("first", [25, 31])
def test_pictures_that_an_edit_list_hides_are_no_damage(tmp_path: Path, codec: str, first: int) -> None:
    """A trimmed file shows what players show: from the first picture the edit list shows to the very last."""
    write_painted(tmp_path / "whole.mp4", codec=codec, b_frames=2)
    path = remux(tmp_path / "whole.mp4", tmp_path / "trimmed.mp4", time=lambda n: n - first)
    assert_sound(path, list(range(first, 60)))
    entry = examine(path)
    np.testing.assert_allclose(entry.times_seconds, np.arange(60 - first) / 25, atol=1e-4)
    with open_video(path, entry=entry) as video:
        assert count_wrong(video, entry, first=first, pairs=30) == 0


def test_an_end_that_an_edit_list_hides_is_no_damage(tmp_path: Path) -> None:
    """Pictures cut off at the end by an edit list are not missed."""
    path = write_painted(tmp_path / "a.mp4", b_frames=2)
    data = bytearray(path.read_bytes())
    at = data.index(b"elst") + 12
    data[at : at + 4] = struct.pack(">I", 1600)  # thousandths of a second
    path.write_bytes(data)
    assert_sound(path, list(range(40)))


@pytest.mark.parametrize("name", ["a.mkv", "a.flv"])
def test_a_duration_that_nobody_corrected_is_no_damage(tmp_path: Path, name: str) -> None:
    """A header that tells a longer duration than the file has, of a recording that was stopped, is not believed."""
    path = write_painted(tmp_path / name)
    data = path.read_bytes()
    at = data.index(b"\x44\x89\x88") + 3 if name == "a.mkv" else data.index(b"duration") + 9
    wrong = 60_000.0 if name == "a.mkv" else 60.0
    path.write_bytes(data[:at] + struct.pack(">d", wrong) + data[at + 8 :])
    assert_sound(path, list(range(60)))


@pytest.mark.parametrize("name", ["a.mp4", "a.avi", "a.mkv", "a.mov"])
def test_what_lies_behind_a_file_is_no_damage(tmp_path: Path, name: str) -> None:
    """Notes or padding that a camera appends are not looked at."""
    path = write_painted(tmp_path / name, codec="mpeg4")
    path.write_bytes(path.read_bytes() + b"\0" * 500 + b"SEFT notes" * 30)
    assert_sound(path, list(range(60)))


@pytest.mark.parametrize("name", ["a.mp4", "fragments.mp4", "a.mkv", "a.avi", "a.flv", "a.gif", "a.wmv", "trimmed.mp4"])
@pytest.mark.parametrize("share", [0.4, 0.8, 0.95])
def test_a_cut_file_is_damaged(tmp_path: Path, name: str, share: float) -> None:
    """A file that lost its end is damaged in every container, and what is kept of it is right."""
    options = {"movflags": "frag_keyframe+empty_moov" if name.startswith("fragments") else "faststart"}
    codec = {"gif": "gif", "wmv": "wmv2", "avi": "mpeg4"}.get(name[-3:], "libx264")
    path = write_painted(
        tmp_path / f"whole{name}",
        codec=codec,
        pixels="gray" if codec == "gif" else "yuv420p",
        container_options=options if name.endswith("mp4") else {},
        size=(192, 256),
    )
    first = 0
    if name.startswith("trimmed"):
        first = 13
        path = remux(path, tmp_path / name, time=lambda n: n - 13, options=options)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    entry = examine(path)
    if not entry.frames:
        assert (entry.status, share) == ("unreadable", 0.4)
        return
    assert entry.status == "damaged" or entry.frames == 60 - first  # else only the index at the end is lost
    with open_video(path, entry=entry) as video:
        assert read_numbers(video.clip(0, entry.frames)) == list(range(first, first + entry.frames))


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.avi", "a.flv", "a.gif", "a.wmv"])
def test_whole_files_are_known_as_whole(tmp_path: Path, name: str) -> None:
    """The structure of each container is followed to its end."""
    codec = {"gif": "gif", "wmv": "wmv2", "avi": "mpeg4"}.get(name[-3:], "libx264")
    path = write_painted(tmp_path / name, codec=codec, pixels="gray" if codec == "gif" else "yuv420p")
    assert is_complete(str(path))


def _images(folder: Path, ending: str, behind: bytes) -> Path:
    folder.mkdir()
    for number in range(6):
        coded = cv2.imencode(ending, paint(number))[1].tobytes()
        (folder / f"{number:03d}{ending}").write_bytes(coded + behind)
    return folder


@pytest.mark.parametrize("ending", [".jpg", ".png"])
@pytest.mark.parametrize("behind", [b"\0" * 9000, b"notes of a phone " * 999, b"\0\0\0\x18ftypmp42" + bytes(20_000)])
def test_what_lies_behind_a_picture_is_no_damage(tmp_path: Path, ending: str, behind: bytes) -> None:
    """A picture ends at its own end, whatever a phone appends: notes, a film."""
    entry = examine(_images(tmp_path / "phone", ending, behind))
    assert (entry.status, entry.frames) == ("ok", 6)


@pytest.mark.parametrize("progressive", [0, 1])
def test_a_cut_picture_is_not_taken_for_whole(progressive: int) -> None:
    """A JPEG with a whole thumbnail in its notes is cut all the same, wherever that is."""
    noise = np.random.default_rng(0).integers(0, 255, (80, 80, 3), np.uint8)
    jpeg = cv2.imencode(".jpg", noise, [cv2.IMWRITE_JPEG_PROGRESSIVE, progressive])[1].tobytes()
    noted = jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(jpeg) + 2) + jpeg + jpeg[2:]
    assert is_complete_image(noted + b"behind")
    assert not any(is_complete_image(noted[:stop]) for stop in range(2, len(noted), 97))
    png = cv2.imencode(".png", noise)[1].tobytes()
    assert is_complete_image(png + b"behind")
    assert not any(is_complete_image(png[:stop]) for stop in range(8, len(png), 97))


def test_warnings_about_many_files_alike_are_one_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Five files cut short are one line with their count, and a remark on many is one as well."""
    root = tmp_path / "videos"
    root.mkdir()
    for number in range(5):
        path = write_painted(root / f"cut{number}.mkv", frames=30 + number)
        path.write_bytes(path.read_bytes()[: path.stat().st_size * 3 // 4])
        write_painted(root / f"fast{number}.mkv", frames=20 + number, rate=2000, codec="mjpeg", pixels="yuvj420p")
    with caplog.at_level(logging.WARNING, "seqff.video"):
        scan(root, out=tmp_path / "m.json", workers=1, progress=False)
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 2
    assert all(line.count("\n") == 1 and "(and 4 more alike: " in line for line in said), said
