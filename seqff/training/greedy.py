"""Greedy training: layer after layer, the finished ones frozen."""

from __future__ import annotations

import itertools
from pathlib import Path

import torch
from torch import Tensor

from seqff.config import OptimConfig
from seqff.relation import Relation
from seqff.training.activations import STORED, ActivationCache
from seqff.training.batches import Examples, Source
from seqff.training.learner import LayerLearner, learning_rate


class GreedyStrategy:
    """One layer at a time, bottom to top.

    Layer l of L has the steps from l * steps // L to (l + 1) * steps // L, with a learning-rate schedule of its own.
    Which layer learns thus follows from the number of the step, and a checkpoint need not say. The statistics of a
    finished layer's batch norm stand still: the layers above learn from what the finished encoder will give them.

    Without a cache step n learns from batch n, as with the other strategies. With one the first layer does so, too; the
    layers above learn from batches 0, 1, ..., `cache_batches` - 1 again and again. What the finished layers make of
    these is computed once, from what the layers below them had made, and then read from disk. A resumed run makes its
    cache anew, which decodes those batches a second time, and ends with the same bits.

    Args:
        learners: the layers.
        steps: of the whole training, at least one a layer.
        optim: learning rate and warm-up.
        cache: folder for the cache, deleted at the start and at the end; None for no cache.
        cache_batches: batches in it.
    """

    def __init__(
        self,
        learners: list[LayerLearner],
        *,
        steps: int,
        optim: OptimConfig,
        cache: Path | None = None,
        cache_batches: int = 64,
    ) -> None:
        self.learners, self.steps, self.optim, self.cache = learners, steps, optim, cache
        self.cache_batches = min(cache_batches, -(-steps // len(learners)))
        self.frozen = 0

    def span(self, layer: int) -> tuple[int, int]:
        """Return the first step of a layer (0 is the lowest), and the first after it."""
        count = len(self.learners)
        return layer * self.steps // count, (layer + 1) * self.steps // count

    def layer_at(self, step: int) -> int:
        """Return the layer that learns at a step."""
        return next(layer for layer in range(len(self.learners)) if step < self.span(layer)[1])

    def rate(self, step: int) -> float:
        """See `Strategy`."""
        start, stop = self.span(self.layer_at(step))
        return learning_rate(step - start, stop - start, self.optim)

    def step(self, step: int, h: Tensor, relation: Relation) -> list[LayerLearner]:
        """See `Strategy`."""
        layer = self.layer_at(step)
        self._freeze(layer)
        if self.cache is None:
            for below in self.learners[:layer]:
                h = self._run(below, h)
        learner = self.learners[layer]
        learner.set_rate(self.rate(step))
        learner.update(h, relation)
        return [learner]

    def examples(self, source: Source, step: int) -> Examples:
        """See `Strategy`."""
        if self.cache is None:
            yield from source(step)
            return
        with ActivationCache(self.cache, self.cache_batches) as cache:
            for layer in range(self.layer_at(step), len(self.learners)):
                start, stop = self.span(layer)
                if layer == 0:
                    yield from itertools.islice(source(step), stop - step)
                    continue
                self._freeze(layer)
                cache.write(layer, self._below(layer, cache, source))
                for number in range(max(start, step), stop):
                    yield cache.read((number - start) % cache.count)

    def _below(self, layer: int, cache: ActivationCache, source: Source) -> Examples:
        """Yield what the layers below this one make of the fixed batches, starting from what the cache holds.

        It is rounded after every layer as the cache rounds it, so that a cache filled layer after layer and one that
        a resumed run fills at once hold the same bits.
        """
        held = map(cache.read, range(cache.count)) if cache.level else itertools.islice(source(0), cache.count)
        for h, relation in held:
            for below in self.learners[cache.level : layer]:
                h = self._run(below, h)
                h = h.to(STORED).to(h.dtype)
            yield h, relation

    @staticmethod
    @torch.no_grad()
    def _run(learner: LayerLearner, h: Tensor) -> Tensor:
        return learner.run_layer(h)

    def _freeze(self, layer: int) -> None:
        """Let the layers below this one be what they will be in the finished encoder."""
        for learner in self.learners[self.frozen : layer]:
            learner.apply_pending_step()
            learner.layer.eval()
        self.frozen = max(self.frozen, layer)
