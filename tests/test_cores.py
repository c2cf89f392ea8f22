"""Detection of more threads than free cores."""

from __future__ import annotations

import os

import pytest
import torch

from seqff.cores import crowding, usable_cores
from seqff.training.callbacks.crowding import STEPS, Crowding
from seqff.training.trainer import StepReport


def test_more_threads_than_free_cores_are_said_in_a_line() -> None:
    """With the number that fits; one thread is never too many, and half a core is not missed."""
    said = crowding(4, 1.2)
    assert said.startswith("4 threads")
    assert "1.2 of" in said
    assert "OMP_NUM_THREADS=1 " in said
    assert "\n" not in said
    assert "OMP_NUM_THREADS=1 " in crowding(2, 0.0)
    assert not crowding(1, 0.0)
    assert not crowding(2, 1.6)


@pytest.mark.parametrize("crowded", [True, False])
def test_a_training_says_so_once(caplog: pytest.LogCaptureFixture, crowded: bool) -> None:
    """After some steps with more threads than this process has cores; with one thread, nothing."""
    before, callback = torch.get_num_threads(), Crowding()
    torch.set_num_threads(4 * usable_cores() if crowded else 1)
    try:
        for step in range(2 * STEPS):
            callback.after_step(StepReport(step + 1, False, 0.1, 1, []))
    finally:
        torch.set_num_threads(before)
    assert len(caplog.messages) == crowded
    assert all(f"{4 * usable_cores()} threads compute" in message for message in caplog.messages)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity on this system")
def test_cores_are_those_that_this_process_may_use() -> None:
    """One, once it is bound to one."""
    allowed = os.sched_getaffinity(0)
    assert 1 <= usable_cores() <= len(allowed)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        assert usable_cores() == 1
    finally:
        os.sched_setaffinity(0, allowed)
