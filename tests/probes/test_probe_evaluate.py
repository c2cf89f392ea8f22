"""Evaluation fold by fold: no encoder has seen its test videos."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from seqff.cli import main
from seqff.config import EncoderConfig, ObjectiveConfig, PairsConfig, TrainConfig
from seqff.errors import RunError
from seqff.probes import evaluate
from seqff.video import Manifest

SMALL = TrainConfig(
    steps=2,
    pairs=PairsConfig(size_px=16, far=6, videos_per_batch=2, clips_per_video=2),
    encoder=EncoderConfig(widths=(4, 6), kernels=(3, 3), strides=(2, 1), pools=(1, 1)),
    objective=ObjectiveConfig(grid=(2,), head_out=4),
)
GROUPS = r"(?P<group>subject\d)"


@pytest.fixture(scope="module")
def done(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An evaluation over two folds with both twins."""
    out = tmp_path_factory.mktemp("evaluate") / "out"
    evaluate(
        clips,
        out=out,
        groups=GROUPS,
        folds=2,
        baselines=["supervised", "end_to_end"],
        config=SMALL,
        device="cpu",
        progress=False,
    )
    return out


def test_every_fold_is_tested_by_an_encoder_that_has_not_seen_it(done: Path) -> None:
    """The result is `unseen`; each fold's run, and each twin's, was trained on the other folds' videos alone."""
    result = json.loads((done / "seed0/probe/results.json").read_text())
    assert result["encoder_seen"] == "unseen"
    tests = json.loads((done / "evaluate.json").read_text())["tests"]
    assert sorted(path for test in tests for path in test) == sorted(
        entry.path for entry in Manifest.load(done / "manifest.sqlite")
    )
    for number, test in enumerate(tests, start=1):
        for home in ("", "end_to_end", "supervised"):
            trained = Manifest.load(done / f"seed0/fold{number}" / home / "run/manifest.sqlite")
            assert len(trained) == 8 - len(test)
            assert not {entry.path for entry in trained} & set(test)
    assert len(result["encoder_hash"]) == 2
    assert result["protocol"] == "v1"


def test_all_baselines_stand_beside_each_layer(done: Path) -> None:
    """Untrained, both twins, pixels and the majority are in one result, and the twins are encoders of their own."""
    result = json.loads((done / "seed0/probe/results.json").read_text())
    for layer in result["layers"]:
        for other in ("untrained", "end_to_end", "supervised"):
            low, high = layer[other]["interval"]
            assert low <= layer[other]["accuracy"] <= high
    assert result["pixels"]["width"] == 576
    assert result["majority"] == 0.5
    weights = {
        (done / "seed0/fold1" / home / "run/encoder.safetensors").read_bytes()
        for home in ("", "end_to_end", "supervised")
    }
    assert len(weights) == 3


def test_finished_folds_are_not_done_again_and_seeds_are_added(
    clips: Path, done: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Resuming trains only what is missing, gives mean and deviation over seeds, and refuses other settings."""
    options = {"out": done, "groups": GROUPS, "folds": 2, "device": "cpu", "progress": False, "resume": True}
    before = {file: file.stat().st_mtime_ns for file in done.glob("seed0/fold*/**/*.safetensors")}
    found = evaluate(clips, **options, config=SMALL, seeds=[0, 1])  # type: ignore[arg-type]
    assert before == {file: file.stat().st_mtime_ns for file in done.glob("seed0/fold*/**/*.safetensors")}
    assert found.summary["seeds"] == 2
    assert "over 2 seeds" in found.table()
    summary = json.loads((done / "summary.json").read_text())
    assert summary["seed_numbers"] == [0, 1]
    assert list(summary["seconds"]) == ["scan", "training", "extraction", "probes"]
    with pytest.raises(RunError, match="started with other config"):
        evaluate(clips, **options, config=dataclasses.replace(SMALL, steps=3))  # type: ignore[arg-type]
    with pytest.raises(RunError, match="started with other tests"):
        evaluate(clips, **{**options, "folds": 4}, config=SMALL)  # type: ignore[arg-type]
    folders = [str(done / f"seed{seed}/probe") for seed in (0, 1)]
    assert main(["compare", "--seeds", *folders]) == 0
    assert "unseen in training" in capsys.readouterr().out


def test_wrong_questions_are_told_before_anything_is_trained(clips: Path, tmp_path: Path) -> None:
    """Unknown baselines, seeds given twice and frames dealt at random stop at once and leave no folder."""
    out = tmp_path / "out"
    for options, words in (
        ({"baselines": ["untrained"]}, "choose from end_to_end, supervised"),
        ({"seeds": [1, 1]}, "each once"),
        ({"groups": "frame"}, "frames of one video are nearly identical"),
    ):
        with pytest.raises((ValueError, Exception), match=words):
            evaluate(clips, out=out, progress=False, **options)  # type: ignore[arg-type]
    assert not out.exists()
