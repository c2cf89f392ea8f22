"""Killed runs, and the schedule of checkpoints."""

from __future__ import annotations

import dataclasses
import logging
import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from helpers.processes import Together, context, together
from helpers.small_runs import CONFIG, resume, weights

from seqff.config import TrainConfig
from seqff.train import train
from seqff.training.checkpoint import list_checkpoints

KILLS = int(os.environ.get("SEQFF_TEST_KILLS", "3"))


def test_kill_9_at_any_moment_costs_nothing_but_time(manifest: Path, uninterrupted: Path, tmp_path: Path) -> None:
    """Killed at random moments and resumed each time, a run ends with the bytes of one that was left alone.

    SEQFF_TEST_KILLS sets how often.
    """
    began = time.monotonic()
    Together(1, resume, manifest, tmp_path / "timed", CONFIG).results()
    longest, random = time.monotonic() - began, np.random.default_rng(0)
    for _ in range(KILLS):
        started = Together(1, resume, manifest, tmp_path / "run", CONFIG)
        started.processes[0].join(random.uniform(0, longest))
        started.processes[0].kill()
        assert started.results()[0] in (None, True)  # True: it was done before the kill
    assert Together(1, resume, manifest, tmp_path / "run", CONFIG).results() == [True]
    assert weights(tmp_path / "run") == weights(uninterrupted)
    mine, theirs = (list_checkpoints(run)[-1] for run in (tmp_path / "run", uninterrupted))
    assert all((mine / file.name).read_bytes() == file.read_bytes() for file in theirs.iterdir())


def mortal(manifest: Path, run: Path, config: TrainConfig) -> str:
    """Train as one of two that torchrun watches; the second one is killed once, after the first checkpoint."""

    def kill_after_checkpoint() -> None:
        while not list_checkpoints(run):
            time.sleep(0.002)
        os.kill(os.getpid(), signal.SIGKILL)

    if os.environ["RANK"] == "1" and os.environ["TORCHELASTIC_RESTART_COUNT"] == "0":
        threading.Thread(target=kill_after_checkpoint, daemon=True).start()
    return train(manifest, out=run, config=config, overwrite=True, progress=False).encoder.hash()


def plain(manifest: Path, run: Path, config: TrainConfig) -> str:
    """Train."""
    return train(manifest, out=run, config=config, progress=False).encoder.hash()


@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch", "ignore::FutureWarning:torch")
def test_torchrun_restarts_what_was_killed_and_the_run_completes(manifest: Path, tmp_path: Path) -> None:
    """One of two workers is killed: torchrun's agent starts both again with the same command, --overwrite and all; they
    go on from the last checkpoint, and the weights are those of two workers left alone."""
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    context()  # the agent's workers come out of the process that has imported everything
    config = dataclasses.replace(CONFIG, steps=150)
    (tmp_path / "run").mkdir()
    launch = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=2,
        run_id="test",
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=1,
        monitor_interval=0.05,
        start_method="forkserver",
    )
    found = elastic_launch(launch, mortal)(manifest, tmp_path / "run", config)
    straight = together(2, plain, manifest, tmp_path / "straight", config)
    assert found == {0: straight[0], 1: straight[1]}
    assert weights(tmp_path / "run") == weights(tmp_path / "straight")


def test_two_checkpoints_stay(manifest: Path, tmp_path: Path) -> None:
    """Of one every step the last two are kept; how often they come may change later, and is at least every step."""
    config = dataclasses.replace(CONFIG, steps=6, checkpoint_every=1)
    run = train(manifest, out=tmp_path / "run", config=config, progress=False).path
    assert [path.name[-1] for path in list_checkpoints(run)] == ["5", "6"]
    assert resume(manifest, run, dataclasses.replace(config, checkpoint_every=3))
    with pytest.raises(ValueError, match="checkpoint_every must be at least 1, got 0"):
        train(manifest, out=tmp_path / "wrong", config=dataclasses.replace(CONFIG, checkpoint_every=0), progress=False)
    assert not (tmp_path / "wrong").exists()
    assert logging.getLogger("seqff").level == logging.NOTSET
