"""Optimizers and compilation: their effect on a layer's update."""

from __future__ import annotations

import dataclasses
import logging
from typing import Any

import pytest
import torch
from helpers.small_nets import CONFIG, layer_weights, small_batch, small_config, small_learners
from torch._inductor import config as inductor

from seqff.config import OptimConfig
from seqff.training import LayerLearner
from seqff.training.optimizers import Muon, build_optimizer, orthogonalize


def learners_with(**optim: Any) -> list[LayerLearner]:
    """Return narrow layers whose optimizers have these settings."""
    return small_learners(dataclasses.replace(CONFIG, optim=OptimConfig(**optim)))


def gradient(learner: LayerLearner) -> list[torch.Tensor]:
    """Return the gradient of the first layer on the first batch."""
    _, loss = learner.loss(*small_batch())
    return list(torch.autograd.grad(loss, learner.parameters))


@pytest.mark.parametrize("head_lr", [0.0, 0.25, 1.0])
def test_sgd_with_momentum_follows_its_formula(head_lr: float) -> None:
    """v = 0.9 * v + gradient + decay * w, w = w - lr * v, over three steps; the head takes head_lr times lr."""
    settings = {"lr": 0.1, "head_lr": head_lr, "weight_decay": 0.01}
    mine, theirs = learners_with(name="sgd", **settings)[0], learners_with()[0]
    heads = {id(p) for p in theirs.head.parameters()}
    assert 0 < len(heads) < len(theirs.parameters)
    velocity = [torch.zeros_like(p) for p in theirs.parameters]
    for _ in range(3):
        for p, v, g in zip(theirs.parameters, velocity, gradient(theirs), strict=True):
            v.mul_(0.9).add_(g + 0.01 * p.detach())
            p.detach().sub_(0.1 * (head_lr if id(p) in heads else 1.0) * v)
        mine.update(*small_batch())
    torch.testing.assert_close(mine.parameters, theirs.parameters)


def test_adam_and_adamw_differ_in_the_weight_decay_alone() -> None:
    """Without decay they take the same step, with decay a different one."""
    for decay, same in ((0.0, True), (0.1, False)):
        a, b = (learners_with(name=name, weight_decay=decay)[:1] for name in ("adam", "adamw"))
        for (learner,) in (a, b):
            learner.update(*small_batch())
        assert torch.equal(layer_weights(a)[0], layer_weights(b)[0]) == same


@pytest.mark.parametrize("shape", [(6, 20), (20, 6), (8, 8)])
def test_directions_of_a_matrix_are_brought_to_count_alike(shape: tuple[int, int]) -> None:
    """Singular values spread over a factor of 30 end near 1; the singular vectors stay."""
    u, _, v = torch.linalg.svd(torch.randn(shape, generator=torch.Generator().manual_seed(1)), full_matrices=False)
    matrix = u @ torch.diag(torch.logspace(0, -1.5, min(shape))) @ v
    found = u.T @ orthogonalize(matrix) @ v.T
    values = found.diagonal()
    assert 0.6 < float(values.min()) < float(values.max()) < 1.3
    assert float((found - torch.diag(values)).abs().max()) < 1e-4


def test_muon_moves_a_kernel_as_torchs_own_does_the_matrix() -> None:
    """Equals torch.optim.Muon at 5 times the rate: that has a factor of 0.2, bfloat16 iterations and matrices only."""
    if not hasattr(torch.optim, "Muon"):
        pytest.skip("this torch has no Muon of its own; 2.9 has")
    generator = torch.Generator().manual_seed(2)
    kernel = torch.nn.Parameter(torch.randn(8, 4, 3, 3, generator=generator))
    matrix = torch.nn.Parameter(kernel.detach().flatten(1).clone())
    mine = Muon([{"params": [kernel], "matrices": True}], lr=0.02, weight_decay=0.1, fused=True)
    theirs = torch.optim.Muon([matrix], lr=0.1, weight_decay=0.02, adjust_lr_fn="match_rms_adamw")
    before = matrix.detach().clone()
    for _ in range(4):
        kernel.grad = torch.randn(8, 4, 3, 3, generator=generator)
        matrix.grad = kernel.grad.flatten(1).clone()
        mine.step()
        theirs.step()
    assert float((kernel.detach().flatten(1) - matrix.detach()).norm()) < 0.02 * float(
        (matrix.detach() - before).norm()
    )


def test_muon_moves_each_kind_of_channels_by_steps_of_its_own() -> None:
    """A kernel whose channels have two objectives is updated like two kernels; large gradients of one do not matter."""
    kernel = torch.nn.Parameter(torch.zeros(6, 3, 3, 3))
    parts = [torch.nn.Parameter(torch.zeros(4, 3, 3, 3)), torch.nn.Parameter(torch.zeros(2, 3, 3, 3))]
    gradient = torch.randn(6, 3, 3, 3, generator=torch.Generator().manual_seed(0))
    gradient[:4] *= 1000
    kernel.grad, parts[0].grad, parts[1].grad = gradient, gradient[:4].clone(), gradient[4:].clone()
    build_optimizer([kernel], OptimConfig(), channels=6, split=4).step()
    for part in parts:
        build_optimizer([part], OptimConfig()).step()
    assert torch.allclose(kernel, torch.cat([part.detach() for part in parts]), atol=1e-7)


def test_muon_moves_biases_and_heads_as_adamw_does() -> None:
    """With the same gradients all parameters except kernels are updated as by AdamW."""
    muon, adamw = (learners_with(name=name, weight_decay=0.01)[0] for name in ("muon", "adamw"))
    for step in range(3):
        gradients = [torch.randn(p.shape, generator=torch.Generator().manual_seed(step)) for p in adamw.parameters]
        for learner in (muon, adamw):
            learner.set_rate(0.01)
            for p, g in zip(learner.parameters, gradients, strict=True):
                p.grad = g.clone()
            learner.step()
    kernels = {name for name, p in muon.layer.named_parameters() if p.ndim > 1}
    assert kernels == {"conv.weight"}
    mine, theirs = (dict(learner.layer.named_parameters()) for learner in (muon, adamw))
    assert {name for name in mine if not torch.equal(mine[name], theirs[name])} == kernels
    assert all(torch.equal(a, b) for a, b in zip(muon.head.parameters(), adamw.head.parameters(), strict=True))


@pytest.mark.parametrize(
    ("optim", "match"),
    [
        ({"name": "adagrad"}, "unknown optimizer 'adagrad'.*muon, adamw, adam, sgd"),
        ({"head_lr": -0.5}, "head_lr is a multiple of optim.lr, at least 0 .*got -0.5"),
        ({"head_lr": float("nan")}, "head_lr .*got nan"),
    ],
)
def test_settings_out_of_range_are_named(optim: dict[str, Any], match: str) -> None:
    """An invalid value is an error that states what is allowed."""
    with pytest.raises(ValueError, match=match):
        learners_with(**optim)


def test_a_layer_that_cannot_be_compiled_runs_as_it_is(caplog: pytest.LogCaptureFixture) -> None:
    """Without a C++ compiler a warning names the layer, and the update is that of an uncompiled layer."""
    config = small_config(norm="batch", compile=True)
    (_, learner, _), (_, plain, _) = small_learners(config), small_learners(small_config(norm="batch"))
    _, relation = small_batch()
    h = torch.randn(12, 4, 8, 8)
    with inductor.patch({"cpp.cxx": ("/no/such/compiler",)}), caplog.at_level(logging.WARNING):
        out = learner.update(h, relation)
    assert "layer2 cannot be compiled and runs uncompiled" in caplog.text
    assert torch.equal(out, plain.update(h, relation))
    assert all(torch.equal(a, b) for a, b in zip(learner.layer.buffers(), plain.layer.buffers(), strict=True))
