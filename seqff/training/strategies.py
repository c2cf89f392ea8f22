"""Strategies: all layers learn at every step, or by backpropagation; for one layer after the other see `greedy`."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from seqff.config import OptimConfig, TrainConfig
from seqff.relation import Relation
from seqff.training.batches import Examples, Source
from seqff.training.greedy import GreedyStrategy
from seqff.training.learner import LayerLearner, learning_rate

STRATEGIES = ("local", "overlap", "greedy", "end_to_end", "end_to_end_sum")


class Strategy(Protocol):
    """Takes the steps of a training with its learners."""

    def examples(self, source: Source, step: int) -> Examples:
        """Yield the input of each step from `step` on, with frames from `source`. Close it at the end."""

    def rate(self, step: int) -> float:
        """Return the learning rate of a step."""

    def step(self, step: int, h: Tensor, relation: Relation) -> list[LayerLearner]:
        """Take one step and return the learners that were trained.

        Args:
            step: number of the step, from 0.
            h: (N, C, H, W), the input from `examples`.
            relation: relation between its rows.
        """


class LocalStrategy:
    """All layers learn at every step, bottom to top; each layer's graph is freed before the next one is built."""

    def __init__(self, learners: list[LayerLearner], *, steps: int, optim: OptimConfig) -> None:
        self.learners, self.steps, self.optim = learners, steps, optim

    def examples(self, source: Source, step: int) -> Examples:
        return source(step)

    def rate(self, step: int) -> float:
        return learning_rate(step, self.steps, self.optim)

    def step(self, step: int, h: Tensor, relation: Relation) -> list[LayerLearner]:
        for learner in self.learners:
            learner.set_rate(self.rate(step))
            h = learner.update(h, relation)
        self.hand_on(h)
        return self.learners

    def hand_on(self, h: Tensor) -> None:
        """Receive the last layer's output from before the step; unused in a single process."""


class OverlapStrategy(LocalStrategy):
    """Like local, but each loss also trains the layer below, and none further down: two layers' graphs at a time.

    After Xiong, Ren, Urtasun 2020 (LoCo), arXiv:2008.01342, so that a layer also learns what serves the next one.
    """

    def step(self, step: int, h: Tensor, relation: Relation) -> list[LayerLearner]:
        below: LayerLearner | None = None
        under = h
        for learner in self.learners:
            learner.set_rate(self.rate(step))
            x = under.detach().requires_grad_(below is not None)
            out, loss = learner.loss(x, relation)
            loss.backward(retain_graph=learner is not self.learners[-1])  # type: ignore[no-untyped-call]
            if below is not None:
                torch.autograd.backward(under, x.grad, inputs=list(below.layer.parameters()))
                below.step()
            below, under = learner, out
        self.learners[-1].step()
        return self.learners


class EndToEndStrategy(LocalStrategy):
    """Backpropagation through all layers, from the last layer's loss or the sum of all (`summed`), for comparison.

    With only the last loss, the heads below learn nothing. Each layer has its own optimizer.
    """

    def __init__(self, learners: list[LayerLearner], *, steps: int, optim: OptimConfig, summed: bool) -> None:
        super().__init__(learners, steps=steps, optim=optim)
        self.summed = summed

    def step(self, step: int, h: Tensor, relation: Relation) -> list[LayerLearner]:
        losses = []
        last = self.learners[-1]
        for learner in self.learners:
            if self.summed or learner is last:
                h, loss = learner.loss(h, relation)
                losses.append(loss)
            else:
                h = learner.run_layer(h)
        statistics = self._statistics()
        sum(losses[1:], losses[0]).backward()  # type: ignore[no-untyped-call]
        for buffer, kept in statistics:
            buffer.copy_(kept)
        for learner in self.learners:
            learner.set_rate(self.rate(step))
            learner.step()
        return self.learners if self.summed else [last]

    def _statistics(self) -> list[tuple[Tensor, Tensor]]:
        """Return running statistics with copies, for layers that rerun in the backward pass and would count twice."""
        again = [learner.layer for learner in self.learners if learner.recompute]
        return [(buffer, buffer.clone()) for layer in again for buffer in layer.buffers()]


def build_strategy(
    learners: list[LayerLearner], config: TrainConfig, *, cache: Path | None = None, endless: bool = False
) -> Strategy:
    """Build the strategy of `config.trainer`.

    Raises:
        ValueError: settings that do not fit each other or the number of layers.
    """
    check_strategy(config, layers=len(learners), endless=endless)
    steps, optim = config.steps, config.optim
    if config.trainer == "local":
        return LocalStrategy(learners, steps=steps, optim=optim)
    if config.trainer == "overlap":
        return OverlapStrategy(learners, steps=steps, optim=optim)
    if config.trainer == "greedy":
        kept = cache if config.greedy_cache else None
        return GreedyStrategy(learners, steps=steps, optim=optim, cache=kept, cache_batches=config.greedy_cache)
    return EndToEndStrategy(learners, steps=steps, optim=optim, summed=config.trainer == "end_to_end_sum")


def check_strategy(config: TrainConfig, *, layers: int, endless: bool = False) -> None:
    """Raise ValueError unless the trainer's settings fit each other and the number of layers."""
    name = config.trainer
    if name not in STRATEGIES:
        raise ValueError(f"unknown trainer {name!r}: choose from {', '.join(STRATEGIES)}")
    if config.steps < (0 if endless else 1):
        otherwise = "or 0 for as long as the stream lasts" if endless else "which `train` finds by itself for 0"
        raise ValueError(f"steps must be at least 1, {otherwise}, got {config.steps}")
    if endless and name == "greedy":
        raise ValueError(
            "a stream arrives once, and trainer='greedy' would show each layer a different part of it: use local"
        )
    if config.activation_checkpointing and not name.startswith("end_to_end"):
        few = "two layers'" if name == "overlap" else "one layer's"
        raise ValueError(
            f"activation_checkpointing is for trainer='end_to_end', which keeps the graphs of all layers at once; "
            f"trainer={name!r} keeps {few} anyway: leave activation_checkpointing out"
        )
    if config.compile and name == "overlap":
        raise ValueError(
            "trainer='overlap' goes back through a layer twice, and what torch.compile makes goes back once: leave "
            "compile out"
        )
    if config.greedy_cache and name != "greedy":
        raise ValueError(
            f"greedy_cache is for trainer='greedy', which has finished layers; trainer={name!r} has none: leave "
            "greedy_cache out"
        )
    if config.greedy_cache < 0:
        raise ValueError(f"greedy_cache is a number of batches, or 0 for none, got {config.greedy_cache}")
    if name == "greedy" and config.steps < layers:
        raise ValueError(
            f"trainer='greedy' shares the steps out among the layers: steps={config.steps} is less than one for each "
            f"of {layers}"
        )
