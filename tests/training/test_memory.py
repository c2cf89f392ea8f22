"""Memory of a step does not grow with depth."""

from __future__ import annotations

import torch

from seqff.config import EncoderConfig, ObjectiveConfig, TrainConfig
from seqff.nets import build_encoder
from seqff.pairs import FrameBatch
from seqff.training import build_learners, train_step
from seqff.transform import FrameTransform


def peak_saved_bytes(depth: int) -> int:
    """Most bytes that autograd holds at once for the backward passes of one step."""
    config = TrainConfig(
        encoder=EncoderConfig(widths=(8,) * depth, kernels=(3,) * depth, strides=(1,) * depth, pools=(1,) * depth),
        objective=ObjectiveConfig(grid=(2,)),
    )
    encoder = build_encoder(config.encoder, FrameTransform(16, 16), seed=0)
    learners = build_learners(encoder, config, seed=0)
    batch = FrameBatch(torch.randn(8, 3, 16, 16), torch.arange(8) // 4, torch.arange(8) % 4)
    held = peak = 0

    class Saved:
        """A tensor kept for backward; counts itself in and out."""

        def __init__(self, tensor: torch.Tensor) -> None:
            nonlocal held, peak
            self.tensor, self.bytes = tensor, tensor.numel() * tensor.element_size()
            held += self.bytes
            peak = max(peak, held)

        def __del__(self) -> None:
            nonlocal held
            held -= self.bytes

    with torch.autograd.graph.saved_tensors_hooks(Saved, lambda saved: saved.tensor):
        train_step(learners, batch, gap=1, far=3)
    return peak


def test_saved_activations_do_not_grow_with_depth() -> None:
    """Sixteen layers keep no more for backward than four do."""
    assert peak_saved_bytes(16) <= 1.01 * peak_saved_bytes(4)
