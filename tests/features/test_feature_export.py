"""Exports: the same numbers in other formats, read by the tools they are for."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

from seqff.cli import main
from seqff.errors import RunError
from seqff.features import FeatureIndex, FeatureStore, StoredVideo, export, write_store


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    """Five rows of two videos."""
    rng = np.random.default_rng(0)
    arrays = {"layer1": rng.normal(size=(5, 3)), "untrained/layer1": rng.normal(size=(5, 3)), "pixels": np.eye(5)}
    frame = np.array([0, 5, 10, 0, 5])
    index = FeatureIndex(("a/ä.avi",) * 3 + ("b.avi",) * 2, frame, np.ones(5, dtype=np.int64), frame / 25)
    videos = [StoredVideo("a/ä.avi", "h1", 11), StoredVideo("b.avi", "h2", 6)]
    return write_store(tmp_path / "store", arrays, videos=videos, index=index, per="frame")


def test_npz(store: FeatureStore, tmp_path: Path) -> None:
    """NumPy reads arrays, index and meta.json, without pickle."""
    with np.load(export(store, out=tmp_path / "x.npz"), allow_pickle=False) as file:
        for name in store.names:
            np.testing.assert_array_equal(file[name], store.array(name))
        assert tuple(file["index/video"]) == store.index.video
        np.testing.assert_array_equal(file["index/time_seconds"], store.index.time_seconds)
        assert json.loads(str(file["meta"])) == store.meta


def test_safetensors(store: FeatureStore, tmp_path: Path) -> None:
    """safetensors reads the arrays chosen, the index, and the names of the videos."""
    path = export(store.path, out=tmp_path / "new/x.safetensors", arrays=("pixels",))
    with safe_open(path, framework="np") as file:
        assert set(file.keys()) == {"pixels", "index/video", "index/frame", "index/frames", "index/time_seconds"}
        np.testing.assert_array_equal(file.get_tensor("pixels"), store.array("pixels"))
        names = file.metadata()["videos"].split("\n")
        assert tuple(names[place] for place in file.get_tensor("index/video")) == store.index.video
        assert json.loads(file.metadata()["meta"]) == store.meta


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_parquet(store: FeatureStore, tmp_path: Path, dtype: type) -> None:
    """pyarrow reads a row a row, an array a column of vectors."""
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    np.save(store.path / "arrays/layer1.npy", store.array("layer1").astype(dtype))
    table = parquet.read_table(export(store, out=tmp_path / "x.parquet"))
    assert table.column_names == ["video", "frame", "frames", "time_seconds", *store.names]
    assert tuple(table["video"].to_pylist()) == store.index.video
    np.testing.assert_array_equal(np.array(table["layer1"].to_pylist(), dtype=dtype), store.array("layer1"))
    np.testing.assert_array_equal(table["time_seconds"].to_numpy(), store.index.time_seconds)
    assert json.loads(table.schema.metadata[b"meta"]) == store.meta


def test_to_frame(store: FeatureStore) -> None:
    """A table of pandas has a column a number, beside the index."""
    pytest.importorskip("pandas", reason="pandas is not installed")
    frame = store.to_frame("layer1")
    assert list(frame.columns) == ["video", "frame", "frames", "time_seconds", "layer1/0", "layer1/1", "layer1/2"]
    np.testing.assert_array_equal(frame.filter(like="layer1/"), store.array("layer1"))
    assert frame.groupby("video").size().to_dict() == {"a/ä.avi": 3, "b.avi": 2}
    assert len(store.to_frame().columns) == 4 + 3 + 3 + 5


def test_what_is_not_installed_is_named(store: FeatureStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the optional packages one line says what to install, and no file is left."""
    monkeypatch.setitem(sys.modules, "pandas", None)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(RunError, match=r"pip install 'seqff\[pandas\]'"):
        store.to_frame()
    with pytest.raises(RunError, match=r"pip install 'seqff\[parquet\]'"):
        export(store, out=tmp_path / "x.parquet")
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


def test_command(store: FeatureStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command writes what its ending says, never over a file unasked, and names what it cannot do."""
    arguments = ["export", str(store.path), "--out", str(tmp_path / "x.npz")]
    assert main(arguments) == 0
    assert main(arguments) == 1
    assert "x.npz exists; overwrite replaces it" in capsys.readouterr().err
    assert main([*arguments, "--overwrite", "--arrays", "pixels", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["bytes"] == (tmp_path / "x.npz").stat().st_size
    assert main([*arguments[:3], str(tmp_path / "x.mat")]) == 2
    assert "must end with one of .npz, .safetensors, .parquet" in capsys.readouterr().err
    assert main([*arguments, "--overwrite", "--arrays", "layer9"]) == 2
    assert "no array 'layer9'" in capsys.readouterr().err
