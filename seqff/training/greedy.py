"""Greedy training: one layer after the other, with finished layers frozen and optionally cached on disk."""

from __future__ import annotations

import dataclasses
import itertools
import shutil
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors.torch import load_file, save
from torch import Tensor

from seqff.config import OptimConfig
from seqff.errors import RunError
from seqff.relation import Relation
from seqff.training.batches import Example, Examples, Source
from seqff.training.learner import LayerLearner, learning_rate

STORED = torch.bfloat16


class ActivationCache:
    """A folder with the inputs of one layer for a fixed set of batches: one safetensors file per batch, bfloat16.

    A context manager: it empties the folder on entry and removes it on exit.

    Attributes:
        level: index of the layer (0 is the lowest) whose inputs are cached; 0 if the cache is empty.
    """

    def __init__(self, folder: Path, count: int) -> None:
        self.folder, self.count, self.level = folder, count, 0

    def __enter__(self) -> ActivationCache:
        shutil.rmtree(self.folder, ignore_errors=True)
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def write(self, level: int, examples: Iterator[Example]) -> None:
        """Replace the content by the inputs of another layer.

        Raises:
            RunError: the disk is full or the folder cannot be written.
        """
        kind, device = torch.float32, torch.device("cpu")
        for number, (h, relation) in enumerate(examples):
            self._write(level, number, save(_pack(h, relation)))
            kind, device = h.dtype, h.device
        shutil.rmtree(self._level(self.level), ignore_errors=True)
        self.level, self.kind, self.device = level, kind, device

    def read(self, number: int) -> Example:
        """Return a batch, (N, C, H, W) in its original dtype, layout and device, and its relation."""
        stored = load_file(self._level(self.level) / f"{number:06d}.safetensors")
        h = stored.pop("h").to(self.device, non_blocking=True).to(self.kind)
        return h.movedim(-1, 1), Relation(**stored).to(self.device)

    def _write(self, level: int, number: int, content: bytes) -> None:
        folder = self._level(level)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            free = shutil.disk_usage(folder).free
            if number == 0 and len(content) * self.count > free:
                raise RunError(
                    f"{folder}: {self.count} batches of activations take {len(content) * self.count / 1e9:.1f} GB, and "
                    f"{free / 1e9:.1f} GB are free: lower greedy_cache, or leave it out"
                )
            (folder / f"{number:06d}.safetensors").write_bytes(content)
        except OSError as error:
            raise RunError(f"{folder}: the cache of activations cannot be written ({error.strerror})") from error

    def _level(self, level: int) -> Path:
        return self.folder / f"level_{level}"


def _pack(h: Tensor, relation: Relation) -> dict[str, Tensor]:
    """Return the tensors of a batch by name, in channels-last layout as the layers use it."""
    tensors = {field.name: getattr(relation, field.name) for field in dataclasses.fields(relation)}
    tensors["h"] = h.to(STORED).movedim(1, -1)
    return {name: value.cpu().contiguous() for name, value in tensors.items() if value is not None}


class GreedyStrategy:
    """One layer at a time, bottom to top.

    Layer l of L trains in the steps from l * steps // L to (l + 1) * steps // L, with its own learning-rate schedule.
    So the step number determines the layer, and a checkpoint need not store it. The batch norm statistics of a finished
    layer are frozen: the layers above learn from the outputs of the finished encoder.

    Without a cache, step n learns from batch n, as with the other strategies. With a cache, only the first layer does;
    the layers above cycle through batches 0, 1, ..., `cache_batches` - 1. The outputs of the finished layers for these
    are computed once, each layer from the cached outputs of the layer below, and then read from disk. A resumed run
    rebuilds its cache, which decodes those batches again, and gives bit-identical results.
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
        """Return the step range of a layer (0 is the lowest), as (first, first after)."""
        count = len(self.learners)
        return layer * self.steps // count, (layer + 1) * self.steps // count

    def layer_at(self, step: int) -> int:
        """Return the index of the layer that learns at a step."""
        return next(layer for layer in range(len(self.learners)) if step < self.span(layer)[1])

    def rate(self, step: int) -> float:
        start, stop = self.span(self.layer_at(step))
        return learning_rate(step - start, stop - start, self.optim)

    def step(self, step: int, h: Tensor, relation: Relation) -> list[LayerLearner]:
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
        """Yield the inputs of this layer for the fixed batches, computed from the content of the cache.

        Values are rounded to bfloat16 after every layer, so that a cache filled layer by layer and one that a resumed
        run rebuilds at once are bit-identical.
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
        """Put the layers below this one in eval mode, as in the finished encoder."""
        for learner in self.learners[self.frozen : layer]:
            learner.apply_pending_step()
            learner.layer.eval()
        self.frozen = max(self.frozen, layer)
