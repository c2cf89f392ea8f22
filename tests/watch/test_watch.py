"""`seqff watch`: the state of a run, whether it is running, finished or killed."""

from __future__ import annotations

import dataclasses
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers.processes import context
from helpers.small_runs import CONFIG, resume

import seqff
from seqff.cli import main
from seqff.errors import RunError
from seqff.train import train
from seqff.watch import Progress
from seqff.watch.describe import describe

LONG = dataclasses.replace(CONFIG, steps=100_000, checkpoint_every=20, log_every=5)


def look(run: Path) -> Progress:
    """Look once."""
    (now,) = seqff.watch(run, once=True)
    return now


def test_a_run_in_progress_and_a_killed_one(clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """While it lives it runs, at a speed and with time left; killed, it has stopped, and the command said goes on."""
    run = tmp_path / "run"
    process = context().Process(target=resume, args=(clips, run, LONG), daemon=True)
    process.start()
    deadline = time.monotonic() + 300
    while not (run / "checkpoints" / "step_00000020").exists():
        assert process.is_alive()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    first = None
    for now in seqff.watch(run, every_seconds=0.05):
        assert now.state == "running"
        first = first or now
        if now.step > first.step:  # it came further while we looked
            break
    assert now.steps == LONG.steps
    assert now.frames_per_second is not None
    assert now.frames_per_second > 0
    assert now.seconds_left is not None
    assert now.seconds_left > 0
    assert list(now.layers) == ["layer1", "layer2"]
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    *_, last = seqff.watch(run, every_seconds=0.05)
    assert last.state == "stopped"
    assert last.checkpoint
    assert main(["watch", str(run)]) == 1
    out = capsys.readouterr().out
    assert "stopped at step" in " ".join(out.split())
    command = next(line for line in out.splitlines() if line.startswith("next: ")).removeprefix("next: ")
    settings = (run / "config.yaml").read_text().replace("steps: 100000", f"steps: {last.step + 5}")
    (run / "config.yaml").write_text(settings)  # so that it ends some day
    assert main([*shlex.split(command)[1:], "--no-progress"]) == 0
    assert look(run).state == "finished"


def test_a_finished_run(finished_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All steps taken: every layer's figures are the last ones of metrics.jsonl, and the next command is named."""
    now = look(finished_run)
    assert (now.state, now.step, now.checkpoint) == ("finished", CONFIG.steps, CONFIG.steps)
    last = json.loads((finished_run / "metrics.jsonl").read_text().splitlines()[-1])
    assert now.layers["layer2"]["loss"] == last["layer2/loss"]
    assert main(["watch", str(finished_run), "--once"]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out  # no terminal: plain
    assert f"{last['layer2/loss']:.3g}" in out
    assert f"next: seqff extract {finished_run}" in out
    assert "layer2: the most similar frame is of the same video" in out
    assert main(["watch", str(finished_run), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["state"] == "finished"


def test_alarms_are_said_in_words(clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What the training warned of stands below the table, with its step."""
    bare = {"terms": ("temporal_hinge",), "negative_weight": 0.0, "tolerance": 4.0}
    objective = dataclasses.replace(CONFIG.objective, **bare)
    run = train(
        clips, out=tmp_path / "run", config=dataclasses.replace(CONFIG, steps=2, objective=objective), progress=False
    ).path
    assert main(["watch", str(run)]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "step 1: layer1 is dead at step 0: all positives" in out


def test_a_run_on_a_stream_has_no_end_to_count_down_to(finished_run: Path, tmp_path: Path) -> None:
    """With steps: 0 nothing is promised: no share, no time left; and it goes on with --stream."""
    run = shutil.copytree(finished_run, tmp_path / "live")
    settings = (run / "config.yaml").read_text().replace(f"steps: {CONFIG.steps}", "steps: 0", 1)
    (run / "config.yaml").write_text(settings)
    (run / "manifest.sqlite").unlink()
    shutil.rmtree(run / "checkpoints" / f"step_{CONFIG.steps:08d}")  # killed after the one before
    now = look(run)
    assert (now.state, now.seconds_left) == ("stopped", None)
    assert "--stream SOURCE" in now.command
    assert f"stopped at step {CONFIG.steps} - " in " ".join(describe(now).split())
    said = " ".join(describe(dataclasses.replace(now, state="running")).split())
    assert said.startswith(f"{run}: running, step {CONFIG.steps}, ")


def test_only_a_run_can_be_watched(tmp_path: Path) -> None:
    """A folder that is no run is an error that says what one is."""
    with pytest.raises(RunError, match=r"no config\.yaml there"):
        look(tmp_path)
    with pytest.raises(ValueError, match="every_seconds"):
        next(seqff.watch(tmp_path, every_seconds=0))


def test_watching_does_without_torch(finished_run: Path) -> None:
    """It answers at once: torch is not imported."""
    code = (
        f"import sys; from seqff.cli import main; code = main(['watch', {str(finished_run)!r}]); "
        "sys.exit(code or 'torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, stdout=subprocess.DEVNULL).returncode == 0
