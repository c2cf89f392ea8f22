"""Presets: each one trains, and an unknown name gets a suggestion."""

from __future__ import annotations

import itertools
import re

import numpy as np
import pytest
import torch
from helpers.rows import FAR, GAP, TIME, VIDEO

from seqff.config import TrainConfig
from seqff.config_io import load_preset
from seqff.errors import ConfigError
from seqff.nets import build_encoder
from seqff.pairs import FrameBatch, Relation
from seqff.pairs.mixtures import with_mixtures
from seqff.presets import PRESETS
from seqff.training import LayerLearner, build_learners
from seqff.transform import FrameTransform


def setting(name: str) -> tuple[list[LayerLearner], torch.Tensor, Relation]:
    """The preset's encoder and learners, and frames of three videos that change by little from one to the next."""
    config = load_preset(name)
    encoder = build_encoder(config.encoder, FrameTransform(32, 32), seed=0)
    learners = build_learners(encoder, config, seed=0)
    generator = torch.Generator().manual_seed(0)
    frames = torch.randn(3, 3, 32, 32, generator=generator)[VIDEO]
    batch = FrameBatch(frames + 0.3 * torch.randn(frames.shape, generator=generator), VIDEO, TIME)
    known = batch.relation(gap=GAP, far=FAR)
    if any(learner.objective.needs_mixtures for learner in learners):
        batch, known = with_mixtures(batch, known, np.random.default_rng(0))
    return learners, batch.frames, known


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_trains(name: str) -> None:
    """Three steps of all layers have finite losses and figures, and lower the sum of the losses of the same batch."""
    learners, frames, known = setting(name)
    sums = []
    for _ in range(4):
        h, total = frames, 0.0
        for learner in learners:
            h = learner.update(h, known)
            assert all(bool(torch.isfinite(value)) for value in learner.metrics.values())
            total += float(learner.metrics["loss"])
        sums.append(total)
    assert sums[-1] < sums[0]


def test_a_preset_is_its_method() -> None:
    """The default is the default, the others differ from it and from each other, with the heads of their papers."""
    configs = {name: load_preset(name) for name in PRESETS}
    assert {name for name in configs if configs[name].objective.head == "mlp"} == {
        "infonce", "vicreg", "barlow", "sigreg", "straightening"
    }  # fmt: skip
    assert configs.pop("default") == TrainConfig()
    assert all(a != b for a, b in itertools.combinations(configs.values(), 2))
    published = re.compile(r"\b(19|20)\d\d\b")
    assert all(published.search(preset.reference) for preset in PRESETS.values() if preset.reference != "this package")
    assert all(len(preset.text.splitlines()) == 1 for preset in PRESETS.values())


def test_the_seed_note_has_nothing_against_collapse() -> None:
    """It is the bare hinge on raw features: shrunk far enough they cost nothing, whatever the frames."""
    learners, _, known = setting("seed-note")
    learner = learners[-1]
    h = torch.randn(18, 128, 8, 8, generator=torch.Generator().manual_seed(1))
    before = float(learner.loss(h, known)[1].detach())
    with torch.no_grad():
        for parameter in learner.layer.parameters():
            parameter.mul_(0.01)
    assert before > 0
    assert float(learner.loss(h, known)[1].detach()) == 0


def test_an_unknown_preset_gets_a_suggestion() -> None:
    """A typo is named with the nearest preset; without a near one all are listed."""
    with pytest.raises(ConfigError, match="no preset 'temporal_hinge'; did you mean 'temporal-hinge'"):
        load_preset("temporal_hinge")
    with pytest.raises(ConfigError, match="known: default, temporal-hinge, infonce"):
        load_preset("xyz")
