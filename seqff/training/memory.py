"""How much memory a training will need, from one forward pass of every layer."""

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
    """Bytes that a training holds at its peak.

    What the net needs is computed: weights and their copies, a batch, and the largest step (see `state_bytes` and
    `step_bytes`). The rest of the process - Python, torch, decoders, and what the allocator does not give back -
    follows no formula: it is measured, by the most that the dry run held, which has read a round and taken some steps.

    Args:
        peak: the most that this process has held.
        frames: decoded frames: of the round of videos that batches are dealt from, and of all videos if they are kept.
        workers: frames that decoding workers have read ahead.
        state: weights of layers and heads, the optimizer's moments, the monitors' copies, and gradients.
        batch: the input frames of one batch.
        step: the largest step: what a layer's graph keeps for the way back, its input and output, gradients of them.
        on_cuda: whether state, batch and step lie on the CUDA device, and not in the process.
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
        """Bytes of the process, and of its workers' frames."""
        return self.peak + self.workers

    @property
    def computing(self) -> int:
        """Bytes where the net is."""
        return self.state + self.batch + self.step


@contextmanager
def kept_for_the_way_back(*known: Tensor) -> Iterator[dict[int, int]]:
    """Note what autograd keeps in this block: address of the memory -> bytes, each once, without `known` tensors."""
    kept: dict[int, int] = {}
    skip = {tensor.untyped_storage().data_ptr() for tensor in known}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in skip:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor.detach()  # an output that knows its graph would keep that alive

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        yield kept


def step_bytes(graphs: list[dict[int, int]], sizes: list[int], config: TrainConfig) -> int:
    """Return the bytes of the largest step.

    A layer by itself holds its input, what its graph keeps, its output, and on the way back the gradients of two
    neighboring activations, which are at most as large as the largest that is kept. Backpropagation holds the graphs
    of all layers at once; with activation checkpointing only their outputs and one layer's graph.

    Args:
        graphs: of every layer, see `kept_for_the_way_back`.
        sizes: of every layer's output, bytes.
        config: says which trainer.
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
    """Return the bytes of weights and all that is of their size, and of one layer's gradients."""
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
    """Return the bytes of decoded frames that wait to be dealt into batches, uint8, decoded at (height, width) px."""
    frames = pairs.batches_per_visit * pairs.clips_per_video * pairs.clip_length
    return visits * frames * size[0] * size[1] * 3


def peak_bytes() -> int:
    """Return the most that this process has held so far."""
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kilobytes if sys.platform == "darwin" else 1024 * kilobytes
