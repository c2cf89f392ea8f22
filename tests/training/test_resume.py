"""A resumed run is bit-identical to an uninterrupted one, for every trainer and optimizer."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from seqff.config import EncoderConfig, ObjectiveConfig, OptimConfig, PairsConfig, TrainConfig
from seqff.errors import RunError
from seqff.train import train
from seqff.training import checkpoint
from seqff.training.checkpoint import list_checkpoints

CONFIG = TrainConfig(
    steps=7,
    checkpoint_every=1,
    log_every=1,
    precision="fp32",
    pairs=PairsConfig(
        size_px=16,
        gap=1,
        far=6,
        videos_per_batch=3,
        clips_per_video=2,
        clip_frames=3,
        batches_per_visit=2,
        buffer_videos=6,
    ),
    encoder=EncoderConfig(widths=(4, 6), kernels=(5, 3), strides=(2, 1), pools=(1, 1), norm="batch"),
    objective=ObjectiveConfig(head_out=4, grid=(2,)),
)


@pytest.mark.parametrize(
    ("settings", "stops"),
    [
        ({"optim": OptimConfig(name="sgd")}, [3]),
        ({"optim": OptimConfig(name="adam")}, [3]),
        ({"optim": OptimConfig(name="adamw")}, [3]),
        ({"optim": OptimConfig(name="muon")}, [3]),
        ({"compile": True}, [3]),
        ({"trainer": "greedy"}, [1, 3, 5]),  # the second layer starts at step 3
        ({"trainer": "greedy", "greedy_cache": 2}, [2, 5]),
        ({"trainer": "end_to_end", "activation_checkpointing": True}, [3]),
        ({"trainer": "end_to_end_sum", "objective": dataclasses.replace(CONFIG.objective, terms=("goodness",))}, [3]),
    ],
    ids=[
        "sgd",
        "adam",
        "adamw",
        "muon",
        "compiled",
        "greedy",
        "greedy-cache",
        "end_to_end",
        "end_to_end_sum-mixtures",
    ],
)
def test_a_stopped_run_goes_on_to_the_same_bits(
    manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any], stops: list[int]
) -> None:
    """Resumed from any checkpoint, weights and logged losses are those of the uninterrupted run."""
    monkeypatch.setattr(checkpoint, "KEPT", 100)
    config = dataclasses.replace(CONFIG, **settings)
    straight = train(manifest, out=tmp_path / "straight", config=config, progress=False).path
    assert not (straight / "cache").exists()
    for stop in stops:
        run = shutil.copytree(straight, tmp_path / f"stopped_{stop}")
        (run / "encoder.safetensors").unlink()
        for later in list_checkpoints(run)[stop:]:
            shutil.rmtree(later)
        train(manifest, out=run, config=config, resume=True, progress=False)
        assert (run / "encoder.safetensors").read_bytes() == (straight / "encoder.safetensors").read_bytes()
        assert losses(run) == losses(straight)
        for mine, theirs in zip(list_checkpoints(run), list_checkpoints(straight), strict=True):
            for file in sorted(path.name for path in theirs.iterdir()):
                assert (mine / file).read_bytes() == (theirs / file).read_bytes(), f"{mine}/{file}"


def losses(run: Path) -> list[dict[str, float]]:
    """Return the lines of metrics.jsonl, without times."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "seconds"} for line in lines]


def test_greedy_logs_the_layer_that_learns(manifest: Path, tmp_path: Path) -> None:
    """A line of metrics.jsonl has the losses of the layers trained in that step."""
    config = dataclasses.replace(CONFIG, trainer="greedy")
    run = train(manifest, out=tmp_path / "run", config=config, progress=False).path
    named = [{key.split("/")[0] for key in line if "/" in key} for line in losses(run)]
    assert named == [{"layer1"}] * 3 + [{"layer2"}] * 4


def test_a_failing_start_leaves_no_folder(manifest: Path, tmp_path: Path) -> None:
    """Settings of another trainer are refused before anything is written."""
    config = dataclasses.replace(CONFIG, greedy_cache=2)
    with pytest.raises(ValueError, match="greedy_cache is for trainer='greedy'"):
        train(manifest, out=tmp_path / "run", config=config, progress=False)
    assert not (tmp_path / "run").exists()


def test_a_finished_run_is_made_longer(manifest: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """--resume with more steps continues at the rate of the longer schedule and records the new length; earlier steps
    are not repeated."""
    run = tmp_path / "run"
    train(manifest, out=run, config=CONFIG, progress=False)
    longer = dataclasses.replace(CONFIG, steps=12)
    train(manifest, out=run, config=longer, resume=True, progress=False)
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, 13))
    straight = train(manifest, out=tmp_path / "straight", config=longer, progress=False)
    rates = [json.loads(line)["lr"] for line in (straight.path / "metrics.jsonl").read_text().splitlines()]
    assert [line["lr"] for line in lines[7:]] == rates[7:]
    assert "12 steps instead of 7" in caplog.text
    train(manifest, out=run, config=dataclasses.replace(CONFIG, steps=0), resume=True, progress=False)  # as recorded
    with pytest.raises(RunError, match="it can be made longer, not shorter"):
        train(manifest, out=run, config=CONFIG, resume=True, progress=False)


def test_a_training_by_turns_is_not_made_longer(manifest: Path, tmp_path: Path) -> None:
    """Greedy training divides its steps among the layers: the error says so, and the run is not changed."""
    greedy = dataclasses.replace(CONFIG, trainer="greedy")
    train(manifest, out=tmp_path / "run", config=greedy, progress=False)
    with pytest.raises(RunError, match="greedy shares 7 steps out"):
        train(manifest, out=tmp_path / "run", config=dataclasses.replace(greedy, steps=9), resume=True, progress=False)
