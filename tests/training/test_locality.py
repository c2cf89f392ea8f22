"""No gradient crosses from one layer to another."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from seqff.config import EncoderConfig, ObjectiveConfig, TrainConfig
from seqff.nets import build_encoder
from seqff.objectives import temporal_hinge
from seqff.pairs import Relation, relate
from seqff.training import LayerLearner, build_learners
from seqff.transform import FrameTransform

ENCODER = EncoderConfig(widths=(4, 6, 8), kernels=(3, 3, 3), strides=(2, 1, 1), pools=(1, 2, 1))
CONFIG = TrainConfig(precision="fp32", encoder=ENCODER, objective=ObjectiveConfig(grid=(2,)))


def setting(norm: str = "layer") -> tuple[list[LayerLearner], torch.Tensor, Relation]:
    """Three thin layers with learners, and a batch of two videos."""
    config = dataclasses.replace(CONFIG, encoder=dataclasses.replace(CONFIG.encoder, norm=norm))
    encoder = build_encoder(config.encoder, FrameTransform(16, 16), seed=0)
    relation = relate(torch.arange(12) // 6, torch.arange(12) % 6, gap=1, far=3)
    return build_learners(encoder, config, seed=0), torch.randn(12, 3, 16, 16), relation


def gradients(learner: LayerLearner) -> list[torch.Tensor | None]:
    """Gradients of a layer and its head."""
    return [p.grad for module in (learner.layer, learner.head) for p in module.parameters()]


@pytest.mark.parametrize("norm", ["layer", "rms", "batch", "none"])
def test_a_layers_update_reaches_no_other_layer(norm: str) -> None:
    """Updating layer l leaves every other layer and head without any gradient, and changes none of their weights."""
    learners, h, relation = setting(norm)
    for number, learner in enumerate(learners):
        for other in learners:
            other.optimizer.zero_grad(set_to_none=True)
        before = [p.detach().clone() for other in learners for p in other.layer.parameters()]
        h = learner.update(h, relation)
        assert not h.requires_grad
        for place, other in enumerate(learners):
            if place == number:
                assert all(grad is not None and bool(grad.any()) for grad in gradients(other)[::2])
            else:
                assert all(grad is None for grad in gradients(other))
        after = [p for other in learners for p in other.layer.parameters()]
        changed = {place // 2 for place, (a, b) in enumerate(zip(before, after, strict=True)) if not torch.equal(a, b)}
        assert changed == {number}


def test_the_same_loss_with_gradients_flowing_reaches_the_layers_below() -> None:
    """The control: without the detaching the last layer's loss has a gradient in the first layer."""
    learners, h, relation = setting()
    for learner in learners:
        h = learner.layer(h)
    loss, _ = temporal_hinge(learners[-1].head(h), relation, tolerance=0.0, margin=1.5)
    loss.backward()
    first = next(learners[0].layer.parameters()).grad
    assert first is not None
    assert bool(first.any())


def test_an_update_hands_on_the_output_from_before_its_step() -> None:
    """What the next layer sees is what the layer computed, not a second forward pass."""
    learners, h, relation = setting()
    expected = learners[0].layer(h).detach().clone()
    assert torch.equal(learners[0].update(h, relation), expected)
