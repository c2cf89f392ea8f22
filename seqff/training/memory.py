"""Estimate the memory of a training from one forward pass of every layer."""

from __future__ import annotations

import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from seqff.config import PairsConfig, TrainConfig
from seqff.training.learner import LayerLearner

MOMENTS = {"muon": 2, "adamw": 2, "adam": 2, "sgd": 1}


@dataclass(frozen=True)
class Memory:
    """Peak memory of a training, bytes.

    The net's part is computed: weights and their copies, a batch, and the largest step (see `state_bytes` and
        `step_bytes`). No formula covers the rest of the process (Python, torch, decoders, memory kept by the
        allocator): it is measured as the peak of the dry run, which has read a round and taken some steps.

    Args:
        peak: peak memory of this process.
        frames: decoded frames of the current round of videos, and of all videos if they are kept.
        workers: frames prefetched by decoding workers.
        state: weights of layers and heads, the optimizer's moments, the monitors' copies, and gradients.
        batch: the input frames of one batch.
        step: the largest step: saved tensors of a layer's graph, its input and output, and gradients of them.
        on_cuda: whether state, batch and step are on the CUDA device.
    """

    peak: int
    frames: int
    workers: int
    state: int
    batch: int
    step: int
    on_cuda: bool

    @property
    def host(self) -> int:
        """Bytes of the process and of its workers' frames."""
        return self.peak + self.workers

    @property
    def computing(self) -> int:
        """Bytes on the net's device."""
        return self.state + self.batch + self.step


@contextmanager
def kept_for_the_way_back(*known: Tensor) -> Iterator[dict[int, int]]:
    """Record the tensors that autograd saves in this block: memory address -> bytes, each once, except `known` ones."""
    kept: dict[int, int] = {}
    skip = {tensor.untyped_storage().data_ptr() for tensor in known}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in skip:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor.detach()  # an output with a graph would keep it alive

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        yield kept


def step_bytes(graphs: list[dict[int, int]], sizes: list[int], config: TrainConfig) -> int:
    """Return the bytes of the largest step.

    A single layer holds its input, the saved tensors of its graph, its output, and in the backward pass the gradients
    of two neighboring activations, each at most as large as the largest saved tensor. Backpropagation holds the graphs
    of all layers at once; with activation checkpointing, only their outputs and one layer's graph.

    Args:
        graphs: saved tensors of every layer, see `kept_for_the_way_back`.
        sizes: size of every layer's output, bytes.
        config: the settings, for the trainer.
    """
    single = [
        sum(graph.values()) + 2 * max(graph.values(), default=0) + size + below
        for graph, size, below in zip(graphs, sizes, [0, *sizes[:-1]], strict=True)
    ]
    if not config.trainer.startswith("end_to_end"):
        return max(single)
    if config.activation_checkpointing:
        return sum(sizes) + max(single)
    return sum(sum(graph.values()) for graph in graphs) + max(2 * max(graph.values(), default=0) for graph in graphs)


def state_bytes(learners: list[LayerLearner], config: TrainConfig) -> int:
    """Return the bytes of weights, optimizer moments and monitor copies, and of one layer's gradients."""
    total, largest = 0, 0
    for learner in learners:
        weights = sum(p.numel() * p.element_size() for p in learner.parameters)
        buffers = sum(b.numel() * b.element_size() for b in learner.objective.buffers())
        copies = 1 + MOMENTS[config.optim.name] + bool(config.monitor_every)
        total += copies * weights + buffers
        largest = max(largest, weights)
    together = config.trainer.startswith("end_to_end")
    return total + (sum(p.numel() * p.element_size() for x in learners for p in x.parameters) if together else largest)


def frame_bytes(pairs: PairsConfig, visits: int, size: tuple[int, int]) -> int:
    """Return the bytes of decoded frames buffered for batches, uint8, at (height, width) px."""
    frames = pairs.batches_per_visit * pairs.clips_per_video * pairs.clip_length
    return visits * frames * size[0] * size[1] * 3


def peak_bytes() -> int:
    """Return the peak memory of this process so far."""
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kilobytes if sys.platform == "darwin" else 1024 * kilobytes
