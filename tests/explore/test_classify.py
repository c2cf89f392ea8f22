"""A head that a probe has fitted names new videos as the probe itself would."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.clips import write_clips

import seqff
from seqff.cli import main
from seqff.errors import RunError
from seqff.features import FeatureStore
from seqff.files import read_csv


def ask(probe: Path, videos: Any, **options: Any) -> Any:
    """Classify on the CPU without bars."""
    return seqff.classify(probe, videos, **{"device": "cpu", "progress": False, **options})


def refitted(store: FeatureStore, folder: Path, layer: str) -> tuple[seqff.LinearProbe, np.ndarray]:
    """The probe fitted on all rows of a store with the median lambda of its folds, and the rows."""
    layers = {one["name"]: one for one in json.loads((folder / "results.json").read_text())["layers"]}
    lambdas = layers[layer]["lambdas"]
    label = np.array([video.split("/")[0] for video in store.index.video])
    x = store.to_numpy(layer)
    return seqff.LinearProbe([sorted(lambdas)[len(lambdas) // 2]]).fit(x, label), x


def test_answers_are_those_of_the_refitted_probe(probed: Path, by_video: FeatureStore, manifest: Path) -> None:
    """For each layer: the probabilities that the linear probe, fitted on all rows of the store, gives these rows."""
    for layer in ("layer1", "layer2"):
        found = ask(probed, manifest, layer=layer)
        probe, x = refitted(by_video, probed, layer)
        assert found.probabilities == pytest.approx(probe.predict_proba(x), abs=1e-5)
        assert [one.label for one in found.answers] == probe.predict(x).tolist()
        assert [one.video for one in found.answers] == [video.path for video in by_video.videos]
        assert found.classes == ("class_0", "class_1")
        assert all(
            one.probability == values.max() for one, values in zip(found.answers, found.probabilities, strict=True)
        )


@pytest.mark.parametrize("per", ["frame", "clip"])
def test_rows_of_a_video_are_averaged(per: str, request: pytest.FixtureRequest, manifest: Path, tmp_path: Path) -> None:
    """Where rows are frames or manifest, a video's probabilities are the mean over them; rows=True gives each."""
    store = request.getfixturevalue(f"by_{per}")
    seqff.probe(store, labels="folder", folds=2, out=tmp_path / "p", progress=False)
    rows = ask(tmp_path / "p", manifest, layer=-1, rows=True)
    probe, x = refitted(store, tmp_path / "p", "layer2")
    assert rows.probabilities == pytest.approx(probe.predict_proba(x), abs=1e-5)
    assert [one.start_seconds for one in rows.answers] == store.index.time_seconds.tolist()
    videos = ask(tmp_path / "p", manifest, layer=-1)
    names = np.array(store.index.video)
    for one, values in zip(videos.answers, videos.probabilities, strict=True):
        assert values == pytest.approx(rows.probabilities[names == one.video].mean(axis=0))


def test_videos_that_trained_the_head_are_marked(probed: Path, clips: Path, tmp_path: Path) -> None:
    """By content, wherever they lie now; an unreadable video is skipped and named."""
    new = write_clips(tmp_path / "new", clips=11)
    shutil.copy(clips / "class_0" / "subject0_0.mp4", new / "moved.mp4")
    (new / "broken.mp4").write_bytes(b"nothing")
    found = ask(probed, new, max_bad=0.2)
    fresh = {one.video for one in found.answers if not one.in_training}
    assert {"class_0/subject4_8.mp4", "class_1/subject4_9.mp4", "class_0/subject5_10.mp4"} == fresh
    assert list(found.skipped) == ["broken.mp4"]
    assert "skipped broken.mp4" in found.table()
    assert "fitted on 9 of these videos" in found.table()


def test_the_best_layer_of_the_probe_is_taken(probed: Path, manifest: Path) -> None:
    """By the accuracy on videos held out, which the answer carries."""
    layers = {one["name"]: one["accuracy"] for one in json.loads((probed / "results.json").read_text())["layers"]}
    found = ask(probed, manifest)
    assert found.accuracy == max(layers.values()) == layers[found.layer]


def test_what_does_not_fit_is_said(
    probed: Path, net: Path, by_video: FeatureStore, manifest: Path, tmp_path: Path
) -> None:
    """No probe, a probe of before, damaged heads, another encoder, a run that has moved, a layer that is none."""
    with pytest.raises(RunError, match="no probe's folder"):
        ask(tmp_path, manifest)
    with pytest.raises(ValueError, match="it has layer1, layer2"):
        ask(probed, manifest, layer="layer9")
    other = tmp_path / "other"
    shutil.copytree(net, other)
    shutil.copy(net / "encoder_untrained.safetensors", other / "encoder.safetensors")
    with pytest.raises(RunError, match="another encoder"):
        ask(probed, manifest, run=other)
    with pytest.raises(RunError, match="--run RUN"):
        ask(probed, manifest, run=tmp_path / "gone")
    broken = tmp_path / "broken"
    shutil.copytree(probed, broken)
    heads = broken / "heads.safetensors"
    whole = heads.read_bytes()
    for content in (whole[:-9], b"", whole.replace(b'"class_1', b'"class-1').replace(b"F64", b"F16")):
        heads.write_bytes(content)
        with pytest.raises(RunError, match="probe again"):
            ask(broken, manifest)
    heads.unlink()
    with pytest.raises(RunError, match="probe again"):
        ask(broken, manifest)


def test_the_command(probed: Path, manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Writes a table with class, probability and every class's own; prints it, or JSON."""
    file = tmp_path / "classes.csv"
    given = ["classify", str(probed), str(manifest), "--device", "cpu", "--no-progress"]
    assert main([*given, "--out", str(file)]) == 0
    text = capsys.readouterr().out
    assert "whose accuracy in the probe is" in text
    rows = read_csv(file)
    assert len(rows) == 8
    for row in rows:
        assert float(row["p(class_0)"]) + float(row["p(class_1)"]) == pytest.approx(1)
        assert float(row["probability"]) == float(row[f"p({row['class']})"])
        assert row["in_training"] == "yes"
    assert main([*given, "--out", str(file)]) == 1
    assert "exists" in capsys.readouterr().err
    assert main([*given, "--layer", "1", "--rows", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["layer"] == "layer2"
