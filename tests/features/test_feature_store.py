"""The store: complete or absent, lazy, and with helpful errors."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from seqff.errors import RunError
from seqff.features import FeatureIndex, FeatureStore, StoredVideo, write_store

VIDEOS = [StoredVideo("a/1, cut.avi", "h1", 7), StoredVideo("b/näme.avi", "h2", 5)]


def test_what_is_written_is_read(tmp_path: Path) -> None:
    """Arrays, index, videos, skipped files and the videos trained on come back as they were."""
    arrays = {"layer1": np.arange(6, dtype=np.float32).reshape(2, 3), "untrained/layer1": np.ones((2, 3))}
    write_store(tmp_path / "s", arrays, videos=VIDEOS, trained_on=["h2"], skipped={"c.avi": "zero bytes"})
    store = FeatureStore.open(tmp_path / "s")
    assert store.names == ("layer1", "untrained/layer1")
    assert store.to_numpy("layer1").dtype == np.float32
    np.testing.assert_array_equal(store.to_numpy("layer1"), arrays["layer1"])
    assert store.videos == tuple(VIDEOS)
    assert store.index.video == ("a/1, cut.avi", "b/näme.avi")
    assert store.index.frames.tolist() == [7, 5]
    assert store.trained_on == {"h2"}
    assert store.skipped == {"c.avi": "zero bytes"}
    assert len(store) == 2
    assert "layer1 3" in repr(store)


def test_times_keep_all_digits(tmp_path: Path) -> None:
    """Times in index.csv are read back to the last bit."""
    times = np.array([1 / 3, 1001 / 30000, 1e-9])
    index = FeatureIndex(("a", "a", "a"), np.arange(3), np.ones(3, dtype=np.int64), times)
    videos = [StoredVideo("a", "h", 3)]
    store = write_store(tmp_path / "s", {"layer1": np.zeros((3, 1))}, videos=videos, index=index, per="frame")
    np.testing.assert_array_equal(store.index.time_seconds, times)


def test_arrays_are_mapped_not_read(tmp_path: Path) -> None:
    """`array` gives a read-only map of the file, `to_numpy` memory of one's own."""
    store = write_store(tmp_path / "s", {"layer1": np.zeros((2, 3))}, videos=VIDEOS)
    mapped = store.array("layer1")
    assert isinstance(mapped, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        mapped[0, 0] = 1
    store.to_numpy("layer1")[0, 0] = 1
    assert store.to_numpy("layer1")[0, 0] == 0


def test_stores_that_cannot_be_opened(tmp_path: Path) -> None:
    """No folder, no store, an unfinished one, one of another format, and a damaged array are told apart."""
    with pytest.raises(RunError, match="no such folder"):
        FeatureStore.open(tmp_path / "nowhere")
    with pytest.raises(RunError, match=r"it has no meta.json"):
        FeatureStore.open(tmp_path)
    (tmp_path / "settings.json").write_text("{}")
    with pytest.raises(RunError, match="has not finished; extract again with resume"):
        FeatureStore.open(tmp_path)
    store = write_store(tmp_path / "s", {"layer1": np.zeros((2, 3))}, videos=VIDEOS)
    with pytest.raises(ValueError, match=r"no array 'layer2' in .*; did you mean 'layer1'"):
        store.array("layer2")
    np.save(store.path / "arrays/layer1.npy", np.zeros((1, 3), dtype=np.float32))
    with pytest.raises(RunError, match=r"has shape \(1, 3\), expected \(2, 3\)"):
        store.array("layer1")
    (store.path / "arrays/layer1.npy").write_bytes(b"no array")
    with pytest.raises(RunError, match=r"layer1.npy cannot be read"):
        store.array("layer1")
    meta = json.loads((store.path / "meta.json").read_text())
    (store.path / "meta.json").write_text(json.dumps({**meta, "format_version": 99}))
    with pytest.raises(RunError, match="expected seqff-features 1"):
        FeatureStore.open(store.path)


def test_stores_that_cannot_be_written(tmp_path: Path) -> None:
    """Rows that do not fit the videos, and a folder that exists, are refused."""
    with pytest.raises(ValueError, match=r"'layer1' has shape \(3, 2\); expected \(2, D\)"):
        write_store(tmp_path / "s", {"layer1": np.zeros((3, 2))}, videos=VIDEOS)
    with pytest.raises(RunError, match="exists already"):
        write_store(tmp_path, {}, videos=VIDEOS)
