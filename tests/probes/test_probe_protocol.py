"""The whole protocol on small stores with known answers."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from seqff.errors import LabelError, RunError
from seqff.features import FeatureIndex, FeatureStore, StoredVideo, write_store
from seqff.probes import probe
from seqff.probes.metadata import seen

MakeStore = Callable[..., FeatureStore]
SUBJECTS = "(?P<group>subject[0-9]+)_"


def run(store: FeatureStore, **options):  # type: ignore[no-untyped-def]
    return probe(store, **{"labels": "folder", "out": None, "progress": False, **options})


def test_signal_is_found_and_noise_is_not(make_store: MakeStore) -> None:
    """Features that carry the class score near 1, those that carry none near chance, and the difference shows."""
    result = run(make_store(), groups=SUBJECTS)
    (layer,) = result.layers
    assert layer.trained.accuracy > 0.9
    assert result.pixels is not None
    assert result.pixels.interval[0] < result.majority < result.pixels.interval[1]
    assert layer.untrained is not None
    assert layer.difference is not None
    assert layer.difference.accuracy == pytest.approx(layer.trained.accuracy - layer.untrained.accuracy)
    assert layer.difference.interval[0] <= layer.difference.accuracy <= layer.difference.interval[1]


def test_meaningless_labels_score_chance(make_store: MakeStore) -> None:
    """Over seeds, labels that mean nothing are inside the interval, and their mean is chance."""
    scores, inside = [], []
    for seed in range(8):
        store = make_store(classes=2, subjects=20, signal=0, seed=seed, names_kept=("layer1",))
        layer = run(store, seed=seed, folds=4).layers[0].trained
        scores.append(layer.accuracy)
        inside.append(layer.interval[0] <= 0.5 <= layer.interval[1])
    assert abs(np.mean(scores) - 0.5) < 0.1  # sd of the mean: 0.5 / sqrt(8 * 40) = 0.03
    assert sum(inside) >= 6


def test_frames_of_one_video_do_not_give_each_other_away(tmp_path: Path) -> None:
    """On frames that know their video but nothing of its label, a split by frames scores 1, the protocol chance."""
    rng = np.random.default_rng(0)
    videos = [StoredVideo(f"{'ab'[i % 2]}/{i}.avi", str(i), 10) for i in range(40)]
    of_row = np.repeat(np.arange(40), 10)
    x = (rng.normal(size=(40, 16))[of_row] + 0.1 * rng.normal(size=(400, 16))).astype(np.float32)
    frame = np.tile(np.arange(10), 40)
    index = FeatureIndex(tuple(videos[i].path for i in of_row), frame, np.ones_like(frame), frame / 25)
    store = write_store(tmp_path / "store", {"layer1": x}, videos=videos, index=index, per="frame")
    result = run(store)
    assert result.layers[0].trained.interval[0] <= 0.5 <= result.layers[0].trained.interval[1]
    nearest = np.square(x[1::2, None] - x[None, ::2]).sum(axis=2).argmin(axis=1)
    assert np.mean((of_row[::2] % 2)[nearest] == of_row[1::2] % 2) > 0.95


def test_rows_per_frame_are_scored_by_frame_and_drawn_by_video(make_store: MakeStore) -> None:
    """With ten frames a video every frame is an answer, but the interval is as wide as that of one answer a video."""
    few, many = (
        run(make_store(signal=0.5, frames=frames, names_kept=("layer1",)), groups=SUBJECTS, folds=3)
        for frames in (0, 10)
    )
    assert len(many.layers[0].trained.predicted) == 10 * len(few.layers[0].trained.predicted)
    width = [np.diff(result.layers[0].trained.interval)[0] for result in (few, many)]
    assert width[1] > 0.7 * width[0]


def test_same_seed_same_numbers(make_store: MakeStore) -> None:
    """All but the seconds is a function of store, labels and seed."""
    store = make_store(signal=1.0, names_kept=("layer1",))

    def numbers(seed: int) -> str:
        content = run(store, seed=seed, folds=3).to_dict()
        return json.dumps(content, default=str, sort_keys=True)

    def without_seconds(text: str) -> object:
        return json.loads(text, object_hook=lambda entry: {k: v for k, v in entry.items() if k != "seconds"})

    assert without_seconds(numbers(1)) == without_seconds(numbers(1))
    assert without_seconds(numbers(1)) != without_seconds(numbers(2))


def test_files_hold_what_the_result_holds(make_store: MakeStore, tmp_path: Path) -> None:
    """results.json is strict JSON in the layout others read; predictions.csv recomputes to the accuracy."""
    result = run(make_store(), groups=SUBJECTS, out=tmp_path / "probe")
    content = json.loads((tmp_path / "probe/results.json").read_text(), parse_constant=lambda word: 1 / 0)
    assert content["protocol"] == "v1"
    (layer,) = content["layers"]
    assert layer["name"] == "layer1"
    assert layer["accuracy"] == result.layers[0].trained.accuracy
    low, high = layer["interval"]
    assert low <= layer["accuracy"] <= high
    assert set(layer["untrained"]) >= {"accuracy", "interval"}
    assert set(layer["difference"]) == {"accuracy", "interval"}
    assert set(content["pixels"]) >= {"accuracy", "interval", "mean_class_accuracy", "seconds"}
    assert content["majority"] == pytest.approx(1 / 3)
    assert content["encoder_seen"] == "seen"
    assert len(content["lambdas"]) == 13
    assert all(1 < len(scores) <= 13 for scores in layer["lambda_scores"])
    assert [fold["name"] for fold in content["folds"]] == [f"subject{i}" for i in range(6)]
    with (tmp_path / "probe/predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert np.mean([row["layer1"] == row["label"] for row in rows]) == pytest.approx(layer["accuracy"])
    assert all(row["fold"] == row["group"] for row in rows)
    assert (tmp_path / "probe/results.csv").read_text().count("\n") == 5


def test_table_has_a_line_a_layer_and_the_baselines(make_store: MakeStore) -> None:
    """The table names every layer, pixels and majority, and says what the numbers rest on."""
    lines = run(make_store(), groups=SUBJECTS).table().splitlines()
    assert "18 videos" in lines[0]
    assert "leave one group out (6 folds)" in lines[0]
    assert "videos seen in training (without labels)" in lines[0]
    assert [line.split()[0] for line in lines[1:5]] == ["layer", "layer1", "pixels", "majority"]


def test_collapsed_and_diverged_layers(tmp_path: Path) -> None:
    """A layer of constants is scored and named; one that is not finite stops the probe and names the video."""
    videos = [StoredVideo(f"{'ab'[i % 2]}/{i}.avi", str(i), 1) for i in range(12)]
    flat = write_store(tmp_path / "flat", {"layer1": np.ones((12, 3))}, videos=videos)
    result = run(flat)
    assert result.layers[0].trained.constant_features == 3
    assert "collapsed" in result.table()
    wild = np.zeros((12, 3))
    wild[4, 1] = np.nan
    with pytest.raises(RunError, match=r"layer1 .* is not finite at a/4.avi"):
        run(write_store(tmp_path / "wild", {"layer1": wild}, videos=videos))


def test_seen_says_what_the_encoder_knew() -> None:
    """All tested videos in training, none, some, or no record."""
    assert seen(["1", "2"], frozenset("123")) == "seen"
    assert seen(["1", "2"], frozenset("3")) == "unseen"
    assert seen(["1", "2"], frozenset("23")) == "mixed"
    assert seen(["1", "2"], None) == "unknown"


def test_folder_that_exists(make_store: MakeStore, tmp_path: Path) -> None:
    """A probe is replaced only when asked, and foreign folders never."""
    store, out = make_store(names_kept=("layer1",)), tmp_path / "probe"
    run(store, out=out, folds=2)
    with pytest.raises(RunError, match=r"probe exists; overwrite deletes it"):
        run(store, out=out)
    run(store, out=out, folds=2, overwrite=True)
    with pytest.raises(RunError, match="nothing was touched"):
        run(store, out=store.path, overwrite=True)
    assert FeatureStore.open(store.path).names == store.names


def test_wrong_arguments(make_store: MakeStore, tmp_path: Path) -> None:
    """No store, an unknown device, and splits by frames are told in words."""
    with pytest.raises(RunError, match="no such folder"):
        probe(tmp_path / "nowhere", labels="folder", out=None)
    with pytest.raises(ValueError, match="unknown device 'tpu'"):
        run(make_store(), device="tpu")
    with pytest.raises(LabelError, match="frames of one video are nearly identical"):
        run(make_store(frames=3), groups="frame")


class Series:
    """What is asked of a Series of pandas."""

    def __init__(self, values: list[object], index: list[object]) -> None:
        self.values, self.index = values, index

    def __len__(self) -> int:
        return len(self.values)

    def __iter__(self) -> Iterator[object]:
        return iter(self.values)


def test_labels_are_a_mapping_a_series_or_values_in_the_order_of_the_videos(make_store: MakeStore) -> None:
    """Each video has its label whichever it is; another number of values, or a missing one, is an error."""
    store = make_store(classes=2, names_kept=("layer1",))
    paths = [video.path for video in store.videos]
    labels = [Path(path).parts[0] for path in paths]
    backwards = Series(labels[::-1], list(paths[::-1]))
    numbered = Series(labels, list(range(len(labels))))  # an index that is no name: in order
    for given in (dict(zip(paths, labels, strict=True)), np.array(labels), backwards, numbered):
        found = run(store, labels=given, folds=2)
        assert {video: label for video, label, _, _ in found.videos} == dict(zip(paths, labels, strict=True))
    with pytest.raises(LabelError, match=f"3 labels for {len(paths)} videos"):
        run(store, labels=labels[:3])
    with pytest.raises(LabelError, match="no label for 1 video"):
        run(store, labels=[float("nan"), *labels[1:]])
