"""Tolerances are calibrated on the untrained layers, before the first step."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.small_nets import layer_weights, small_batch, small_config, small_learners

from seqff.config import PairsConfig, TrainConfig
from seqff.objectives.pairwise import squared_distances, unit
from seqff.pairs import Relation
from seqff.train import train
from seqff.training.calibrate import BATCHES, calibrate


def config(**objective: Any) -> TrainConfig:
    """Settings of three thin layers with running statistics."""
    known = small_config(norm="batch")
    return dataclasses.replace(known, objective=dataclasses.replace(known.objective, **objective))


def batches(count: int) -> Iterator[tuple[torch.Tensor, Relation]]:
    """Return batches of noise."""
    return (small_batch(number) for number in range(count))


def test_the_estimate_is_the_quantile_over_the_first_batches() -> None:
    """Quantiles are over all positives of four batches, at every layer; later batches do not count."""
    settings = config(tolerance="calibrated")
    learners, untrained = small_learners(settings), small_learners(settings)
    calibrate(learners, batches(BATCHES + 3))
    assert BATCHES == 4
    positives: list[list[torch.Tensor]] = [[], [], []]
    with torch.no_grad():
        for h, known in batches(BATCHES):
            for number, learner in enumerate(untrained):
                h = learner.run_layer(h)
                d = squared_distances(unit(learner.head(h)))
                positives[number].append(d[known.positive[:, 0], known.positive[:, 1]])
    for learner, share, near in zip(learners, (0.5, 0.4, 0.3), positives, strict=True):
        term = learner.objective.terms["temporal_hinge"]
        assert float(term.tolerance.value) == pytest.approx(float(torch.cat(near).quantile(share)), rel=1e-4)


def test_measuring_moves_nothing_else() -> None:
    """Weights, running statistics and draws of negatives are the same as without calibration."""
    settings = config(tolerance="calibrated", negatives="sampled", same_video=0.5)
    learners, untouched = small_learners(settings), small_learners(settings)
    calibrate(learners, batches(BATCHES))
    for one, other in zip(layer_weights(learners), layer_weights(untouched), strict=True):
        assert torch.equal(one, other)
    for learner, fresh in zip(learners, untouched, strict=True):
        before = {**fresh.layer.state_dict(), **fresh.objective.state_dict()}
        after = {**learner.layer.state_dict(), **learner.objective.state_dict()}
        changed = {name for name, value in after.items() if not torch.equal(value, before[name])}
        assert changed == {"terms.temporal_hinge.tolerance.value"}


def test_where_nothing_is_measured_no_batch_is_asked_for() -> None:
    """Fixed tolerances need no decoding."""

    def refuse() -> Iterator[tuple[torch.Tensor, Relation]]:
        raise AssertionError
        yield

    calibrate(small_learners(config()), refuse())


def test_in_a_training_the_tolerance_follows(manifest: Path, tmp_path: Path) -> None:
    """The first step already uses it, and about the requested share of positives is within."""
    settings = TrainConfig(
        **{
            **vars(config(tolerance="calibrated")),
            "steps": 12,
            "log_every": 1,
            "pairs": PairsConfig(
                size_px=16, gap=1, far=6, videos_per_batch=6, clips_per_video=3, clip_frames=4, batches_per_visit=2
            ),
        }
    )
    run = train(manifest, out=tmp_path / "run", config=settings, progress=False).path
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    for layer, share in (("layer1", 0.5), ("layer2", 0.4), ("layer3", 0.3)):
        assert len({line[f"{layer}/tolerance"] for line in lines}) == 12
        assert sum(line[f"{layer}/within_tolerance"] for line in lines) / 12 == pytest.approx(share, abs=0.15)
    assert lines[0]["layer1/tolerance"] > 0
