"""Comparison of results, and summaries over seeds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from seqff.cli import main
from seqff.errors import RunError
from seqff.features import FeatureStore
from seqff.probes import compare, probe

MakeStore = Callable[..., FeatureStore]
SUBJECTS = "(?P<group>subject[0-9]+)_"


def written(store: FeatureStore, out: Path, **options):  # type: ignore[no-untyped-def]
    return probe(
        store, **{"labels": "folder", "groups": SUBJECTS, "folds": 2, "progress": False, "out": out, **options}
    )


def test_differences_are_paired_and_the_figure_is_drawn(make_store: MakeStore, tmp_path: Path) -> None:
    """Each layer's difference to the first result is that of the accuracies, with its interval; figures are files."""
    one = written(make_store(signal=3), tmp_path / "one").layers[0].trained
    two = written(make_store(signal=0.3), tmp_path / "two").layers[0].trained
    found = compare([tmp_path / "one", tmp_path / "two"], out=tmp_path / "figure.svg")
    assert found.names == ("one", "two")
    (gain,) = found.differences["layer1"]
    assert gain is not None
    assert gain["accuracy"] == pytest.approx(two.accuracy - one.accuracy)
    assert gain["interval"][0] <= gain["accuracy"] <= gain["interval"][1] < 0
    assert ElementTree.parse(tmp_path / "figure.svg").getroot().tag.endswith("svg")
    compare([tmp_path / "one", tmp_path / "two"], out=tmp_path / "figure.png")
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(RunError, match="overwrite replaces it"):
        compare([tmp_path / "one", tmp_path / "two"], out=tmp_path / "figure.png")
    lines = found.table().splitlines()
    assert [line.split()[0] for line in lines[3:8]] == ["layer1", "untrained", "less", "pixels", "majority"]


def test_what_may_not_be_compared_is_refused_by_name(
    make_store: MakeStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Other splits, labels, videos or protocols each stop the comparison, and it says which."""
    store = make_store(names_kept=("layer1",))
    written(store, tmp_path / "one")
    written(store, tmp_path / "splits", folds=3)
    rows = [f"{video.path},{'ab'[number % 2]}" for number, video in enumerate(store.videos)]
    (tmp_path / "labels.csv").write_text("\n".join(["video,label", *rows]) + "\n")
    written(store, tmp_path / "labels", labels=tmp_path / "labels.csv")
    written(make_store(subjects=7, names_kept=("layer1",)), tmp_path / "videos")
    text = (tmp_path / "one/results.json").read_text().replace('"protocol": "v1"', '"protocol": "v0"')
    (tmp_path / "old").mkdir()
    (tmp_path / "old/results.json").write_text(text)
    for name, words in (
        ("splits", "compared: the splits differ;"),
        ("labels", "compared: the labels, the splits differ|compared: the labels differ"),
        ("videos", "compared: the videos, the labels, the splits differ"),
        ("old", "compared: the protocol differs"),
    ):
        with pytest.raises(RunError, match=words):
            compare([tmp_path / "one", tmp_path / name])
    assert main(["compare", str(tmp_path / "one"), str(tmp_path / "splits")]) == 1
    assert "the splits differ" in capsys.readouterr().err
    with pytest.raises(RunError, match="no such folder"):
        compare([tmp_path / "one", tmp_path / "nowhere"])
    with pytest.raises(ValueError, match="two or more"):
        compare([tmp_path / "one"])


def test_seeds_give_mean_and_deviation(make_store: MakeStore, tmp_path: Path) -> None:
    """Mean and sample standard deviation of every column over results that differ by seed alone."""
    folders = [tmp_path / f"seed{seed}/probe" for seed in range(3)]
    results = [written(make_store(signal=0.5 + seed / 2), folder) for seed, folder in enumerate(folders)]
    found = compare(folders, seeds=True)
    assert found.names == ("seed0", "seed1", "seed2")
    assert found.summary is not None
    (layer,) = found.summary["layers"]
    trained = [result.layers[0].trained.accuracy for result in results]
    assert layer["trained"]["mean"] == pytest.approx(np.mean(trained))
    assert layer["trained"]["sd"] == pytest.approx(np.std(trained, ddof=1))
    gains = [result.layers[0].difference.accuracy for result in results]  # type: ignore[union-attr]
    assert layer["difference"]["mean"] == pytest.approx(np.mean(gains))
    assert "±" in found.table()
    assert "over 3 seeds" in found.table()
