"""The frame cache: the same frames as without it, whatever happens to its files."""

from __future__ import annotations

import logging
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.painted import count_wrong, read_numbers

from seqff.errors import SeqffError, VideoError
from seqff.video import Manifest, VideoEntry, fill_cache, open_cached, open_video

SIZE = (25, 33)  # whose frames are no multiple of 8 bytes
KINDS = ("u8", "jpeg")


def size_of(entry: VideoEntry) -> tuple[int, int]:
    return SIZE


def by_name(manifest: Manifest, name: str) -> VideoEntry:
    return next(entry for entry in manifest if entry.path == name)


def only_file(folder: Path) -> Path:
    (file,) = folder.iterdir()
    return file


@pytest.mark.parametrize("cache", ["none", *KINDS])
def test_the_cache_shows_what_the_reader_shows(manifest: Manifest, tmp_path: Path, cache: str) -> None:
    """Any order, duplicates, tails and iteration give the frames of the reader: u8 bit for bit, JPEGs nearly."""
    for name in ("open_gop.mp4", "turned_90.mp4", "cut_17.mp4"):
        entry = by_name(manifest, name)
        with open_cached(manifest.path(entry), entry, size=SIZE, cache=cache, folder=tmp_path) as video:
            assert count_wrong(video, entry, first=17 if "cut" in name else 0, pairs=30) == 0
            with open_video(manifest.path(entry), entry=entry, size=SIZE) as truth:
                wanted = [5, 3, 4, 5, 40]
                seen, expected = video.at(wanted), truth.at(wanted)
                assert seen.flags.c_contiguous
                assert seen.flags.owndata
                assert np.abs(seen.astype(int) - expected).mean() < (8 if cache == "jpeg" else 1e-9)
                assert (video.info.frames, video.info.height, video.info.width) == (entry.frames, *SIZE)
                np.testing.assert_array_equal(video.info.times_seconds, truth.info.times_seconds)
            with pytest.raises(IndexError):
                video.at([entry.frames])
            assert video.at([]).shape == (0, *SIZE, 3)


@pytest.mark.parametrize("cache", ["none", *KINDS])
def test_frames_are_read_into_a_part_of_a_batch(manifest: Manifest, tmp_path: Path, cache: str) -> None:
    """The same frames in the same order as without `out`, nothing beside them touched; what does not fit is refused."""
    entry = by_name(manifest, "open_gop.mp4")
    with open_cached(manifest.path(entry), entry, size=SIZE, cache=cache, folder=tmp_path) as video:
        for wanted in ([7, 8, 9, 30], [5, 3, 5, 40]):
            batch = np.full((6, *SIZE, 3), 77, dtype=np.uint8)
            part = batch[1:5]
            assert video.at(wanted, out=part) is part
            np.testing.assert_array_equal(part, video.at(wanted))
            assert (batch[[0, 5]] == 77).all()
        fixed = np.zeros((4, *SIZE, 3), dtype=np.uint8)
        fixed.flags.writeable = False
        for wrong in (batch, batch[:4].astype(np.int16), np.zeros((8, *SIZE, 3), np.uint8)[::2], fixed):
            with pytest.raises(ValueError, match="out must be uint8"):
                video.at([7, 8, 9, 30], out=wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("cache", KINDS)
def test_a_video_is_decoded_once(manifest: Manifest, tmp_path: Path, cache: str) -> None:
    """The second opening reads the file the first one wrote; another size is another file."""
    entry = by_name(manifest, "asp.avi")
    open_cached(manifest.path(entry), entry, size=SIZE, cache=cache, folder=tmp_path).close()
    before = only_file(tmp_path).stat()
    with open_cached(manifest.path(entry), entry, size=SIZE, cache=cache, folder=tmp_path) as video:
        assert read_numbers(video.at([7])) == [7]
    assert only_file(tmp_path).stat() == before
    with open_cached(manifest.path(entry), entry, size=None, cache=cache, folder=tmp_path) as video:
        assert video.at([7]).shape == (1, entry.height, entry.width, 3)
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("cache", KINDS)
@pytest.mark.parametrize("harm", ["empty", "cut", "longer", "start", "middle", "zeros", "end"])
def test_damage_is_noticed_and_mended(
    manifest: Manifest, tmp_path: Path, cache: str, harm: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A file that is cut, lengthened or has any byte changed is written anew and never shown."""
    entry = replace(by_name(manifest, "b_frames.mp4"), reader="pyav")
    path = manifest.path(entry)
    with open_cached(path, entry, size=SIZE, cache=cache, folder=tmp_path) as video:
        truth = video.clip(0, entry.frames)
    file = only_file(tmp_path)
    sound = data = file.read_bytes()
    place = {"start": 9, "middle": len(data) // 2, "end": len(data) - 1}.get(harm, 0)
    if harm == "zeros":
        data = data[: len(data) // 2] + bytes(len(data) - len(data) // 2)
    elif place:
        data = data[:place] + bytes([data[place] ^ 4]) + data[place + 1 :]
    else:
        data = {"empty": b"", "cut": data[:-1], "longer": data + b"\0"}[harm]
    file.write_bytes(data)
    with caplog.at_level(logging.WARNING), open_cached(path, entry, size=SIZE, cache=cache, folder=tmp_path) as video:
        np.testing.assert_array_equal(video.at(range(entry.frames)), truth)
    assert "damaged" in caplog.text
    assert only_file(tmp_path).read_bytes() == sound


def test_damage_under_an_open_reader_is_mended(manifest: Manifest, tmp_path: Path) -> None:
    """A file that is cut while it is being read neither kills the process nor gives a wrong frame."""
    entry = replace(by_name(manifest, "b_frames.mp4"), reader="pyav")
    with open_cached(manifest.path(entry), entry, size=SIZE, cache="u8", folder=tmp_path) as video:
        assert read_numbers(video.at([1])) == [1]
        with only_file(tmp_path).open("r+b") as file:
            file.truncate(20_000)
        assert read_numbers(video.at([50, 2])) == [50, 2]


def test_a_changed_video_is_not_read(manifest: Manifest, tmp_path: Path) -> None:
    """An entry is good only for the file that was scanned, in the cache or not; broken videos leave nothing behind."""
    entry = by_name(manifest, "asp.avi")
    open_cached(manifest.path(entry), entry, size=SIZE, cache="u8", folder=tmp_path).close()
    with pytest.raises(VideoError, match="changed since"):
        open_cached(manifest.path(entry), replace(entry, mtime_ns=1), size=SIZE, cache="u8", folder=tmp_path)
    with pytest.raises(VideoError):  # more frames than there are
        open_cached(manifest.path(entry), replace(entry, frames=61), size=SIZE, cache="u8", folder=tmp_path)
    assert only_file(tmp_path).suffix == ".npy"
    bad = VideoEntry("asp.avi", entry.bytes, entry.mtime_ns, status="unreadable")
    with pytest.raises(VideoError, match="unreadable"):
        open_cached(manifest.path(entry), bad, size=SIZE, cache="u8", folder=tmp_path)


def test_the_default_folder(manifest: Manifest, tmp_path: Path) -> None:
    """Without a folder the cache lies in the user's cache folder."""
    entry = by_name(manifest, "asp.avi")
    open_cached(manifest.path(entry), entry, size=SIZE, cache="u8").close()
    assert only_file(tmp_path / "cache" / "frames").suffix == ".npy"


def test_raw_files_are_numpy_files(manifest: Manifest, tmp_path: Path) -> None:
    """numpy itself can map what the u8 cache writes."""
    entry = by_name(manifest, "asp.avi")
    open_cached(manifest.path(entry), entry, size=SIZE, cache="u8", folder=tmp_path).close()
    frames = np.load(only_file(tmp_path), mmap_mode="r")
    assert frames.shape == (60, *SIZE, 3)
    assert read_numbers(frames) == list(range(60))


def test_filling_ahead(manifest: Manifest, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All videos are decoded ahead, copies once; again, nothing is."""
    names = ("asp.avi", "open_gop.mp4", "mjpeg.avi", "cut_17.mp4")
    entries = [by_name(manifest, name) for name in names]
    broken = replace(entries[0], path="gone.avi", content_hash="gone")
    some = Manifest(manifest.root, (*entries, replace(entries[0], duplicate_of="x"), broken))
    failed = fill_cache(some, size_of=size_of, cache="u8", folder=tmp_path, workers=2, progress=False)
    assert [path for path, cause in failed.items() if "gone since" in cause] == ["gone.avi"]
    before = {file.name: file.stat() for file in tmp_path.iterdir()}
    assert len(before) == 4
    assert capsys.readouterr().err == ""
    sound = Manifest(manifest.root, tuple(entries))
    assert fill_cache(sound, size_of=size_of, cache="u8", folder=tmp_path, workers=1, progress=True) == {}
    assert {file.name: file.stat() for file in tmp_path.iterdir()} == before
    assert "4 of 4 videos" in capsys.readouterr().err


def test_no_room_is_found_out_before_anything_is_written(manifest: Manifest, tmp_path: Path) -> None:
    """Where the disk is too small the error says how much is needed and what to do, and nothing is written."""
    huge = replace(by_name(manifest, "asp.avi"), frames=10**12)
    with pytest.raises(SeqffError, match=r"GB free.*another folder"):
        open_cached(manifest.path(huge), huge, size=SIZE, cache="u8", folder=tmp_path / "new")
    many = Manifest(manifest.root, (huge, by_name(manifest, "mjpeg.avi")))
    with pytest.raises(SeqffError, match="2 videos takes about"):
        fill_cache(many, size_of=size_of, cache="jpeg", folder=tmp_path / "new", progress=False)
    assert not (tmp_path / "new").exists()


def test_arguments_that_cannot_be(manifest: Manifest, tmp_path: Path) -> None:
    """Unknown caches and sizes are refused with what is allowed."""
    entry = by_name(manifest, "asp.avi")
    with pytest.raises(ValueError, match="none, u8, jpeg"):
        open_cached(manifest.path(entry), entry, size=SIZE, cache="png", folder=tmp_path)
    with pytest.raises(ValueError, match="8192"):
        open_cached(manifest.path(entry), entry, size=(0, 1), cache="u8", folder=tmp_path)
    for wrong, words in (({"cache": "none"}, "cannot be filled"), ({"cache": "u8", "workers": 0}, "workers")):
        with pytest.raises(ValueError, match=words):
            fill_cache(manifest, size_of=size_of, folder=tmp_path, **wrong)


def test_processes_share_a_folder(manifest: Manifest, tmp_path: Path) -> None:
    """Processes that fill the same cache at the same time all see right frames, and leave one whole file."""
    entry = replace(by_name(manifest, "b_frames.mp4"), reader="pyav")
    manifest_path = tmp_path / "m.json"
    Manifest(manifest.root, (entry,)).save(manifest_path)
    code = (
        "import sys; from seqff.video import Manifest, open_cached; m = Manifest.load(sys.argv[1]); e = m.entries[0]\n"
        "for number in range(20):\n"
        "    with open_cached(m.path(e), e, size=(24, 32), cache='u8', folder=sys.argv[2]) as v:\n"
        "        frame = v.at([number])[0]; print(frame.sum(), end=' '); v._video.write()"
    )
    asked = [sys.executable, "-c", code, str(manifest_path), str(tmp_path / "frames")]
    root = Path(__file__).resolve().parents[2]
    running = [subprocess.Popen(asked, cwd=root, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    said = {process.communicate()[0] for process in running}
    assert [process.returncode for process in running] == [0, 0, 0]
    assert len(said) == 1
    assert only_file(tmp_path / "frames").suffix == ".npy"
