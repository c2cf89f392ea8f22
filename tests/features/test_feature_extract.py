"""Extraction: the right numbers and the right rows."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.extracting import NAMES, scan_of, take

import seqff.features.decoding as decoding
from seqff.errors import RunError, VideoError
from seqff.features import FeatureStore
from seqff.features.describe import FrameDescriber
from seqff.nets import load_encoder
from seqff.video import Manifest, open_video

Arrays = dict[str, np.ndarray]


def plain_features(run: Path, clips: Path, grid: int | None = 2) -> Iterator[tuple[str, Arrays]]:
    """Every video's cells (None: every place), all frames at once, by reshaping: (T, D) by name of the array."""
    manifest = Manifest.load(clips)
    for entry in manifest.usable:
        trained, untrained = load_encoder(run), load_encoder(run, untrained=True)
        with open_video(manifest.path(entry), size=trained.transform.decode_size(48, 60)) as reader:
            x = trained.transform(reader.at(range(reader.info.frames)))
        maps: dict[str, tuple[Any, int | None]] = {"pixels": (x, 8)}
        for prefix, encoder in (("", trained), ("untrained/", untrained)):
            maps |= {f"{prefix}layer{n}": (layer, grid) for n, layer in enumerate(encoder(x), start=1)}
        yield entry.path, {name: cells(layer.detach().numpy(), side) for name, (layer, side) in maps.items()}


def cells(maps: np.ndarray, grid: int | None) -> np.ndarray:
    n, c, h, w = maps.shape
    if grid is None:
        return maps.reshape(n, -1)
    return maps.reshape(n, c, grid, h // grid, grid, w // grid).mean(axis=(3, 5)).reshape(n, -1)


def over_time(x: np.ndarray) -> np.ndarray:
    return np.concatenate([x.mean(axis=0), x.std(axis=0), np.abs(np.diff(x, axis=0)).mean(axis=0)])


def test_features_are_those_of_a_plain_computation(run: Path, clips: Path, whole: FeatureStore) -> None:
    """Trained, untrained and pixel rows equal mean, sd and mean |difference| over all frames computed at once."""
    assert whole.names == NAMES
    for row, (path, arrays) in enumerate(plain_features(run, clips)):
        assert whole.index.video[row] == path
        for name, x in arrays.items():
            np.testing.assert_allclose(whole.to_numpy(name)[row], over_time(x), atol=2e-5, err_msg=f"{path} {name}")


@pytest.mark.parametrize(("options", "step"), [({"every": 3}, 3), ({"every_seconds": 0.2}, 5)])
def test_rows_per_frame(run: Path, clips: Path, tmp_path: Path, options: dict[str, Any], step: int) -> None:
    """Every third frame, or one each 0.2 s at 25 / s, is a row, with its number and time, equal to the plain one."""
    store = take(run, clips, tmp_path / "store", per="frame", **options)
    expected = list(range(0, 21, step))
    first = store.index.frame[: len(expected)]
    assert store.index.video.count("run/a.avi") == len(expected)
    assert first.tolist() == expected
    np.testing.assert_allclose(store.index.time_seconds[: len(expected)], first / 25, atol=1e-9)
    start = 0
    for _, arrays in plain_features(run, clips):
        rows = slice(start, start + len(arrays["pixels"][::step]))
        for name, x in arrays.items():
            np.testing.assert_allclose(store.to_numpy(name)[rows], x[::step], atol=2e-5)
        start = rows.stop
    assert start == len(store)


@pytest.mark.parametrize("batch_frames", [3, 64])
@pytest.mark.parametrize(("length", "stride"), [(6, 0), (6, 2), (4, 9)])
def test_rows_per_clip(run: Path, clips: Path, tmp_path: Path, length: int, stride: int, batch_frames: int) -> None:
    """Windows of the frames taken, touching, overlapping or apart, each pooled alone; a short video is one window."""
    options = {"clip_frames": length, "clip_stride": stride, "batch_frames": batch_frames}
    store = take(run, clips, tmp_path / "store", per="clip", every=2, **options)
    row = 0
    for path, arrays in plain_features(run, clips):
        taken = {name: x[::2] for name, x in arrays.items()}
        count = len(taken["pixels"])
        for start in range(0, max(count - length, 0) + 1, stride or length):
            assert (store.index.video[row], store.index.frame[row]) == (path, 2 * start)
            assert store.index.frames[row] == min(length, count)
            assert store.index.time_seconds[row] == pytest.approx(2 * start / 25)
            for name in ("layer2", "pixels"):
                x = taken[name][start : start + length]
                expected = over_time(x) if len(x) > 1 else np.concatenate([x[0], np.zeros(2 * x.shape[1])])
                np.testing.assert_allclose(store.array(name)[row], expected, atol=2e-5)
            row += 1
    assert row == len(store)


def test_full_maps(run: Path, clips: Path, tmp_path: Path) -> None:
    """With grid "full" a row holds every place of every map; where the map's cells are is in the store."""
    store = take(run, clips, tmp_path / "store", per="frame", grid="full")
    path, arrays = next(plain_features(run, clips, grid=None))
    assert store.index.video[0] == path
    for name, x in arrays.items():
        np.testing.assert_allclose(store.array(name)[: len(x)], x, atol=2e-5)
    assert store.meta["arrays"]["layer2"] == {"width": 6 * 8 * 12, "channels": 6, "cells": [8, 12]}


def test_choice_of_statistics(run: Path, clips: Path, tmp_path: Path, whole: FeatureStore) -> None:
    """Only the statistics asked for are stored, in the order mean, std, mean |difference|."""
    store = take(run, clips, tmp_path / "store", statistics=("mean_abs_difference", "mean"), baselines=())
    both = whole.to_numpy("layer1").reshape(5, 3, -1)[:, [0, 2]]
    np.testing.assert_array_equal(store.to_numpy("layer1"), both.reshape(5, -1))
    assert store.meta["arrays"]["layer1"]["width"] == both[0].size


def test_half_precision(run: Path, clips: Path, tmp_path: Path, whole: FeatureStore) -> None:
    """fp16 rows are the fp32 ones rounded, on disk; in memory they are float32 again."""
    store = take(run, clips, tmp_path / "store", dtype="fp16")
    for name in NAMES:
        assert store.array(name).dtype == np.float16
        assert store.to_numpy(name).dtype == np.float32
        np.testing.assert_array_equal(store.array(name), whole.to_numpy(name).astype(np.float16))


def test_values_beyond_half_precision(run: Path, clips: Path, tmp_path: Path) -> None:
    """A value that fp16 cannot hold stops the extraction and names the layer, rather than become infinite."""
    from safetensors.torch import load_file, save_file

    shutil.copytree(run, tmp_path / "run")
    weights = load_file(run / "encoder.safetensors")
    last = {name: tensor * 1e6 if name.startswith("layers.1") else tensor for name, tensor in weights.items()}
    save_file(last, tmp_path / "run/encoder.safetensors")
    with pytest.raises(RunError, match=r"layer2 has values up to .*, fp16 holds no more than 65504"):
        take(tmp_path / "run", clips, tmp_path / "store", dtype="fp16")


def test_decoding_goes_on_while_the_encoder_works(
    run: Path, clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the first batch is being described, the next ones are decoded, of the next video, too."""
    another = threading.Event()  # the first video has 3 batches of 8 frames, so the 5th is of another
    decoded: list[int] = []
    batches, describe = decoding.frame_batches, FrameDescriber.__call__

    def noting(*arguments: Any) -> Iterator[Any]:
        for batch in batches(*arguments):
            decoded.append(len(batch))
            if len(decoded) == 5:
                another.set()
            yield batch

    def waiting(self: FrameDescriber, frames: np.ndarray) -> Any:
        assert another.wait(120)
        return describe(self, frames)

    monkeypatch.setattr(decoding, "frame_batches", noting)
    monkeypatch.setattr(FrameDescriber, "__call__", waiting)
    take(run, clips, tmp_path / "store")
    assert sum(decoded) == sum(entry.frames for entry in Manifest.load(clips).entries)


@pytest.mark.parametrize("workers", [2, 9])
def test_threads_change_nothing(run: Path, clips: Path, tmp_path: Path, whole: FeatureStore, workers: int) -> None:
    """However many threads decode, each row is bit for bit the same."""
    store = take(run, clips, tmp_path / "store", workers=workers)
    for name in NAMES:
        np.testing.assert_array_equal(store.array(name), whole.array(name))


def test_widths_are_stated(whole: FeatureStore) -> None:
    """3 statistics x channels x cells; the pixel baseline is 3 x 3 colors x 64 cells."""
    widths = [whole.to_numpy(name).shape for name in NAMES]
    assert widths == [(5, 3 * 4 * 4), (5, 3 * 6 * 4), (5, 3 * 4 * 4), (5, 3 * 6 * 4), (5, 3 * 3 * 64)]
    assert [entry["width"] for entry in whole.meta["arrays"].values()] == [width for _, width in widths]


def test_meta_says_where_features_come_from(run: Path, clips: Path, whole: FeatureStore) -> None:
    """Hashes of encoders, transform and videos, and which videos the encoder was trained on, are recorded."""
    encoder = load_encoder(run)
    assert whole.meta["encoder"]["hash"] == encoder.hash()
    assert whole.meta["encoder"]["untrained_hash"] == load_encoder(run, untrained=True).hash()
    assert whole.meta["transform_hash"] == encoder.transform.hash
    assert {"seqff", "torch", "numpy", "av"} <= set(whole.meta["versions"])
    manifest = Manifest.load(clips)
    assert whole.meta["manifest_hash"] == manifest.hash
    assert whole.trained_on == {entry.content_hash for entry in manifest.entries}
    assert not (whole.path / "parts").exists()


def test_baselines_can_be_left_out(run: Path, clips: Path, tmp_path: Path) -> None:
    """Only what is asked for is computed, and unknown baselines are named."""
    assert take(run, clips, tmp_path / "store", baselines=()).names == ("layer1", "layer2")
    with pytest.raises(ValueError, match="baseline 'random'; choose from untrained, pixels"):
        take(run, clips, tmp_path / "other", baselines=("random",))


def test_bad_videos_are_listed(run: Path, clips: Path, tmp_path: Path) -> None:
    """Videos that cannot be read are left out and listed with their cause; the others are extracted."""
    shutil.copytree(clips.parent / "videos", tmp_path / "videos")
    (tmp_path / "videos/text.mp4").write_text("no video")
    (tmp_path / "videos/empty.mp4").touch()
    manifest = scan_of(tmp_path / "videos", tmp_path, max_bad=1)
    store = take(run, manifest, tmp_path / "store", max_bad=0.5, baselines=())
    assert sorted(store.skipped) == ["empty.mp4", "text.mp4"]
    assert store.meta["skipped"] == store.skipped
    assert len(store) == 5


def test_videos_that_fail_on_the_way(run: Path, clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A video that breaks while it is read is skipped and named; above max_bad that stops the extraction."""
    original = decoding.frame_batches

    def failing(reader: Any, *rest: Any) -> Iterator[Any]:
        for batch in original(reader, *rest):
            yield batch
            if reader.info.path.endswith("a.avi"):
                raise VideoError(reader.info.path, "pyav", "disk on fire")

    monkeypatch.setattr(decoding, "frame_batches", failing)
    with pytest.raises(RunError, match=r"1 of 5 videos cannot be read, .*disk on fire"):
        take(run, clips, tmp_path / "store", baselines=())
    store = take(run, clips, tmp_path / "store", baselines=(), max_bad=0.2, resume=True)
    assert list(store.skipped) == ["run/a.avi"]
    assert "run/a.avi" not in store.index.video
    assert len(store) == 4


@pytest.fixture
def copies(clips: Path, tmp_path: Path) -> Path:
    """Manifest of a folder with the same video twice."""
    (tmp_path / "videos/x").mkdir(parents=True)
    for name in ("one.avi", "x/two.avi"):
        shutil.copy(clips.parent / "videos/run/a.avi", tmp_path / "videos" / name)
    return scan_of(tmp_path / "videos", tmp_path)


@pytest.mark.parametrize("broken", ["", "one.avi"])
def test_copies_are_decoded_once(
    run: Path, copies: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    """Copies of a file have rows of their own that are the same, from one decoding, of one that can be read."""
    opened: list[str] = []
    original = decoding.open_video

    def noting(path: Path, **rest: Any) -> Any:
        opened.append(path.name)
        if path.name == broken:
            raise VideoError(path, "pyav", "disk on fire")
        return original(path, **rest)

    monkeypatch.setattr(decoding, "open_video", noting)
    store = take(run, copies, tmp_path / "store", baselines=(), max_bad=0.5)
    assert store.index.video == ("one.avi", "x/two.avi")
    assert opened == (["one.avi", "two.avi"] if broken else ["one.avi"])
    rows = store.to_numpy("layer2")
    np.testing.assert_array_equal(rows[0], rows[1])


def test_no_record_of_training_videos(run: Path, clips: Path, tmp_path: Path) -> None:
    """A run without a manifest gives a store that does not claim to know what the encoder saw."""
    shutil.copytree(run, tmp_path / "run")
    (tmp_path / "run/manifest.json").unlink()
    assert take(tmp_path / "run", clips, tmp_path / "store", baselines=()).trained_on is None


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"per": "scene"}, "per is 'scene'; choose from video, clip, frame"),
        ({"every": 0}, "every is 0"),
        ({"every": 2, "every_seconds": 1.0}, "every_seconds is 1 and every 2; give one"),
        ({"per": "clip", "clip_frames": 0}, "clip_frames is 0"),
        ({"clip_stride": -1}, "clip_stride is -1"),
        ({"statistics": ("median",)}, r"statistics are \('median',\); choose from mean, std"),
        ({"grid": 0}, "grid is 0"),
        ({"dtype": "bf16"}, "dtype is 'bf16'; choose from fp32, fp16"),
        ({"workers": 0}, "workers is 0"),
        ({"rank": 2, "world_size": 2}, "rank is 2 of 2; it must be 0 to 1"),
        ({"rank": 0}, "give both or neither"),
    ],
)
def test_wrong_arguments(run: Path, clips: Path, tmp_path: Path, options: dict[str, Any], text: str) -> None:
    """Arguments out of range are named before anything is written."""
    with pytest.raises(ValueError, match=text):
        take(run, clips, tmp_path / "store", **options)
    assert not (tmp_path / "store").exists()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_same_numbers_on_cuda(run: Path, clips: Path, tmp_path: Path, whole: FeatureStore) -> None:
    """CUDA gives the CPU's features up to rounding."""
    store = take(run, clips, tmp_path / "store", device="cuda")
    for name in NAMES:
        np.testing.assert_allclose(store.array(name), whole.array(name), atol=1e-4)
