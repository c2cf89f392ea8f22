"""A classifier saved by a probe labels new videos like the probe itself."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.clips import write_clips

import seqff
from seqff.cli import main
from seqff.errors import RunError
from seqff.features import FeatureStore
from seqff.files import read_csv
from seqff.nets import load_encoder

NO_ONNX = [name for name in ("onnx", "onnxscript", "onnxruntime") if importlib.util.find_spec(name) is None]


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


def frames_of(manifest: Path, video: str) -> np.ndarray:
    """All frames of a video as the encoder takes them, (N, 32, 32, 3) uint8."""
    listed = seqff.Manifest.load(manifest)
    (entry,) = (each for each in listed.usable if each.path == video)
    with seqff.open_video(listed.path(entry), size=(32, 32), entry=entry) as reader:
        return reader.at(list(range(entry.frames)))


@pytest.mark.skipif(bool(NO_ONNX), reason=f"not installed: {', '.join(NO_ONNX)}")
@pytest.mark.parametrize("per", ["video", "clip", "frame"])
@pytest.mark.filterwarnings("ignore")  # the exporter's own
def test_an_onnx_file_gives_the_same_answers(
    per: str, request: pytest.FixtureRequest, net: Path, manifest: Path, tmp_path: Path
) -> None:
    """Frames in, the probabilities of `classify` out, row by row; classes and what a row is are in the metadata."""
    import onnxruntime

    seqff.probe(request.getfixturevalue(f"by_{per}"), labels="folder", folds=2, out=tmp_path / "p", progress=False)
    expected = ask(tmp_path / "p", manifest, layer="layer2", rows=True)
    file = seqff.convert(net, probe=tmp_path / "p", layers=["layer2"], out=tmp_path / "classes.onnx")
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    facts = session.get_modelmeta().custom_metadata_map
    assert (json.loads(facts["classes"]), facts["layer"], facts["rows"]) == (["class_0", "class_1"], "layer2", per)
    video = expected.answers[-1].video
    frames = frames_of(manifest, video)
    step = int(facts.get("clip_frames", len(frames)))
    rows = [place for place, one in enumerate(expected.answers) if one.video == video]
    starts = [0] if per == "frame" else [expected.answers[place].frame for place in rows]
    found = [session.run(["probabilities"], {"frames": frames[start : start + step]})[0] for start in starts]
    assert np.concatenate(found) == pytest.approx(expected.probabilities[rows], abs=1e-4)


def test_an_exported_program_gives_the_same_answers(
    probed: Path, net: Path, manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`seqff convert RUN --probe PROBE --out FILE.pt2`: by the best layer; one row for the frames of a video, also
    where that is a single one; its classes are in the file."""
    file = tmp_path / "classes.pt2"
    assert main(["convert", str(net), "--probe", str(probed), "--out", str(file)]) == 0
    facts = {"classes": "", "layer": "", "statistics": ""}
    program = torch.export.load(file, extra_files=facts).module()
    expected = ask(probed, manifest)
    assert (json.loads(facts["classes"]), facts["layer"]) == (["class_0", "class_1"], expected.layer)
    assert facts["statistics"] == "mean, std, mean_abs_difference"
    for one, values in zip(expected.answers[:2], expected.probabilities, strict=False):
        frames = torch.from_numpy(frames_of(manifest, one.video))
        assert program(frames).numpy() == pytest.approx(values[None], abs=1e-4)
    assert program(frames[:1]).sum().item() == pytest.approx(1, abs=1e-5)


def test_a_classifier_is_of_one_layer_and_of_the_probes_encoder(probed: Path, net: Path, tmp_path: Path) -> None:
    """Two layers, a folder, another encoder and a layer without a head are refused, and nothing is written."""
    out = tmp_path / "classes.pt2"
    with pytest.raises(ValueError, match="the head of one layer, not of 2"):
        seqff.convert(net, probe=probed, layers=[0, 1], out=out)
    with pytest.raises(ValueError, match="a folder holds the whole encoder"):
        seqff.convert(net, probe=probed, out=tmp_path / "classes")
    with pytest.raises(ValueError, match="it has layer1, layer2"):
        seqff.convert(net, probe=probed, layers=["layer9"], out=out)
    with pytest.raises(RunError, match="another encoder"):
        seqff.convert(load_encoder(net, untrained=True), probe=probed, out=out)
    assert not list(tmp_path.iterdir())


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
