"""The cheaper backward pass of a local layer: same numbers, and only if nothing else needs the map."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from helpers.small_nets import small_batch, small_config, small_learners
from torch import Tensor

from seqff.training import LayerLearner


def run(learner: LayerLearner, h: Tensor, *, detached: bool) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Return output, loss and gradients of a layer and its head."""
    _, relation = small_batch()
    out, loss = learner.loss(h, relation, detached=detached)
    return out, loss, list(torch.autograd.grad(loss, learner.parameters))


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("head", ["mlp", "linear", "none"])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_output_loss_and_gradients_are_the_same(head: str, precision: str, layout: torch.memory_format) -> None:
    """Equal results for layers with and without max pooling, in both precisions."""
    config = small_config(precision=precision)
    config = dataclasses.replace(config, objective=dataclasses.replace(config.objective, head=head))
    h, _ = small_batch()
    for learner in small_learners(config):
        learner.layer.to(memory_format=layout)
        h = h.contiguous(memory_format=layout)
        expected, loss, gradients = run(learner, h, detached=False)
        out, found, cheaper = run(learner, h, detached=True)
        assert torch.equal(out, expected)
        assert torch.equal(found, loss)
        tolerance = 1e-5 if precision == "fp32" else 2e-2
        for a, b in zip(cheaper, gradients, strict=True):
            torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance * float(b.abs().max()))
        h = out.detach()


def test_a_layers_own_step_takes_the_cheaper_way_and_backpropagation_does_not() -> None:
    """The reason for the speed: `update` builds no graph for the map; `loss` does, as end-to-end training needs."""
    (learner, *_), (h, relation) = small_learners(), small_batch()
    assert not learner.loss(h, relation, detached=True)[0].requires_grad
    assert learner.loss(h, relation)[0].requires_grad
    below = h.clone().requires_grad_()
    learner.loss(below, relation)[1].backward()
    assert below.grad is not None
    assert bool(below.grad.any())


@pytest.mark.parametrize("changes", [{"objective": "goodness"}, {"activation_checkpointing": True}], ids=str)
def test_what_needs_the_map_or_runs_the_layer_again_gets_the_plain_way(changes: dict[str, object]) -> None:
    """With an objective on the map, or recomputation, the output has a graph."""
    learner = small_learners(small_config(**changes))[0]
    h, relation = small_batch(mixtures="objective" in changes)
    assert learner.loss(h, relation, detached=True)[0].requires_grad


def test_the_last_layer_of_a_backpropagated_net_may_take_it_too() -> None:
    """The gradient of the layer's input is the same as in the plain implementation."""
    learner, (_, relation) = small_learners()[1], small_batch()
    h = torch.rand(12, 4, 8, 8, generator=torch.Generator().manual_seed(0)).requires_grad_()
    plain, cheaper = (
        torch.autograd.grad(learner.loss(h, relation, detached=detached)[1], h)[0] for detached in (False, True)
    )
    torch.testing.assert_close(cheaper, plain, rtol=1e-5, atol=1e-7)
