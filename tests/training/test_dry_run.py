"""`seqff train --dry-run` predicts the training and leaves nothing behind."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from helpers.processes import context
from helpers.small_runs import CONFIG

from seqff.cli import main
from seqff.config_io import dump_yaml, to_dict
from seqff.metrics import METRICS, read_metrics
from seqff.train import train
from seqff.training.memory import peak_bytes

WIDE = dataclasses.replace(
    CONFIG,
    steps=2,
    pairs=dataclasses.replace(CONFIG.pairs, size_px=64, videos_per_batch=8),
    encoder=dataclasses.replace(CONFIG.encoder, widths=(48, 4), kernels=(3, 3), strides=(1, 2)),
)


@pytest.mark.parametrize("trainer", ["local", "overlap", "greedy", "end_to_end"])
def test_the_first_batch_is_that_of_the_training(manifest: Path, tmp_path: Path, trainer: str) -> None:
    """Losses and distances are those logged by the training at its first step."""
    config = dataclasses.replace(CONFIG, steps=8, log_every=1, trainer=trainer)
    plan = train(manifest, out=tmp_path / "run", config=config, dry_run=True, progress=False)
    run = train(manifest, out=tmp_path / "run", config=config, progress=False).path
    first = read_metrics(run / METRICS)[0]
    seen = {name: value for name, value in first.items() if "/" in name and "/untrained_" not in name}
    assert seen
    for name, value in seen.items():
        layer, figure = name.split("/")
        assert plan.layers[layer][figure] == pytest.approx(value, rel=1e-5, abs=1e-7), name
    assert first["frames"] == plan.shape[0]
    assert plan.seconds > 0


def test_the_plan_counts_videos_batches_and_pairs(manifest: Path, tmp_path: Path) -> None:
    """8 clips of 16 frames, 6 to a round, 3 to a batch, 2 uses each: 2 rounds of 4 batches are an epoch."""
    plan = train(manifest, out=tmp_path / "run", config=CONFIG, dry_run=True, progress=False)
    assert (plan.videos, plan.usable, plan.frames) == (8, 8, 128)
    assert (plan.batches_per_epoch, plan.steps, plan.epochs) == (8, 40, 5.0)
    assert plan.shape[1:] == (3, 16, plan.shape[3])
    most = 3 * 5  # 3 videos with 2 clips of 3 frames each, which have 5 pairs if the clips are adjacent
    assert 0 < plan.positives <= most
    assert 0 < plan.pairs_per_epoch <= most * 8
    assert repr(plan).startswith("DryRun(40 steps on 8 videos, about 0:0")


def test_nothing_is_left_behind(
    clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No run folder, no frame cache; the text has the estimates and the next command; --json has the same."""
    settings, run = tmp_path / "mine.yaml", tmp_path / "run"
    monkeypatch.setenv("SEQFF_CACHE", str(tmp_path / "cache"))
    settings.write_text(dump_yaml(to_dict(CONFIG)))
    command = ["train", str(clips), "--out", str(run), "--config", str(settings), "--dry-run", "--no-progress"]
    command += ["--pairs.cache", "u8"]
    assert main(command) == 0
    out = capsys.readouterr().out
    assert "plan:    40 steps" in out
    assert "layer2" in out
    assert "next: the same command without --dry-run" in out
    assert main([*command, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["batches_per_epoch"] == 8
    assert not run.exists()
    assert not (tmp_path / "cache" / "frames").exists()
    run.mkdir()
    (run / "thesis.txt").write_text("precious")
    assert main(command) == 1  # like the training
    assert "holds other things" in capsys.readouterr().err


def dry(manifest: str, run: str) -> tuple[int, int]:
    """Return the memory estimates of a dry run: of the process, and of the largest step."""
    memory = train(manifest, out=run, config=WIDE, dry_run=True, progress=False).memory
    return memory.host, memory.step


def wet(manifest: str, run: str) -> int:
    """Return the peak memory of this process in a training."""
    train(manifest, out=run, config=WIDE, progress=False)
    return peak_bytes()


def test_memory_is_what_a_training_then_holds(manifest: Path, tmp_path: Path) -> None:
    """The estimate is within 25 % of a training's peak, in separate processes, with a large share of activations."""
    found = []
    for function in (dry, wet):
        with context().Pool(1) as pool:
            found.append(pool.apply(function, (str(manifest), str(tmp_path / "run"))))
    (said, step), peak = found
    assert step > 0.15 * peak
    assert said == pytest.approx(peak, rel=0.25)
