"""Layer parallel, alone and with data parallel, and processes that stop, fail or resume in other numbers."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.processes import Together, together
from helpers.small_runs import PAIRS

import seqff
from seqff.config import EncoderConfig, ObjectiveConfig, TrainConfig
from seqff.distributed.data_parallel import GatheredRelation
from seqff.distributed.p2p import pack, unpack
from seqff.distributed.ranks import StepOutcome, count_stages
from seqff.distributed.stages import split
from seqff.errors import RunError, SeqffError
from seqff.pairs import Relation
from seqff.train import train
from seqff.training import LayerLearner
from seqff.training.checkpoint import list_checkpoints

CONFIG = TrainConfig(
    steps=5,
    checkpoint_every=2,
    log_every=1,
    monitor_every=3,
    precision="fp32",
    stages=2,
    pairs=dataclasses.replace(PAIRS, buffer_videos=3),
    encoder=EncoderConfig(widths=(4, 6, 6), kernels=(5, 3, 3), strides=(2, 1, 1), pools=(1, 1, 1), norm="batch"),
    objective=ObjectiveConfig(head_out=4, grid=(2,), tolerance="calibrated"),
)
ALONE = {"stages": 1}


@pytest.fixture(scope="module")
def straight(manifest: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one process makes of the settings."""
    config = dataclasses.replace(CONFIG, **ALONE)
    return train(manifest, out=tmp_path_factory.mktemp("alone") / "run", config=config, progress=False).path


def run_train(manifest: Path, run: Path, config: TrainConfig, options: dict[str, Any]) -> str:
    """Train, in a process of several, and say what the net that comes back is."""
    return train(manifest, out=run, config=config, progress=False, **options).encoder.hash()


def run_slowly(manifest: Path, run: Path, config: TrainConfig, seconds: float, fail: int | None) -> str:
    """Train with steps that take a while; one rank raises an error in its third step."""
    update, taken = LayerLearner.update, []

    def slow(self: LayerLearner, h: torch.Tensor, relation: Relation) -> torch.Tensor:
        time.sleep(seconds)
        taken.append(self.name)
        if str(fail) == os.environ["RANK"] and taken.count(self.name) == 3:
            raise RunError("the tape is torn")
        return update(self, h, relation)

    LayerLearner.update = slow  # type: ignore[method-assign]
    return run_train(manifest, run, config, {})


def same(one: Path, other: Path) -> None:
    """Assert that two runs hold the same: encoder, figures, checkpoints, to the bit."""
    assert (one / "encoder.safetensors").read_bytes() == (other / "encoder.safetensors").read_bytes()
    assert figures(one) == figures(other)
    for mine, theirs in zip(list_checkpoints(one), list_checkpoints(other), strict=True):
        for file in sorted(path.name for path in theirs.iterdir()):
            assert (mine / file).read_bytes() == (theirs / file).read_bytes(), f"{mine}/{file}"


def figures(run: Path) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl without the clock, and without the check for which a process needs all layers."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    left_out = ("seconds", "retrieval", "time_order")
    return [{key: value for key, value in line.items() if not key.endswith(left_out)} for line in lines]


def back_to(run: Path, step: int) -> None:
    """Leave of a run what a kill after this step leaves."""
    (run / "encoder.safetensors").unlink()
    for folder in list_checkpoints(run):
        if int(folder.name.removeprefix("step_")) > step:
            shutil.rmtree(folder)


@pytest.mark.parametrize("world", [2, 3])
def test_layers_over_processes_learn_what_one_process_learns(
    manifest: Path, straight: Path, tmp_path: Path, world: int
) -> None:
    """Weights, measured tolerances, figures of all layers and every checkpoint: the same bits. So are those
    of a run that goes on from the middle, in one process or in several."""
    run = tmp_path / "run"
    hashes = together(world, run_train, manifest, run, dataclasses.replace(CONFIG, stages=world), {})
    assert set(hashes) == {seqff.load(straight).hash()}
    same(run, straight)
    back_to(run, 4)
    if world == 2:
        together(2, run_train, manifest, run, CONFIG, {"resume": True})
    else:
        train(manifest, out=run, config=dataclasses.replace(CONFIG, **ALONE), resume=True, progress=False)
    same(run, straight)


def test_mixtures_travel_with_the_activations(manifest: Path, tmp_path: Path) -> None:
    """Forward-Forward's synthetic rows reach the layers of the second process; in bfloat16, too."""
    objective = dataclasses.replace(CONFIG.objective, terms=("goodness",))
    config = dataclasses.replace(CONFIG, objective=objective, precision="bf16", steps=3)
    together(2, run_train, manifest, tmp_path / "run", config, {})
    alone = dataclasses.replace(config, **ALONE)
    same(tmp_path / "run", train(manifest, out=tmp_path / "alone", config=alone, progress=False).path)


def test_a_grid_of_replicas_and_stages_learns_what_replicas_learn(manifest: Path, tmp_path: Path) -> None:
    """Two replicas of two stages give the weights of two replicas of one, to the bit; resumed from the middle, again.
    Gone on with by one process, the run says what differs and ends."""
    data = dataclasses.replace(CONFIG, **ALONE, gather_negatives=True)
    together(2, run_train, manifest, tmp_path / "data", data, {})
    back_to(shutil.copytree(tmp_path / "data", tmp_path / "resumed"), 4)
    together(2, run_train, manifest, tmp_path / "resumed", data, {"resume": True})
    same(tmp_path / "resumed", tmp_path / "data")
    grid = dataclasses.replace(data, stages=2)
    together(4, run_train, manifest, tmp_path / "grid", grid, {})
    same(tmp_path / "grid", tmp_path / "data")


def test_another_number_of_replicas_goes_on_with_the_next_videos(
    manifest: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A run of two replicas is finished by one process: a warning says what differs, and no batch comes twice."""
    config = dataclasses.replace(CONFIG, **ALONE)
    together(2, run_train, manifest, tmp_path / "run", config, {})
    back_to(tmp_path / "run", 4)
    train(manifest, out=tmp_path / "run", config=config, resume=True, progress=False)
    assert "resumed with 1 data-parallel processes instead of 2" in caplog.text
    state = json.loads((list_checkpoints(tmp_path / "run")[-1] / "state.json").read_text())
    # four steps of two processes took eight batches, four rounds of two; the next round begins with batch 8
    assert (state["step"], state["position"], state["replicas"]) == (5, 9, 1)


@pytest.mark.parametrize("stages", [1, 2])
def test_an_error_in_one_process_ends_all_with_its_words(
    manifest: Path, straight: Path, tmp_path: Path, stages: int
) -> None:
    """The process that fails says why, and so do the others; none hangs, and what is left can be gone on with."""
    config = dataclasses.replace(CONFIG, stages=stages)
    first, second = Together(2, run_slowly, manifest, tmp_path / "run", config, 0.0, 1).results()
    assert str(second) == "the tape is torn"
    assert isinstance(first, SeqffError)
    assert str(first) == "rank 0 stops: rank 1 failed: the tape is torn"
    if stages > 1:
        alone = dataclasses.replace(config, **ALONE)
        same(train(manifest, out=tmp_path / "run", config=alone, resume=True, progress=False).path, straight)
        assert not list(tmp_path.glob("run/checkpoints/.*"))


@pytest.mark.parametrize("stages", [1, 2])
def test_a_killed_process_ends_the_others(manifest: Path, tmp_path: Path, stages: int) -> None:
    """kill -9 of one: the other one ends by itself and says so."""
    config = dataclasses.replace(CONFIG, stages=stages, steps=1000)
    started = Together(2, run_slowly, manifest, tmp_path / "run", config, 0.01, None)
    wait_for(tmp_path / "run" / "encoder.safetensors", started)
    started.processes[1].kill()
    first, second = started.results()
    assert second is None
    assert isinstance(first, SeqffError)
    assert "rank 0 stops: another process was killed, hangs, or its machine is gone" in str(first)


@pytest.mark.parametrize(("stages", "signalled"), [(1, 1), (2, 0), (2, 1)])
def test_a_signal_to_one_process_stops_all_at_the_same_step(
    manifest: Path, straight: Path, tmp_path: Path, stages: int, signalled: int
) -> None:
    """SIGTERM to any of them: one checkpoint of all layers at one step, from which the run goes on to the same bits."""
    config = dataclasses.replace(CONFIG, stages=stages, steps=60, checkpoint_every=1000)
    run = tmp_path / "run"
    started = Together(2, run_slowly, manifest, run, config, 0.01, None)
    wait_for(run / "metrics.jsonl", started, lines=3)
    os.kill(started.processes[signalled].pid or 0, signal.SIGTERM)
    assert [type(one) for one in started.results()] == [KeyboardInterrupt, KeyboardInterrupt]
    (checkpoint,) = list_checkpoints(run)
    step = int(checkpoint.name.removeprefix("step_"))
    assert 3 <= step < 60
    assert figures(run)[-1]["step"] == step
    assert seqff.load(run).hash()
    if stages > 1:
        alone = dataclasses.replace(config, **ALONE, steps=60)
        train(manifest, out=run, config=alone, resume=True, progress=False)
        never = train(manifest, out=tmp_path / "never", config=alone, progress=False).path
        assert (run / "encoder.safetensors").read_bytes() == (never / "encoder.safetensors").read_bytes()


def wait_for(path: Path, started: Together, *, lines: int = 0) -> None:
    """Wait until a file is there, with so many lines."""
    while not path.exists() or (lines and len(path.read_text().splitlines()) < lines):
        assert all(process.is_alive() for process in started.processes), started.results()
        time.sleep(0.005)


def test_layers_are_split_so_that_the_slowest_stage_is_fast() -> None:
    """Consecutive layers, none left out; the reading counts for the first stage."""
    assert split([1, 1, 1, 1], 2) == [0, 2, 4]
    assert split([1, 1, 1, 1], 2, before=2) == [0, 1, 4]
    assert split([5, 1, 1, 1, 4], 3) == [0, 1, 4, 5]
    assert split([1.0] * 40, 8) == list(range(0, 41, 5))
    with pytest.raises(ValueError, match="3 stages for 2 layers: set stages to at most 2"):
        split([1, 1], 3)


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
def test_a_block_brings_everything_as_it_was(layout: torch.memory_format) -> None:
    """Activations come with the same strides, relations with all their parts, and a batch without positives, too."""
    h = torch.randn(4, 3, 5, 2).contiguous(memory_format=layout).bfloat16()
    mask = torch.rand(4, 4) > 0.5
    own = Relation(torch.empty(0, 2, dtype=torch.int64), mask, ~mask, video=torch.arange(4))
    every = Relation(torch.ones(3, 2, dtype=torch.int64), mask, ~mask, torch.rand(4) > 0.5)
    block = torch.empty(10_000, dtype=torch.uint8)
    outcome = StepOutcome(*(number % 2 == 0 for number in range(len(StepOutcome._fields))))
    pack(h, GatheredRelation(**vars(own), gathered=every, counts=(1, 3)), outcome, block)
    found, relation, told = unpack(block)
    assert torch.equal(found, h)
    assert (found.stride(), told) == (h.stride(), outcome)
    assert isinstance(relation, GatheredRelation)
    assert relation.counts == (1, 3)
    for mine, theirs in ((relation, own), (relation.gathered, every)):
        for name in vars(own):
            a, b = getattr(mine, name), getattr(theirs, name)
            assert (a is None and b is None) or torch.equal(a, b)
    with pytest.raises(RunError, match="larger than the stages agreed on"):
        pack(h, own, outcome, block[:1200])


@pytest.mark.parametrize(
    ("settings", "world", "match"),
    [
        ({"stages": 2}, 1, "needs several processes: torchrun"),
        ({"stages": 3}, 4, "stages=3 must be above 0 and divide 4"),
        ({"stages": 0}, 1, "stages=0 must be above 0 and divide 1"),
        ({"stages": 2, "trainer": "greedy"}, 2, "is for trainer='local'"),
        ({"trainer": "end_to_end"}, 2, "runs in one process"),
    ],
)
def test_ways_to_share_the_work_that_do_not_exist_are_named(settings: dict[str, Any], world: int, match: str) -> None:
    """Settings that do not fit the number of processes are refused before anything is joined."""
    with pytest.raises(ValueError, match=match):
        count_stages(dataclasses.replace(TrainConfig(), **settings), world)
