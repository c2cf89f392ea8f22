"""How the layers learn from a batch: all at every step, or through backpropagation; for one by one see `greedy`."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Protocol

import torch
from torch import Tensor

from seqff.config import OptimConfig
from seqff.pairs import Relation
from seqff.training.activations import Example
from seqff.training.learner import LayerLearner, learning_rate

Examples = Generator[Example, None, None]
Source = Callable[[int], Examples]
"""Batches of frames from a number on, without end."""


class Trainer(Protocol):
    """Takes the steps of a training with the learners it was built on."""

    def examples(self, source: Source, step: int) -> Examples:
        """Yield what each step learns from, from `step` on; `source` gives the frames. Close it in the end."""

    def rate(self, step: int) -> float:
        """Return the learning rate of a step."""

    def step(self, step: int, h: Tensor, relation: Relation) -> list[LayerLearner]:
        """Take one step and return the learners that have had a loss in it.

        Args:
            step: its number, from 0.
            h: (N, C, H, W), what `examples` gave for it.
            relation: of its rows.
        """


class LocalTrainer:
    """All layers at every step, bottom to top; each layer's graph is gone before the next one's is built."""

    def __init__(self, learners: list[LayerLearner], *, steps: int, optim: OptimConfig) -> None:
        self.learners, self.steps, self.optim = learners, steps, optim

    def examples(self, source: Source, step: int) -> Examples:
        """See `Trainer`."""
        return source(step)

    def rate(self, step: int) -> float:
        """See `Trainer`."""
        return learning_rate(step, self.steps, self.optim)

    def step(self, step: int, h: Tensor, relation: Relation) -> list[LayerLearner]:
        """See `Trainer`."""
        self.climb(step, h, relation)
        return self.learners

    def climb(self, step: int, h: Tensor, relation: Relation) -> Tensor:
        """Take the step and return the last layer's output from before it."""
        for learner in self.learners:
            learner.set_rate(self.rate(step))
            h = learner.update(h, relation)
        return h


class OverlapTrainer(LocalTrainer):
    """As local, but each loss moves the layer below as well, and none further down: the graphs of two layers at a time.

    The idea is that of Xiong, Ren, Urtasun 2020 (LoCo), arXiv:2008.01342: what a layer learns serves the next one, too.
    """

    def climb(self, step: int, h: Tensor, relation: Relation) -> Tensor:
        """See `LocalTrainer`."""
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
        return under.detach()


class EndToEndTrainer(LocalTrainer):
    """Backpropagation through all layers: the twin that local learning is compared with.

    Args:
        learners: the layers; each is moved by its own optimiser.
        steps: of the whole training.
        optim: learning rate and warm-up.
        summed: minimise the sum of all layers' losses; else the last layer's loss, and the heads below learn nothing.
    """

    def __init__(self, learners: list[LayerLearner], *, steps: int, optim: OptimConfig, summed: bool) -> None:
        super().__init__(learners, steps=steps, optim=optim)
        self.summed = summed

    def step(self, step: int, h: Tensor, relation: Relation) -> list[LayerLearner]:
        """See `Trainer`."""
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
        """Running statistics with copies, of layers that run a second time on the way back and would count twice."""
        again = [learner.layer for learner in self.learners if learner.recompute]
        return [(buffer, buffer.clone()) for layer in again for buffer in layer.buffers()]
