"""Data parallel: several processes learn what one process learns from all their batches."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from helpers.processes import together
from helpers.small_nets import CONFIG, small_learners
from numpy.typing import NDArray

from seqff.config import OptimConfig, TrainConfig
from seqff.distributed.data_parallel import (
    average_measured,
    broadcast,
    check_data_parallel,
    gather_relation,
    synchronize,
)
from seqff.distributed.ranks import ALONE, Ranks, process_group
from seqff.pairs import FrameBatch, Relation
from seqff.training import LayerLearner
from seqff.training.calibrate import calibrate
from seqff.training.strategies import LocalStrategy

Held = dict[str, dict[str, NDArray[np.generic]]]
"""Of every case, all that the learners hold."""
STEPS = 4
GAP, FAR = 1, 3


def changed(
    *, norm: str = "layer", optim: OptimConfig | None = None, gather: bool = True, **objective: Any
) -> TrainConfig:
    """Settings of three thin layers with both kinds of negatives."""
    return dataclasses.replace(
        CONFIG,
        steps=STEPS,
        gather_negatives=gather,
        encoder=dataclasses.replace(CONFIG.encoder, norm=norm),
        optim=optim or OptimConfig(name="sgd", lr=0.05),  # Adam would make much of rounding where gradients are near 0
        objective=dataclasses.replace(CONFIG.objective, **{"same_video": 0.5, **objective}),
    )


CASES = {
    "hinge, and between videos": changed(),
    "hinge, own negatives": changed(gather=False, same_video=1.0, terms=("temporal_hinge",)),
    "measured tolerance": changed(tolerance="calibrated"),
    "sampled": changed(negatives="sampled"),
    "batch norm": changed(norm="batch"),
    "whitening": changed(norm="whitening"),
    "infonce, a matrix of its own": changed(
        terms=("infonce",), infonce=dataclasses.replace(CONFIG.objective.infonce, score="bilinear", temperature=1.0)
    ),
    "vicreg": changed(terms=("vicreg",)),
    "clapp": changed(terms=("clapp",)),
    "adamw": changed(terms=("temporal_hinge",), optim=OptimConfig(name="adamw", lr=1e-3)),
    "muon": changed(terms=("temporal_hinge",), optim=OptimConfig(name="muon", lr=1e-3)),
}


def batch(number: int, rank: int, *, alike: bool) -> FrameBatch:
    """Frames of two videos as noise; alike: as many in every rank, of other videos; else one video is in both."""
    each = 6 if alike else 6 - rank
    generator = torch.Generator().manual_seed(10 * number + rank)
    frames = torch.randn(2 * each, 3, 16, 16, generator=generator)
    video = torch.arange(2 * each) // each * (1 + rank) + 10 * rank * alike
    return FrameBatch(frames, video, torch.arange(2 * each) % each + 6 * rank)


def joint(batches: list[FrameBatch]) -> FrameBatch:
    """One batch of the rows of several."""
    parts = ([getattr(one, name) for one in batches] for name in ("frames", "video", "time"))
    return FrameBatch(*(torch.cat(part) for part in parts))


def examples(config: TrainConfig, ranks: Ranks) -> Iterator[tuple[torch.Tensor, Relation]]:
    """What a process learns from; one alone has the rows of two."""
    alike = not config.gather_negatives
    for number in range(100):
        if ranks.world == 1:
            whole = joint([batch(number, rank, alike=alike) for rank in (0, 1)])
            yield whole.frames, whole.relation(gap=GAP, far=FAR)
            continue
        own = batch(number, ranks.rank, alike=alike)
        relation = own.relation(gap=GAP, far=FAR)
        if config.gather_negatives:
            relation = gather_relation(own, relation, ranks, gap=GAP, far=FAR, unit="frames")
        yield own.frames, relation


def learn(config: TrainConfig, ranks: Ranks) -> dict[str, torch.Tensor]:
    """Take some steps and return all that the learners hold."""
    learners = small_learners(config)
    if ranks.rank:  # what it starts from must not matter
        for learner in learners:
            torch.nn.init.zeros_(learner.layer.conv.weight)
    synchronize(learners, ranks, config)
    broadcast(learners, ranks)
    calibrate(learners, examples(config, ranks))
    average_measured(learners, ranks)
    trainer = LocalStrategy(learners, steps=STEPS, optim=config.optim)
    for step, (h, relation) in zip(range(STEPS), examples(config, ranks), strict=False):
        trainer.step(step, h, relation)
    return state(learners)


def state(learners: list[LayerLearner]) -> dict[str, torch.Tensor]:
    """Weights, statistics and tolerances of all layers."""
    found = {}
    for learner in learners:
        learner.apply_pending_step()
        for what in (learner.layer.state_dict(), learner.head.state_dict(), learner.objective.state_dict()):
            found |= {f"{learner.name}/{len(found)}/{name}": value.clone() for name, value in what.items()}
    return found


def learn_all() -> Held:
    """All cases, in a process of several."""
    with process_group(CONFIG, torch.device("cpu")) as ranks:
        found = {name: learn(config, ranks) for name, config in CASES.items()}
    return {name: {key: value.numpy() for key, value in one.items()} for name, one in found.items()}


@pytest.fixture(scope="module")
def both() -> list[Held]:
    """What two processes make of all cases."""
    return together(2, learn_all)


@pytest.mark.parametrize("case", CASES)
def test_two_processes_learn_what_one_learns_from_the_doubled_batch(both: list[Held], case: str) -> None:
    """Weights, running statistics, tolerances and draws are those of one process with the rows of both, to
    rounding; batches differ in size, and share a video. Both processes hold the same bits."""
    first, second = (one[case] for one in both)
    assert all(np.array_equal(first[name], second[name]) for name in first)
    alone = learn(CASES[case], ALONE)
    fresh = state(small_learners(CASES[case]))
    assert list(first) == list(alone)
    assert any(not torch.equal(alone[name], fresh[name]) for name in alone)
    for name, value in alone.items():
        found = torch.from_numpy(first[name])
        torch.testing.assert_close(found, value, rtol=2e-3, atol=2e-5, msg=lambda text, n=name: f"{n}: {text}")


@pytest.mark.parametrize(
    ("config", "match"),
    [
        (changed(gather=False, negatives="sampled"), "objective.negatives=sampled counts its draws"),
        (changed(terms=("goodness",)), "gather_negatives brings embeddings together"),
        (dataclasses.replace(changed(norm="batch"), compile=True), "cannot be compiled"),
        (dataclasses.replace(changed(), trainer="greedy", greedy_cache=2), "leave gather_negatives or the cache"),
    ],
)
def test_settings_that_do_not_fit_several_processes_are_named(config: TrainConfig, match: str) -> None:
    """What would differ from process to process in silence is refused in words."""
    with pytest.raises(ValueError, match=match):
        check_data_parallel(small_learners(config), config)
