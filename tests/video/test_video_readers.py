"""The contract of the readers, on painted clips in codecs and containers that mislead others."""

from __future__ import annotations

import pickle
import sys
import threading
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers.painted import count_wrong, numbers, paint, read_numbers, write_painted

from seqff.errors import VideoError
from seqff.video import Manifest, open_video
from seqff.video.decord_reader import decord_available, load_decord
from seqff.video.examine import examine

FIRST = {"cut_17.mp4": 17, "cut_27_open_gop.mp4": 27}


def by_name(manifest: Manifest, name: str):
    return next(entry for entry in manifest if entry.path == name)


@pytest.mark.parametrize("reader", ["auto", "pyav", "decord"])
def test_no_reader_returns_another_frame(manifest: Manifest, reader: str) -> None:
    """On every clip, index i is the i-th frame a player shows, in whatever order it is asked for."""
    wrong, refused = {}, {}
    for entry in manifest:
        try:
            with open_video(manifest.path(entry), entry=entry, reader=reader) as video:
                wrong[entry.path] = count_wrong(video, entry, first=FIRST.get(entry.path, 0), pairs=30)
        except VideoError as error:
            refused[entry.path] = error.cause
    assert all("not exact" in cause for cause in refused.values())
    assert not refused or reader == "decord"
    assert wrong == dict.fromkeys(wrong, 0)
    assert {"b_frames.mp4", "pyramid.mkv", "mjpeg.avi"} <= set(wrong) or not decord_available()


def test_proven_frame_counts(manifest: Manifest) -> None:
    """The number of frames is what can be decoded, not what a header says: cut clips lose what players hide."""
    assert {entry.path: entry.frames for entry in manifest} == {
        entry.path: 60 - FIRST.get(entry.path, 0) for entry in manifest
    }


def test_decord_is_never_trusted_to_seek_where_it_errs(manifest: Manifest) -> None:
    """The audit forbids decord to seek on open groups, B-frames of MPEG-4, edit lists and intra refresh."""
    pytest.importorskip("decord")
    tried = {e.path: examine(manifest.path(e), decord=load_decord(), insist=True) for e in manifest}
    trusted = {path for path, entry in tried.items() if (entry.reader, entry.access) == ("decord", "random")}
    assert {"b_frames.mp4", "pyramid.mkv", "mjpeg.avi", "variable.mp4"} <= trusted
    misleading = "open_gop.mp4 open_gop.mkv asp.avi asp.mp4 cut_17.mp4 cut_27_open_gop.mp4 intra_refresh.mp4 hevc.mp4"
    assert not trusted & set(misleading.split())
    by_container = {entry.reader for path, entry in tried.items() if Path(path).suffix in (".ts", ".mpg")}
    assert by_container == {"pyav"}


class _Watched:
    asked = False

    def __getattr__(self, name: str) -> None:
        self.asked = True
        raise AttributeError(name)


def test_the_scan_decodes_once_where_pyav_may_seek(manifest: Manifest) -> None:
    """decord, which would decode the file a second time, is only tried on files on which PyAV may not seek."""
    tried = {}
    for entry in manifest:
        decord = _Watched()
        tried[entry.path] = (examine(manifest.path(entry), decord=decord).pyav_access, decord.asked)
    assert ("random", True) not in tried.values()
    assert tried["b_frames.mp4"] == tried["mjpeg.avi"] == tried["asp.mp4"] == ("random", False)


@pytest.mark.parametrize("reader", ["decord", "pyav"])
@pytest.mark.parametrize("width", [8, 12, 16, 24, 32, 48, 64, 72, 100])
def test_every_width_comes_out_right(manifest: Manifest, reader: str, width: int) -> None:
    """Widths that decord itself returns as broken arrays come out whole, at any position."""
    if reader == "decord":
        pytest.importorskip("decord")
    entry = by_name(manifest, "b_frames.mp4")
    with open_video(manifest.path(entry), size=(24, width), entry=entry, reader=reader) as video:
        frames = video.at([41, 3, 41])
        assert frames.shape == (3, 24, width, 3)
        assert frames.dtype == np.uint8
        assert frames.flags.c_contiguous
        assert read_numbers(frames) == [41, 3, 41]


def test_both_readers_show_nearly_the_same(manifest: Manifest) -> None:
    """decord and PyAV differ by the rounding of their scalers only."""
    pytest.importorskip("decord")
    entry = by_name(manifest, "b_frames.mp4")
    shown = []
    for name in ("decord", "pyav"):
        with open_video(manifest.path(entry), size=(36, 52), entry=entry, reader=name) as video:
            shown.append(video.clip(10, 20).astype(int))
    assert np.abs(shown[0] - shown[1]).mean() < 2


def test_frames_belong_to_the_caller(manifest: Manifest) -> None:
    """What a reader has returned never changes later."""
    for name in ("auto", "pyav"):
        entry = by_name(manifest, "b_frames.mp4")
        with open_video(manifest.path(entry), entry=entry, reader=name) as video:
            first = next(iter(video))
            batch = video.at([5, 6])
            copies = first.copy(), batch.copy()
            list(video)
        assert (first == copies[0]).all()
        assert (batch == copies[1]).all()
        first[:] = 0  # writable


def test_iterations_do_not_disturb_each_other(manifest: Manifest) -> None:
    """Reading elsewhere in the middle of an iteration leaves the iteration right."""
    for entry in manifest:
        with open_video(manifest.path(entry), entry=entry) as video:
            seen = []
            for index, frame in enumerate(video):
                seen += numbers(frame[None], entry, first=FIRST.get(entry.path, 0))
                if index % 20 == 7:
                    video.at([30, 1])
            assert seen == list(range(entry.frames))


def test_indices_out_of_range(manifest: Manifest) -> None:
    """Indices below 0 and from `frames` on are IndexErrors that say what is allowed; others are TypeErrors."""
    entry = by_name(manifest, "cut_17.mp4")
    with open_video(manifest.path(entry), entry=entry) as video:
        for indices in ([43], [0, -1], [2**40]):
            with pytest.raises(IndexError, match="0 to 42"):
                video.at(indices)
        for start, stop in ((0, 44), (-1, 3), (5, 4)):
            with pytest.raises(IndexError):
                video.clip(start, stop)
        for wrong in ([0.5], [[1]], [True]):
            with pytest.raises(TypeError):
                video.at(wrong)
        assert video.at([]).shape == (0, 48, 64, 3)
        assert video.clip(7, 7).shape == (0, 48, 64, 3)


def test_times_of_a_variable_rate(manifest: Manifest) -> None:
    """Presentation times are those of the file; the rate is marked as variable."""
    times = np.cumsum(np.random.default_rng(0).integers(10, 90, 60)) / 1000
    for name in ("variable.mp4", "variable.mkv"):
        entry = by_name(manifest, name)
        assert entry.variable_rate
        shown = entry.times_seconds
        np.testing.assert_allclose(shown - shown[0], times - times[0], atol=0.0011)
    steady = by_name(manifest, "b_frames.mp4")
    assert not steady.variable_rate
    np.testing.assert_allclose(steady.times_seconds, np.arange(60) / 25)


def test_rotation_is_applied_once(manifest: Manifest) -> None:
    """Sizes are those after rotation, and decord and PyAV turn the same way."""
    for turn in (90, 180, 270):
        entry = by_name(manifest, f"turned_{turn}.mp4")
        assert (entry.rotation_degrees, entry.height, entry.width) == (
            360 - turn,
            *((64, 48) if turn % 180 else (48, 64)),
        )


def test_a_reader_stays_in_its_thread(manifest: Manifest) -> None:
    """Another thread is told to open a reader of its own; pickling and use after closing are refused."""
    entry = by_name(manifest, "b_frames.mp4")
    video = open_video(manifest.path(entry), entry=entry)
    caught: list[Exception] = []

    def read() -> None:
        try:
            video.at([0])
        except Exception as error:
            caught.append(error)

    thread = threading.Thread(target=read)
    thread.start()
    thread.join()
    assert isinstance(caught[0], VideoError)
    with pytest.raises(TypeError):
        pickle.dumps(video)
    video.close()
    video.close()
    with pytest.raises(VideoError, match="closed"):
        video.at([0])


def test_without_a_manifest_the_reader_is_exact_too(painted_clips: Path) -> None:
    """open_video alone examines the file first; strings, paths and file:// addresses all do."""
    for path in (
        painted_clips / "open_gop.mp4",
        str(painted_clips / "asp.avi"),
        (painted_clips / "cut_17.mp4").as_uri(),
    ):
        with open_video(path, size=(24, 32)) as video:
            first = 17 if "cut_17" in str(path) else 0
            assert read_numbers(video.at([40, 2, 13])) == [40 + first, 2 + first, 13 + first]


def test_without_decord_everything_works(manifest: Manifest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where decord is not installed, a manifest made elsewhere is read by PyAV."""
    monkeypatch.setitem(sys.modules, "decord", None)
    entry = by_name(manifest, "open_gop.mp4")
    with open_video(manifest.path(entry), entry=entry) as video:
        assert type(video).__name__ == "PyavReader"
        assert count_wrong(video, entry, pairs=20) == 0
    entry = replace(entry, reader="decord")
    with pytest.raises(VideoError, match="not installed"):
        open_video(manifest.path(entry), entry=entry, reader="decord")


def test_nothing_is_printed(painted_clips: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Reading leaves the terminal clean, also where decord fails."""
    for name in ("variable.mkv", "b_frames.ts", "cut_27_open_gop.mp4"):
        with open_video(painted_clips / name) as video:
            video.at([3, 1])
    assert capfd.readouterr() == ("", "")


def test_a_folder_of_numbered_images(tmp_path: Path) -> None:
    """Numbered images are a video, in the order of their numbers."""
    for number in range(12):
        cv2.imwrite(str(tmp_path / f"frame_{number}.png"), paint(number))
    with open_video(tmp_path, size=(32, 40)) as video:
        assert (video.info.frames, video.info.codec) == (12, "images")
        assert read_numbers(video.at([11, 2, 10, 2])) == [11, 2, 10, 2]
        assert read_numbers(np.stack(list(video))) == list(range(12))


@pytest.mark.parametrize("name", ["clip.npy", "clip.npz"])
@pytest.mark.parametrize("grey", [False, True])
def test_an_array_file(tmp_path: Path, name: str, grey: bool) -> None:
    """Arrays of uint8 frames are videos, grey ones as RGB; what is returned is a copy."""
    frames = np.stack([paint(number) for number in range(9)])
    frames = frames[..., 0] if grey else frames
    np.save(tmp_path / name, frames) if name.endswith("npy") else np.savez(tmp_path / name, frames=frames, other=1)
    with open_video(tmp_path / name) as video:
        seen = video.at([8, 0, 8])
        assert read_numbers(seen) == [8, 0, 8]
        seen[:] = 0
        assert read_numbers(video.at([8])) == [8]
        assert video.info.fps == 25


def test_a_file_that_changed_is_not_read(tmp_path: Path) -> None:
    """An entry is only good for the bytes that were scanned."""
    path = write_painted(tmp_path / "a.mp4", frames=10)
    with open_video(path) as video:
        assert video.info.frames == 10
    entry = examine(path)
    write_painted(path, frames=20)
    with pytest.raises(VideoError, match="changed since"):
        open_video(path, entry=entry)
    path.unlink()
    with pytest.raises(VideoError, match="gone since"):
        open_video(path, entry=entry)


@pytest.mark.parametrize("size", [(0, 5), (5,), 112, (4.5, 4), (10**5, 10**5), "ab"])
def test_sizes_that_cannot_be(painted_clips: Path, size: object) -> None:
    """A size is two whole numbers of px; everything else is refused with what is allowed."""
    with pytest.raises(ValueError, match="8192"):
        open_video(painted_clips / "asp.avi", size=size)
