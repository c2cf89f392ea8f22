"""Options of a probe: official splits, columns, parts of videos, and leaks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from seqff.errors import LabelError, RunError
from seqff.features import FeatureIndex, FeatureStore, StoredVideo, write_store
from seqff.probes import probe

MakeStore = Callable[..., FeatureStore]


def run(store: FeatureStore, **options):  # type: ignore[no-untyped-def]
    return probe(store, **{"labels": "folder", "out": None, "progress": False, **options})


def table(path: Path, header: str, rows: list[str]) -> Path:
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def frames_that_know_their_video(folder: Path, seed: int) -> FeatureStore:
    """40 videos of 10 nearly alike frames, whose labels mean nothing."""
    rng = np.random.default_rng(seed)
    videos = [StoredVideo(f"{'ab'[i % 2]}/{i}.avi", str(i), 10) for i in range(40)]
    of_row = np.repeat(np.arange(40), 10)
    x = rng.normal(size=(40, 48))[of_row] + 0.1 * rng.normal(size=(400, 48))
    frame = np.tile(np.arange(10), 40)
    index = FeatureIndex(tuple(videos[i].path for i in of_row), frame, np.ones_like(frame), frame / 25)
    return write_store(folder / f"store{seed}", {"layer1": x}, videos=videos, index=index, per="frame")


def test_frames_dealt_at_random_are_refused_with_the_reason_and_leak_when_allowed(tmp_path: Path) -> None:
    """Over seeds, meaningless labels score chance by the default protocol; dealt by frames they score far above."""
    honest, leaky, inside = [], [], 0
    for seed in range(4):
        store = frames_that_know_their_video(tmp_path, seed)
        with pytest.raises(LabelError, match=r"nearly identical, so .* would measure memorization"):
            run(store, groups="frame")
        layer = run(store, seed=seed, folds=3).layers[0].trained
        honest.append(layer.accuracy)
        inside += layer.interval[0] <= 0.5 <= layer.interval[1]
        leak = run(store, groups="frame", allow_leak=True, seed=seed, folds=2)
        leaky.append(leak.layers[0].trained.accuracy)
        assert "frames assigned to folds at random" in leak.table()
    assert abs(np.mean(honest) - 0.5) < 0.12  # sd of the mean: 0.5 / sqrt(4 * 40) = 0.04
    assert inside >= 3
    assert min(leaky) > 0.8


def test_frames_inside_videos_are_split_by_name_only(tmp_path: Path) -> None:
    """every:5 trains on frames 0 and 5 of each video and tests the other eight, and the result says what it is."""
    store = frames_that_know_their_video(tmp_path, 0)
    result = run(store, labels="video", split_frames="every:5")
    metadata = result.to_dict()
    assert result.layers[0].trained.accuracy > 0.9  # each video is a class of its own
    assert metadata["split"] == "inside videos: frames every:5 train, all others test"
    assert len(result.videos) == 40 * 8
    assert "not for other videos" in result.table()
    with pytest.raises(LabelError, match="which only frames inside it can train"):
        run(store, labels="video")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"split_frames": "18"}, "give every:N with N of 2 or more"),
        ({"split_frames": "every:1"}, "give every:N"),
        ({"split_frames": "every:5", "groups": "(a)"}, "leave groups, splits and folds out"),
        ({"split_frames": "every:5", "folds": 3}, "leave groups, splits and folds out"),
    ],
)
def test_a_split_of_frames_that_makes_no_sense_is_refused(
    tmp_path: Path, options: dict[str, object], said: str
) -> None:
    """The error says what to give instead."""
    with pytest.raises(ValueError, match=said):
        run(frames_that_know_their_video(tmp_path, 0), **options)


def test_a_split_of_frames_needs_a_row_a_frame(make_store: MakeStore) -> None:
    """Features with a row a video have no frames to split."""
    with pytest.raises(LabelError, match="do not have a row a frame"):
        run(make_store(names_kept=("layer1",)), split_frames="every:5")


def test_official_splits_are_taken_as_they_are(make_store: MakeStore, tmp_path: Path) -> None:
    """Every split is one fold, a video is tested as often as they say, and unused videos stay out."""
    store = make_store(names_kept=("layer1",))
    paths = [video.path for video in store.videos]
    side = ["test" if "subject0" in path else "unused" if "subject5" in path else "train" for path in paths]
    other = ["test" if "subject0" in path or "subject1" in path else "train" for path in paths]
    rows = [f"{path},{one},{two}" for path, one, two in zip(paths, side, other, strict=True)]
    result = run(store, splits=table(tmp_path / "splits.csv", "video,split1,split2", rows))
    assert [(fold["name"], fold["train"], fold["test"]) for fold in result.metadata["folds"]] == [
        ("split1", 12, 3),
        ("split2", 12, 6),
    ]
    layer = result.layers[0].trained
    assert len(layer.predicted) == len(result.videos) == 9
    assert layer.accuracy == pytest.approx((3 * layer.fold_accuracies[0] + 6 * layer.fold_accuracies[1]) / 9)
    assert result.metadata["split"] == "2 official splits"
    assert layer.accuracy > 0.8


@pytest.mark.parametrize(
    ("header", "change", "words"),
    [
        ("video,part", "train", "no column whose name begins with 'split'"),
        ("video,split", "tset", "split is 'tset'; choose from train, test, unused"),
        ("video,split", "train", "no video for test"),
    ],
)
def test_wrong_split_files_are_told(
    header: str, change: str, words: str, make_store: MakeStore, tmp_path: Path
) -> None:
    """Missing columns, other words and empty sides each get their message."""
    store = make_store(names_kept=("layer1",))
    rows = [f"{video.path},{change}" for video in store.videos]
    with pytest.raises(LabelError, match=words):
        run(store, splits=table(tmp_path / "splits.csv", header, rows))


def test_official_splits_may_not_part_a_group(make_store: MakeStore, tmp_path: Path) -> None:
    """A subject on both sides of an official split is an error where groups were given."""
    store = make_store(names_kept=("layer1",))
    rows = [f"{video.path},{'test' if '2/subject1' in video.path else 'train'}" for video in store.videos]
    file = table(tmp_path / "splits.csv", "video,split", rows)
    with pytest.raises(LabelError, match="'subject1' would be in training and in test"):
        run(store, splits=file, groups="(subject[0-9])")
    with pytest.raises(ValueError, match="exclude each other"):
        run(store, splits=file, folds=2)


def test_one_result_a_label_column(make_store: MakeStore, tmp_path: Path) -> None:
    """Each column is probed by itself: the class is found, a column of noise is not, each in its own folder."""
    store = make_store(subjects=8, names_kept=("layer1",))
    rng = np.random.default_rng(0)
    rows = [f"{video.path},{video.path[:6]},{'xy'[rng.integers(2)]}" for video in store.videos]
    labels = table(tmp_path / "labels.csv", "video,action,noise", rows)
    results = run(store, labels=labels, columns=["action", "noise"], out=tmp_path / "probe")
    assert results["action"].layers[0].trained.accuracy > 0.9
    assert results["noise"].layers[0].trained.interval[0] < 0.65
    assert results["noise"].metadata["label_column"] == "noise"
    assert (tmp_path / "probe/action/results.json").exists()
    assert (tmp_path / "probe/noise/results.json").exists()
    with pytest.raises(LabelError, match="it needs 'label'"):
        run(store, labels=labels)
    with pytest.raises(ValueError, match="each once"):
        run(store, labels=labels, columns=["action", "action"])


def test_parts_of_videos_have_labels_of_their_own(tmp_path: Path) -> None:
    """Frames take the label of their segment, those in none are left out, and splits stay by video."""
    rng = np.random.default_rng(0)
    videos = [StoredVideo(f"{i}.avi", str(i), 10) for i in range(8)]
    of_row, frame = np.repeat(np.arange(8), 10), np.tile(np.arange(10), 8)
    up = (frame >= 5) & (frame < 8)
    x = rng.normal(size=(80, 6)) + 3 * up[:, None]
    index = FeatureIndex(tuple(videos[i].path for i in of_row), frame, np.ones_like(frame), frame / 10)
    store = write_store(tmp_path / "store", {"layer1": x}, videos=videos, index=index, per="frame")
    rows = [line for video in videos for line in (f"{video.path},0,0.5,down", f"{video.path},0.5,0.8,up")]
    header = "video,start_seconds,stop_seconds,label"
    result = run(store, labels=table(tmp_path / "labels.csv", header, rows), folds=4)
    assert result.metadata["unlabelled_rows"] == 16
    assert [fold["test"] for fold in result.metadata["folds"]] == [2, 2, 2, 2]
    assert result.metadata["videos_per_class"] == {"down": 8, "up": 8}
    assert result.layers[0].trained.accuracy > 0.95
    for wrong, words in (
        ("0.avi,0.4,0.6,up", "must not overlap"),
        ("0.avi,2,1,up", "below stop_seconds"),
        ("0.avi,a,1,up", "not both seconds"),
        ("no.avi,0,1,up", "that the features do not hold"),
    ):
        with pytest.raises(LabelError, match=words):
            run(store, labels=table(tmp_path / "wrong.csv", header, [*rows, wrong]), folds=4)


def test_parts_of_videos_need_a_row_a_frame(make_store: MakeStore, tmp_path: Path) -> None:
    """A store with a row a video says how to extract instead."""
    store = make_store(names_kept=("layer1",))
    rows = [f"{video.path},0,1,a" for video in store.videos]
    with pytest.raises(LabelError, match="extract a row a frame"):
        run(store, labels=table(tmp_path / "labels.csv", "video,start_seconds,stop_seconds,label", rows))


def test_wider_layers_are_also_judged_at_the_narrowest_width(tmp_path: Path) -> None:
    """Repeating features adds nothing: the probe at one width says so; the narrowest layer stands as it is."""
    rng = np.random.default_rng(0)
    videos = [StoredVideo(f"{'ab'[i % 2]}/{i}.avi", str(i), 1) for i in range(40)]
    x = rng.normal(size=(40, 8)) + np.arange(40)[:, None] % 2
    arrays = {"layer1": x, "layer2": np.tile(x, 20), "pixels": np.tile(x, 2)}
    result = run(write_store(tmp_path / "store", arrays, videos=videos), folds=2)
    narrow, wide = (layer.trained for layer in result.layers)
    assert narrow.matched is None
    assert wide.matched is not None
    assert wide.matched.width == 8
    assert wide.matched.accuracy == pytest.approx(narrow.accuracy, abs=0.15)
    assert "at the narrowest layer's width, 8 features" in result.table()


def test_all_neighbours_are_shown_and_too_many_are_not_made_up(make_store: MakeStore) -> None:
    """Every k has its accuracy; a k above the rows of a training part has none, and the table says so."""
    result = run(make_store(subjects=8, names_kept=("layer1",)), folds=4)
    knn = result.layers[0].trained.knn
    assert knn[10] is not None
    assert knn[10] > 0.9
    assert list(knn) == [10, 20, 100, 200]
    assert knn[20] is None  # 18 rows to train on
    assert "k = 200" in result.table()


def test_seen_is_about_the_tested_videos(make_store: MakeStore, tmp_path: Path) -> None:
    """An encoder trained on an official training part alone has not seen what it is tested on."""
    arrays = make_store(names_kept=("layer1",))
    videos = arrays.videos
    test = {video.path for video in videos if "subject0" in video.path}
    hashes = [video.content_hash for video in videos if video.path not in test]
    store = write_store(tmp_path / "own", {"layer1": arrays.to_numpy("layer1")}, videos=videos, trained_on=hashes)
    rows = [f"{video.path},{'test' if video.path in test else 'train'}" for video in videos]
    splits = table(tmp_path / "splits.csv", "video,split", rows)
    assert run(store, splits=splits).metadata["encoder_seen"] == "unseen"
    assert run(store, groups="(subject[0-9])").metadata["encoder_seen"] == "mixed"


def test_stores_of_other_rows_do_not_go_together(make_store: MakeStore) -> None:
    """Similarity and evaluation take row i for the same frames everywhere; other stores are refused."""
    from seqff.probes import similarity

    with pytest.raises(RunError, match="do not hold the same rows"):
        similarity([make_store().path, make_store(subjects=7).path])
