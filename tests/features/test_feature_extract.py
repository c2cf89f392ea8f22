"""Extraction: the right numbers, the right rows, and nothing lost or doubled when it is stopped."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import seqff.features.extraction as extraction
import seqff.features.sampling as sampling
from seqff.errors import RunError, VideoError
from seqff.features import FeatureStore, extract
from seqff.nets import load_encoder
from seqff.video import Manifest, open_video, scan

NAMES = ("layer1", "layer2", "untrained/layer1", "untrained/layer2", "pixels")


def take(run: Path, clips: Path, out: Path, **options: Any) -> FeatureStore:
    """Extract on the CPU in small batches."""
    return extract(run, clips, out=out, **{"device": "cpu", "batch_frames": 8, "progress": False, **options})


@pytest.fixture(scope="module")
def whole(run: Path, clips: Path, tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    """An extraction nothing happened to."""
    return take(run, clips, tmp_path_factory.mktemp("whole") / "store")


@pytest.fixture(scope="module")
def whole_by_frame(run: Path, clips: Path, tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    """The same with a row a frame."""
    return take(run, clips, tmp_path_factory.mktemp("whole") / "store", per="frame")


def content(store: Path) -> dict[str, bytes]:
    return {str(path.relative_to(store)): path.read_bytes() for path in sorted(store.rglob("*")) if path.is_file()}


def plain_features(run: Path, clips: Path) -> Iterator[tuple[str, dict[str, np.ndarray]]]:
    """Every video's cells, all frames at once, by reshaping: (T, D) by name of the array."""
    manifest = Manifest.load(clips)
    for entry in manifest.usable:
        trained, untrained = load_encoder(run), load_encoder(run, untrained=True)
        with open_video(manifest.path(entry), size=trained.transform.decode_size(48, 60)) as reader:
            x = trained.transform(reader.at(range(reader.info.frames)))
        maps = {"pixels": (x, 8)}
        for prefix, encoder in (("", trained), ("untrained/", untrained)):
            maps |= {f"{prefix}layer{n}": (layer, 2) for n, layer in enumerate(encoder(x), start=1)}
        yield entry.path, {name: cells(layer.detach().numpy(), grid) for name, (layer, grid) in maps.items()}


def cells(maps: np.ndarray, grid: int) -> np.ndarray:
    n, c, h, w = maps.shape
    return maps.reshape(n, c, grid, h // grid, grid, w // grid).mean(axis=(3, 5)).reshape(n, -1)


def test_features_are_those_of_a_plain_computation(run: Path, clips: Path, whole: FeatureStore) -> None:
    """Trained, untrained and pixel rows equal mean, sd and mean |difference| over all frames computed at once."""
    assert whole.names == NAMES
    for row, (path, arrays) in enumerate(plain_features(run, clips)):
        assert whole.index.video[row] == path
        for name, x in arrays.items():
            moves = np.abs(np.diff(x, axis=0)).mean(axis=0)
            expected = np.concatenate([x.mean(axis=0), x.std(axis=0), moves])
            np.testing.assert_allclose(whole.to_numpy(name)[row], expected, atol=2e-5, err_msg=f"{path} {name}")


def test_rows_per_frame(run: Path, clips: Path, tmp_path: Path) -> None:
    """Every third frame is a row, with its number and time, equal to the plain computation of that frame."""
    store = take(run, clips, tmp_path / "store", per="frame", every=3)
    assert store.index.video.count("run/a.avi") == 7
    first = store.index.frame[:7]
    assert first.tolist() == [0, 3, 6, 9, 12, 15, 18]
    np.testing.assert_allclose(store.index.time_seconds[:7], first / 25, atol=1e-9)
    start = 0
    for _, arrays in plain_features(run, clips):
        rows = slice(start, start + len(arrays["pixels"][::3]))
        for name, x in arrays.items():
            np.testing.assert_allclose(store.to_numpy(name)[rows], x[::3], atol=2e-5)
        start = rows.stop
    assert start == len(store)


def test_widths_are_stated(whole: FeatureStore) -> None:
    """3 statistics x channels x cells; the pixel baseline is 3 x 3 colours x 64 cells."""
    widths = [whole.to_numpy(name).shape for name in NAMES]
    assert widths == [(5, 3 * 4 * 4), (5, 3 * 6 * 4), (5, 3 * 4 * 4), (5, 3 * 6 * 4), (5, 3 * 3 * 64)]
    assert [entry["width"] for entry in whole.meta["arrays"].values()] == [width for _, width in widths]


def test_meta_says_where_features_come_from(run: Path, clips: Path, whole: FeatureStore) -> None:
    """Hashes of encoders, transform and videos, and which videos the encoder was trained on, are recorded."""
    encoder = load_encoder(run)
    assert whole.meta["encoder"]["hash"] == encoder.hash()
    assert whole.meta["encoder"]["untrained_hash"] == load_encoder(run, untrained=True).hash()
    assert whole.meta["transform_hash"] == encoder.transform.hash
    manifest = Manifest.load(clips)
    assert whole.meta["manifest_hash"] == manifest.hash
    assert whole.trained_on == {entry.content_hash for entry in manifest.entries}
    assert not (whole.path / "parts").exists()


def test_batches_are_bounded(clips: Path) -> None:
    """However long the video, no more than batch_frames frames are held, and none is lost or doubled."""
    taken = sampling.Sampling("video", 2, 4)
    with open_video(clips.parent / "videos/walk/c.avi") as reader:
        batches = [batch.copy() for batch in sampling.frame_batches(reader, taken)]
        assert [len(batch) for batch in batches] == [4, 4, 4, 3]
        np.testing.assert_array_equal(np.concatenate(batches), reader.at(range(0, 30, 2)))


def test_baselines_can_be_left_out(run: Path, clips: Path, tmp_path: Path) -> None:
    """Only what is asked for is computed, and unknown baselines are named."""
    assert take(run, clips, tmp_path / "store", baselines=()).names == ("layer1", "layer2")
    with pytest.raises(ValueError, match="baseline 'random'; choose from untrained, pixels"):
        take(run, clips, tmp_path / "other", baselines=("random",))


def stop_after(batches: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Interrupt the process, as Ctrl-C does, when so many batches have been read."""
    left = iter(range(batches))
    original = sampling.frame_batches

    def stopping(*arguments: Any) -> Iterator[Any]:
        for batch in original(*arguments):
            if next(left, None) is None:
                raise KeyboardInterrupt
            yield batch

    monkeypatch.setattr(sampling, "frame_batches", stopping)


@pytest.mark.parametrize("whole_store", ["whole", "whole_by_frame"])
@pytest.mark.parametrize("batches", [0, 2, 5, 10])
def test_resumed_store_is_the_uninterrupted_one(
    run: Path,
    clips: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
    batches: int,
    whole_store: str,
) -> None:
    """Stopped at any batch and resumed, every file is byte for byte that of an extraction nothing happened to."""
    undisturbed: FeatureStore = request.getfixturevalue(whole_store)
    with monkeypatch.context() as patch:
        stop_after(batches, patch)
        with pytest.raises(KeyboardInterrupt):
            take(run, clips, tmp_path / "store", per=undisturbed.per)
    with pytest.raises(RunError, match="has not finished"):
        FeatureStore.open(tmp_path / "store")
    take(run, clips, tmp_path / "store", per=undisturbed.per, resume=True)
    assert content(tmp_path / "store") == content(undisturbed.path)


def test_stopped_while_joining(
    run: Path, clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: FeatureStore
) -> None:
    """Stopped between the array files and meta.json, it resumes without a video being opened again."""
    with monkeypatch.context() as patch:
        patch.setattr(extraction, "write_tables", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            take(run, clips, tmp_path / "store")
    monkeypatch.setattr(extraction, "open_video", lambda *_, **__: pytest.fail("a finished video was opened again"))
    take(run, clips, tmp_path / "store", resume=True)
    assert content(tmp_path / "store") == content(whole.path)


KILLED = """
import os, signal, sys, torch
import seqff.features.sampling as sampling
from seqff.features import extract
torch.set_num_threads(int(sys.argv[4]))
original, read = sampling.frame_batches, []
def deadly(*arguments):
    for batch in original(*arguments):
        read.append(batch)
        if len(read) == 6:
            os.kill(os.getpid(), signal.SIGKILL)
        yield batch
sampling.frame_batches = deadly
extract(sys.argv[1], sys.argv[2], out=sys.argv[3], device="cpu", batch_frames=8, progress=False)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
def test_killed_in_the_middle_of_a_video(run: Path, clips: Path, tmp_path: Path, whole: FeatureStore) -> None:
    """After kill -9 the half-written video is not seen, finished ones are kept, and the resumed store is identical."""
    import torch

    arguments = [run, clips, tmp_path / "store", torch.get_num_threads()]
    child = subprocess.run([sys.executable, "-c", KILLED, *map(str, arguments)], check=False)
    assert child.returncode == -signal.SIGKILL
    assert len(list((tmp_path / "store/parts").glob("*.npy"))) == 2
    take(run, clips, tmp_path / "store", resume=True)
    assert content(tmp_path / "store") == content(whole.path)


def test_resuming_needs_the_same_settings(run: Path, clips: Path, tmp_path: Path) -> None:
    """What would mix two kinds of rows is refused and named; a finished store is returned as it is."""
    store = take(run, clips, tmp_path / "store")
    with pytest.raises(RunError, match="was begun with grid 2, now it is 1"):
        take(run, clips, tmp_path / "store", grid=1, resume=True)
    before = content(store.path)
    take(run, clips, tmp_path / "store", resume=True)
    assert content(store.path) == before
    few = clips.parent / "videos/run"
    with pytest.raises(RunError, match="finished, but for other videos"):
        take(run, scan_of(few, tmp_path), tmp_path / "store", resume=True)


def scan_of(folder: Path, tmp_path: Path, **options: Any) -> Path:
    scan(folder, out=tmp_path / "manifest.json", workers=1, progress=False, **options)
    return tmp_path / "manifest.json"


def test_folder_that_exists(run: Path, clips: Path, tmp_path: Path) -> None:
    """A store is not written over unless asked for, and a folder with other things in it never."""
    take(run, clips, tmp_path / "store", baselines=())
    with pytest.raises(RunError, match="store exists; resume goes on with it, overwrite deletes it"):
        take(run, clips, tmp_path / "store")
    assert take(run, clips, tmp_path / "store", overwrite=True).names == NAMES
    with pytest.raises(RunError, match=r"holds other things \(no settings.json in it\); nothing was touched"):
        take(run, clips, clips.parent, overwrite=True)
    assert clips.exists()
    with pytest.raises(ValueError, match="exclude each other"):
        take(run, clips, tmp_path / "store", overwrite=True, resume=True)


def test_bad_videos_are_listed(run: Path, clips: Path, tmp_path: Path) -> None:
    """Videos that cannot be read are left out and listed with their cause; the others are extracted."""
    shutil.copytree(clips.parent / "videos", tmp_path / "videos")
    (tmp_path / "videos/text.mp4").write_text("no video")
    (tmp_path / "videos/empty.mp4").touch()
    manifest = scan_of(tmp_path / "videos", tmp_path, max_bad=1)
    store = take(run, manifest, tmp_path / "store", max_bad=0.5, baselines=())
    assert sorted(store.skipped) == ["empty.mp4", "text.mp4"]
    assert len(store) == 5


def test_videos_that_fail_on_the_way(run: Path, clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A video that breaks while it is read is skipped and named; above max_bad that stops the extraction."""
    original = sampling.frame_batches

    def failing(reader: Any, *rest: Any) -> Iterator[Any]:
        for batch in original(reader, *rest):
            yield batch
            if reader.info.path.endswith("b.avi"):
                raise VideoError(reader.info.path, "pyav", "disk on fire")

    monkeypatch.setattr(sampling, "frame_batches", failing)
    with pytest.raises(RunError, match=r"1 of 5 videos cannot be read, .*disk on fire"):
        take(run, clips, tmp_path / "store", baselines=())
    store = take(run, clips, tmp_path / "store", baselines=(), max_bad=0.2, resume=True)
    assert list(store.skipped) == ["run/b.avi"]
    assert "run/b.avi" not in store.index.video
    assert len(store) == 4


def test_copies_are_decoded_once(run: Path, clips: Path, tmp_path: Path) -> None:
    """Copies of a file have rows of their own that are the same, from one decoding."""
    (tmp_path / "videos/x").mkdir(parents=True)
    for name in ("one.avi", "x/two.avi"):
        shutil.copy(clips.parent / "videos/run/a.avi", tmp_path / "videos" / name)
    store = take(run, scan_of(tmp_path / "videos", tmp_path), tmp_path / "store", baselines=())
    assert store.index.video == ("one.avi", "x/two.avi")
    rows = store.to_numpy("layer2")
    np.testing.assert_array_equal(rows[0], rows[1])


def test_no_record_of_training_videos(run: Path, clips: Path, tmp_path: Path) -> None:
    """A run without a manifest gives a store that does not claim to know what the encoder saw."""
    shutil.copytree(run, tmp_path / "run")
    (tmp_path / "run/manifest.json").unlink()
    assert take(tmp_path / "run", clips, tmp_path / "store", baselines=()).trained_on is None


@pytest.mark.parametrize(
    ("options", "text"),
    [({"per": "clip"}, "per is 'clip'"), ({"every": 0}, "every is 0"), ({"grid": 0}, "grid is 0")],
)
def test_wrong_arguments(run: Path, clips: Path, tmp_path: Path, options: dict[str, Any], text: str) -> None:
    """Arguments out of range are named before anything is written."""
    with pytest.raises(ValueError, match=text):
        take(run, clips, tmp_path / "store", **options)
    assert not (tmp_path / "store").exists()
