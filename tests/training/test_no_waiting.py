"""A step never waits for the device: the host reads no value that the device computes.

On CUDA, reading a value makes the host wait for all pending work, and then the device for the host. Here such reads are
detected without a GPU: by the operators that a step calls, and on the "meta" device, which has no values.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import pytest
import torch
from helpers.small_nets import small_batch, small_config, small_learners
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from seqff.config import ObjectiveConfig, TrainConfig
from seqff.objectives import OBJECTIVES
from seqff.pairs import Relation
from seqff.training import LayerLearner, build_strategy

LOOKS = ("_local_scalar_dense", "nonzero", "masked_select", "equal", "_unique2", "unique_dim", "unique_consecutive")
BY_INDEX = ("index", "index_put", "index_put_", "_index_put_impl_")


class NoLooks(TorchDispatchMode):
    """Make operators fail that return a tensor's value to Python, or a size that depends on values."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        assert name not in LOOKS, name
        if name in BY_INDEX:
            assert all(index is None or index.dtype == torch.int64 for index in args[1]), f"{name} by a mask"
        return func(*args, **(kwargs or {}))


def config_of(objective: str) -> TrainConfig:
    """Return settings of small nets with an objective; "default" for the default ones and their optimizer."""
    if objective == "default":
        return replace(small_config(), objective=ObjectiveConfig(), optim=TrainConfig().optim)
    return small_config(objective=objective)


def needs_mixtures(config: TrainConfig) -> bool:
    """Return whether batches must contain synthetic negatives."""
    return any(learner.objective.needs_mixtures for learner in small_learners(config))


@pytest.mark.parametrize("objective", ["default", *OBJECTIVES])
@pytest.mark.parametrize("trainer", ["local", "overlap", "end_to_end_sum"])
def test_a_step_calls_no_operator_that_waits(objective: str, trainer: str) -> None:
    """For all objectives and trainers; tested in the second step, after one-time initialization."""
    config = replace(config_of(objective), trainer=trainer)  # type: ignore[arg-type]
    strategy, batch = build_strategy(small_learners(config), config), small_batch(mixtures=needs_mixtures(config))
    strategy.step(0, *batch)
    with NoLooks():
        strategy.step(1, *batch)


@pytest.mark.parametrize("objective", ["default", *OBJECTIVES])
def test_a_loss_and_its_way_back_need_no_numbers(objective: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even by a copy to the host: "meta" tensors have no values. (This device has no mixed precision.)"""
    monkeypatch.setattr(LayerLearner, "_autocast", lambda self, h: nullcontext())
    config = config_of(objective)
    h, relation = small_batch(mixtures=needs_mixtures(config))
    h, relation = h.to("meta"), Relation(*(None if t is None else t.to("meta") for t in vars(relation).values()))
    for learner in small_learners(config):
        for module in (learner.layer, learner.head, learner.objective):
            module.to("meta")
        out, loss = learner.loss(h.detach(), relation, detached=True)
        loss.backward()  # type: ignore[no-untyped-call]
        h = out


@pytest.mark.parametrize(
    "look", [Tensor.item, float, bool, Tensor.tolist, Tensor.nonzero, lambda x: torch.arange(1)[x > 0]]
)
def test_looks_are_found(look: Callable[[Tensor], object]) -> None:
    """Control: operations that wait fail in one of the two ways, and indexing by integers passes."""
    with NoLooks():
        assert len(torch.ones(2)[torch.zeros(3, dtype=torch.int64)]) == 3
    with pytest.raises((AssertionError, NotImplementedError, RuntimeError)):
        look(torch.ones(1, device="meta"))
    if look is not Tensor.tolist:
        with NoLooks(), pytest.raises(AssertionError):
            look(torch.ones(1))
