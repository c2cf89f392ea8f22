"""The memory of a step does not grow with depth, except in end-to-end training."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from helpers.small_nets import small_batch, small_learners

from seqff.config import EncoderConfig, ObjectiveConfig, TrainConfig
from seqff.training import build_strategy


def peak_saved_bytes(depth: int, **settings: Any) -> int:
    """Return the peak bytes saved by autograd during one step that trains the last layer."""
    config = TrainConfig(
        steps=depth,
        encoder=EncoderConfig(widths=(8,) * depth, kernels=(3,) * depth, strides=(1,) * depth, pools=(1,) * depth),
        objective=ObjectiveConfig(grid=(2,)),
        **settings,
    )
    trainer = build_strategy(small_learners(config), config)
    held = peak = 0

    class Saved:
        """A tensor saved for backward that counts its lifetime."""

        def __init__(self, tensor: torch.Tensor) -> None:
            nonlocal held, peak
            # detached: a saved output and its graph would form a cycle invisible to Python
            self.tensor, self.bytes = tensor.detach(), tensor.numel() * tensor.element_size()
            held += self.bytes
            peak = max(peak, held)

        def __del__(self) -> None:
            nonlocal held
            held -= self.bytes

    with torch.autograd.graph.saved_tensors_hooks(Saved, lambda saved: saved.tensor):
        trainer.step(depth - 1, *small_batch())
    return peak


@pytest.mark.parametrize("trainer", ["local", "overlap", "greedy"])
def test_saved_activations_do_not_grow_with_depth(trainer: str) -> None:
    """Sixteen layers save no more for backward than four."""
    assert peak_saved_bytes(16, trainer=trainer) <= 1.01 * peak_saved_bytes(4, trainer=trainer)


@pytest.mark.parametrize("trainer", ["end_to_end", "end_to_end_sum"])
def test_end_to_end_they_do(trainer: str) -> None:
    """Control: backpropagation saves the tensors of every layer, so the test above can fail."""
    assert peak_saved_bytes(16, trainer=trainer) >= 3 * peak_saved_bytes(4, trainer=trainer)
