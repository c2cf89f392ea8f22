"""The linear softmax that reads classes off a net's activities; nothing of it reaches the net."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Readout:
    """A linear softmax with its optimiser.

    Args:
        inputs: D, size of the features.
        classes: K.
        lr: peak learning rate of AdamW.
        weight_decay: decoupled weight decay.
        device: where it computes.
    """

    def __init__(
        self, inputs: int, classes: int, *, lr: float, weight_decay: float = 0.0, device: torch.device | str = "cpu"
    ) -> None:
        self.linear = nn.Linear(inputs, classes, device=device)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)
        self.optimizer = torch.optim.AdamW(self.linear.parameters(), lr=lr, weight_decay=weight_decay, fused=True)

    def probabilities(self, features: Tensor) -> Tensor:
        """Probability of every class: (N, D) float32 -> (N, K) float32."""
        with torch.no_grad():
            return torch.softmax(self.linear(features), dim=1)

    def update(self, features: Tensor, y: Tensor, *, lr: float) -> Tensor:
        """Take one step of cross-entropy; return the probabilities from before it, (N, K) float32.

        Args:
            features: (N, D) float32; no gradient flows into them.
            y: (N,) int64, classes.
            lr: learning rate of this step.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        logits = self.linear(features.detach())
        self.optimizer.zero_grad(set_to_none=True)
        F.cross_entropy(logits, y).backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        return torch.softmax(logits.detach(), dim=1)
