"""Moments are grouped consistently over time, and the output lists segments of every video."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from explore.conftest import FRAMES, STATES
from helpers.extracting import content
from helpers.reading_pages import read_page

import seqff
from seqff.cli import main
from seqff.errors import RunError
from seqff.explore import grouping
from seqff.explore.grouping import smooth
from seqff.features import FeatureStore
from seqff.files import read_csv

MakeStates = Callable[..., FeatureStore]


def group(store: FeatureStore, out: Path, **options: Any) -> Any:
    """Cluster without bars."""
    return seqff.cluster(store, out=out, progress=False, **options)


def agrees(labels: np.ndarray) -> float:
    """Share of the rows whose state is the one that most rows of their cluster have."""
    truth = np.concatenate([np.repeat(list(states), FRAMES // len(states)) for states in STATES.values()])
    right = sum(np.unique(truth[labels == number], return_counts=True)[1].max() for number in np.unique(labels))
    return float(right) / len(truth)


@pytest.mark.parametrize("method", ["kmeans", "hdbscan"])
def test_states_are_found(states: FeatureStore, tmp_path: Path, method: str) -> None:
    """Three states give three clusters, and segments begin and end where the states do."""
    found = group(states, tmp_path / "c", k=3, method=method, min_rows=20)
    assert [one.number for one in found.clusters if one.number] == [1, 2, 3]
    assert agrees(found.labels) == 1
    for name, shown in STATES.items():
        parts = [one for one in found.segments if one.video == name]
        lengths = [len(list(run)) * 2.0 for _, run in itertools.groupby(shown)]
        assert [one.stop_seconds - one.start_seconds for one in parts] == pytest.approx(lengths, abs=0.05)
    assert [one.seconds for one in found.clusters if one.number] == sorted(
        (one.seconds for one in found.clusters if one.number), reverse=True
    )


def test_segments_cover_every_video_once(by_frame: FeatureStore, by_clip: FeatureStore, tmp_path: Path) -> None:
    """Each begins where the one before ends, the first at the first row, and the last ends with the video."""
    for store in (by_frame, by_clip):
        found = group(store, tmp_path / store.per, k=4, min_seconds=0)
        rows = read_csv(found.path / "segments.csv")
        assert len(rows) == len(found.segments)
        for video in store.videos:
            parts = [row for row in rows if row["video"] == video.path]
            times = [(float(row["start_seconds"]), float(row["stop_seconds"])) for row in parts]
            assert times[0][0] == 0
            assert all(one[1] == two[0] for one, two in itertools.pairwise(times))
            rate = store.index.time_seconds[1] / store.index.frame[1]
            assert times[-1][1] == pytest.approx(video.frames * rate, rel=1e-6)


def test_the_same_seed_gives_the_same_files(make_states: MakeStates, tmp_path: Path) -> None:
    """To the byte."""
    store = make_states(noise=6.0)
    one, two, three = (
        group(store, tmp_path / name, k=5, seed=seed) for name, seed in zip("abc", (1, 1, 2), strict=True)
    )
    assert content(one.path) == content(two.path)
    assert (one.labels == two.labels).all()
    assert three.path.is_dir()


def test_rows_beyond_those_drawn_join_the_nearest(
    states: FeatureStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a large store clusters are found on a part of the rows, and hold for all."""
    monkeypatch.setattr(grouping, "MOST_ROWS", {"kmeans": 60, "hdbscan": 60})
    for method in ("kmeans", "hdbscan"):
        assert agrees(group(states, tmp_path / method, k=3, method=method, min_seconds=0).labels) == 1


def test_hdbscan_leaves_out_what_is_in_no_group(make_states: MakeStates, tmp_path: Path) -> None:
    """Rows far from all others are in cluster 0, the last one of the table."""
    store = make_states()
    file = store.path / "arrays" / "layer2.npy"
    x = np.load(file)
    lonely = np.arange(3, 300, 37)
    x[lonely] += 200 * np.random.default_rng(5).normal(size=(len(lonely), 8)).astype(x.dtype)
    np.save(file, x)
    found = group(store, tmp_path / "c", method="hdbscan", min_rows=10, min_seconds=0)
    assert (found.labels[lonely] == 0).all()
    assert found.clusters[-1].number == 0
    assert "none" in found.table().splitlines()[-1]


@pytest.mark.parametrize("seed", range(5))
def test_smoothing_leaves_no_short_segment(seed: int) -> None:
    """However labels jump; and what is long already stays as it is."""
    rng = np.random.default_rng(seed)
    starts = np.cumsum(rng.uniform(0.05, 0.2, 100))
    labels = rng.integers(0, 3, 100)
    done = smooth(labels, starts, starts[-1] + 0.1, 0.8)
    cuts = np.flatnonzero(np.diff(done)) + 1
    lengths = np.diff([starts[0], *starts[cuts], starts[-1] + 0.1])
    assert lengths.min() >= 0.8 - 1e-6
    assert set(done) <= set(labels)
    assert (smooth(done, starts, starts[-1] + 0.1, 0) == done).all()
    calm = np.repeat([2, 0, 1], [30, 40, 30])
    assert (smooth(calm, np.arange(100) / 10, 10.0, 0.8) == calm).all()


def test_a_flicker_goes_to_the_majority() -> None:
    """A row among others of one cluster takes theirs; a video shorter than the least is one segment."""
    starts = np.arange(12) / 10
    flicker = np.array([0] * 5 + [1] + [0] * 6)
    assert (smooth(flicker, starts, 1.2, 0.5) == 0).all()
    assert len(set(smooth(np.array([0, 1, 1, 1]), starts[:4], 0.4, 5.0).tolist())) == 1


def test_the_segments_are_labels_for_a_probe(states: FeatureStore, tmp_path: Path) -> None:
    """`probe` reads segments.csv, with the clusters as classes."""
    found = group(states, tmp_path / "c", k=3)
    result = seqff.probe(
        states, labels=found.path / "segments.csv", columns=["cluster"], folds=2, out=None, progress=False
    )
    assert result["cluster"].layers[0].trained.accuracy > 0.95


def test_pictures(by_frame: FeatureStore, tmp_path: Path) -> None:
    """The ethogram has a bar a segment, the page frames of each cluster, and no video name is taken for HTML."""
    found = group(by_frame, tmp_path / "c", k=3, min_seconds=0)
    drawing = ElementTree.parse(found.path / "ethogram.svg").getroot()
    bars = list(drawing.iter("{http://www.w3.org/2000/svg}rect"))
    assert len(bars) == len(found.segments)
    assert len({bar.attrib["fill"] for bar in bars}) == 3
    page = read_page((found.path / "page.html").read_text(encoding="utf-8"))
    shown = sum(element.attributes.get("class") == "frame" for element in page.elements)
    assert shown == sum(len(one.examples) for one in found.clusters) > 3
    assert json.loads((found.path / "clusters.json").read_text())["k"] == 3


def test_what_cannot_be_grouped_is_said(states: FeatureStore, by_video: FeatureStore, tmp_path: Path) -> None:
    """Whole videos, more clusters than rows, features that do not vary, a folder in the way; nothing is left."""
    out = tmp_path / "c"
    with pytest.raises(ValueError, match="extract with --per frame or clip"):
        group(by_video, out)
    with pytest.raises(ValueError, match="300 rows, too few for 301 clusters"):
        group(states, out, k=301)
    with pytest.raises(ValueError, match="same features"):
        group(states, out, layer="pixels")
    with pytest.raises(ValueError, match="choose from kmeans, hdbscan"):
        group(states, out, method="dbscan")
    assert not out.exists()
    out.mkdir()
    (out / "thesis.txt").write_text("mine")
    with pytest.raises(RunError, match="holds other things"):
        group(states, out, overwrite=True)
    assert (out / "thesis.txt").exists()


def test_the_command(states: FeatureStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Prints the clusters and where they are; --overwrite replaces them."""
    given = ["cluster", str(states.path), "--k", "3", "--out", str(tmp_path / "c"), "--no-progress"]
    assert main(given) == 0
    text = capsys.readouterr().out
    assert "3 clusters of layer2 by kmeans" in text
    assert f"written: {tmp_path / 'c'}" in text
    assert main(given) == 1
    assert "overwrite" in capsys.readouterr().err
    assert main([*given, "--overwrite", "--layer", "0", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["layer"] == "layer1"
