"""Two trainings into one folder: one trains undisturbed, the other gets a one-line error that names it."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pytest
from helpers.processes import Together
from helpers.small_runs import CONFIG, metrics, weights

from seqff.errors import RunError
from seqff.online.train import stream_learner
from seqff.train import train
from seqff.training.run_folder import claim_run
from seqff.training.supervised import train_supervised


@pytest.mark.parametrize("ways", [{}, {"resume": True}, {"overwrite": True}], ids=["fresh", "resume", "overwrite"])
def test_a_run_in_use_is_left_alone(manifest: Path, uninterrupted: Path, tmp_path: Path, ways: dict[str, bool]) -> None:
    """Whatever the second should do, it reports the holder of the folder before reading it, and changes nothing."""
    run = tmp_path / "run"
    train(manifest, out=run, config=dataclasses.replace(CONFIG, steps=5), progress=False)
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    with claim_run(run):
        with pytest.raises(RunError, match=f"run is in use by process {os.getpid()} on .*: wait, stop that, or choose"):
            train(manifest, out=run, config=CONFIG, progress=False, **ways)
        kept = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    assert {path: when for path, when in kept.items() if path.name != "training.lock"} == {
        path: when for path, when in before.items() if path.name != "training.lock"
    }


def test_other_kinds_of_training_are_told_as_well(clips: Path, tmp_path: Path) -> None:
    """A stream learner locks its folder from start to end; supervised training checks the lock, too."""
    labels = {path.relative_to(clips).as_posix(): path.parent.name for path in clips.rglob("*.mp4")}
    with stream_learner(out=tmp_path / "run", config=CONFIG):
        with pytest.raises(RunError, match="in use by"):
            stream_learner(out=tmp_path / "run", config=CONFIG, resume=True)
        with pytest.raises(RunError, match="in use by"):
            train_supervised(clips, labels, out=tmp_path / "run", config=CONFIG, progress=False)
    assert not (tmp_path / "run").exists()


def train_there(manifest: Path, run: Path) -> str:
    """Train, or return the error."""
    try:
        train(manifest, out=run, config=CONFIG, resume=True, progress=False)
    except RunError as error:
        return str(error)
    return "done"


def test_two_trainings_at_once(manifest: Path, uninterrupted: Path, tmp_path: Path) -> None:
    """Of two started together, the first trains to the same bytes and lines as alone, undisturbed by the other."""
    run = tmp_path / "run"
    both = [Together(1, train_there, manifest, run) for _ in range(2)]
    said = sorted(found for one in both for found in one.results())
    assert weights(run) == weights(uninterrupted)
    assert metrics(run) == metrics(uninterrupted)
    assert said[0].startswith(f"{run} is in use by process ") or said[0] == "done"  # one after the other
    assert said[1] == "done"
