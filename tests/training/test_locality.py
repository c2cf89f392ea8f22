"""No gradient passes between layers, except in end-to-end training."""

from __future__ import annotations

from typing import Any, get_args, get_type_hints

import pytest
import torch
from helpers.small_nets import layer_weights, small_batch, small_config, small_learners

from seqff.config import EncoderConfig
from seqff.objectives import OBJECTIVES
from seqff.training import build_strategy

NORMS = get_args(get_type_hints(EncoderConfig)["norm"])


def reached(loss: int, **settings: Any) -> set[int]:
    """Return layers whose weights, head or objective get a nonzero gradient from the loss of layer `loss`.

    The losses of all other layers are multiplied by 0, one step that trains the layer is taken, and all gradients of
    all parameters are inspected.
    """
    config = small_config(steps=3, **settings)  # greedy: one step for each of the three layers
    learners = small_learners(config)
    trainer = build_strategy(learners, config)
    found = set()
    for number, learner in enumerate(learners):
        if number != loss:
            learner.objective.weights = dict.fromkeys(learner.objective.weights, 0.0)

        def note(parameter: torch.Tensor, number: int = number) -> None:
            assert parameter.grad is not None
            if bool(parameter.grad.any()):
                found.add(number)

        for parameter in learner.parameters:
            parameter.register_post_accumulate_grad_hook(note)
    trainer.step(loss, *small_batch(mixtures=learners[loss].objective.needs_mixtures))
    return found


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("objective", sorted(OBJECTIVES))
def test_a_layers_loss_reaches_that_layer_alone(objective: str, norm: str) -> None:
    """Local and greedy: the loss of layer l gives no gradient to any other layer."""
    for trainer in ("local", "greedy"):
        for layer in range(3):
            assert reached(layer, objective=objective, norm=norm, trainer=trainer) == {layer}, (trainer, layer)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("objective", sorted(OBJECTIVES))
def test_end_to_end_the_same_look_finds_the_layers_below(objective: str, norm: str) -> None:
    """Control: with backpropagation a loss reaches its layer and all below, so the test above can fail."""
    assert reached(2, objective=objective, norm=norm, trainer="end_to_end") == {0, 1, 2}
    assert reached(1, objective=objective, norm=norm, trainer="end_to_end_sum") == {0, 1}


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("objective", sorted(OBJECTIVES))
def test_overlapping_a_loss_reaches_one_layer_further_down(objective: str, norm: str) -> None:
    """A loss trains its layer and the one below, and no other."""
    found = [reached(layer, objective=objective, norm=norm, trainer="overlap") for layer in range(3)]
    assert found == [{0}, {0, 1}, {1, 2}]


def test_overlapping_gradients_are_those_of_both_losses() -> None:
    """A layer's gradient is that of its own and the next layer's loss, by plain backpropagation through both."""
    learners, (h, relation) = small_learners(), small_batch()
    expected = []
    inputs = [h]
    for learner in learners:
        inputs.append(learner.layer(inputs[-1]).detach())
    for number, learner in enumerate(learners):
        out, loss = learner.loss(inputs[number], relation)
        if number + 1 < len(learners):
            loss = loss + learners[number + 1].loss(out, relation)[1]
        expected.append(torch.autograd.grad(loss, list(learner.layer.parameters())))
    found: dict[int, torch.Tensor] = {}
    for learner in learners:
        for parameter in learner.layer.parameters():
            parameter.register_post_accumulate_grad_hook(lambda p: found.update({id(p): p.grad.clone()}))  # type: ignore[union-attr]
    build_strategy(learners, small_config(trainer="overlap")).step(0, h, relation)
    for learner, gradients in zip(learners, expected, strict=True):
        torch.testing.assert_close([found[id(p)] for p in learner.layer.parameters()], list(gradients))


def test_an_update_changes_its_layer_alone_and_keeps_no_graph() -> None:
    """An update does not change other layers' weights, and neither output nor weights keep a graph or a gradient."""
    learners, (h, relation) = small_learners(), small_batch()
    for number, learner in enumerate(learners):
        before = layer_weights(learners)
        h = learner.update(h, relation)
        assert not h.requires_grad
        assert all(parameter.grad is None for other in learners for parameter in other.parameters)
        pairs = enumerate(zip(before, layer_weights(learners), strict=True))
        assert {place // 2 for place, (a, b) in pairs if not torch.equal(a, b)} == {number}


def test_an_update_hands_on_the_output_from_before_its_step() -> None:
    """The next layer's input is the layer's output, not that of a second forward pass."""
    learners, (h, relation) = small_learners(), small_batch()
    expected = learners[0].layer(h).detach().clone()
    assert torch.equal(learners[0].update(h, relation), expected)
