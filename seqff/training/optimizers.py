"""The optimizer of a layer."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from seqff.config import OptimConfig

MOMENTUM = 0.95
"""Muon: weight of the past in the running gradient."""
SGD_MOMENTUM = 0.9
"""sgd: the same."""
NS_STEPS = 5
"""Muon: Newton-Schulz iterations."""
NS_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Their coefficients (K. Jordan 2024, kellerjordan.github.io/posts/muon): singular values end between 0.7 and 1.2."""


class Muon(torch.optim.AdamW):
    """Muon (K. Jordan 2024, kellerjordan.github.io/posts/muon) for the groups that say so, AdamW for the others.

    The running gradient of a weight, as a matrix of its output channels by all else, becomes the nearest matrix whose
    singular values are alike, so that directions with small gradients move as far as those with large ones. It is
    scaled so that the root mean square of a step is the learning rate whatever the matrix' shape: up to the constant
    0.2 that is the scale of Liu et al. 2025, arXiv:2502.16982. Nesterov momentum, decoupled weight decay.

    It is built as AdamW is; every group says whether it holds "matrices", weights of two or more dimensions to turn.
    """

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Take a step."""
        every = self.param_groups
        for group in every:
            if group["matrices"]:
                for weight in group["params"]:
                    if weight.grad is not None:
                        self._move(weight, group)
        self.param_groups = [group for group in every if not group["matrices"]]
        try:
            return super().step(closure)  # type: ignore[no-any-return]
        finally:
            self.param_groups = every

    def _move(self, weight: nn.Parameter, group: dict[str, Any]) -> None:
        state = self.state[weight]
        if not state:  # under AdamW's names: it looks for "step" when a state is loaded
            state |= {"step": torch.zeros(()), "exp_avg": torch.zeros_like(weight)}
        state["step"] += 1
        running = state["exp_avg"].lerp_(weight.grad, 1 - MOMENTUM)
        wanted = weight.grad.lerp(running, MOMENTUM).flatten(1)  # type: ignore[union-attr]
        weight.mul_(1 - group["lr"] * group["weight_decay"])
        split = group["split"] if len(weight) == group.get("channels") else 0
        parts = wanted.tensor_split([split]) if split else (wanted,)
        step = torch.cat([orthogonalize(part) * math.sqrt(max(part.shape)) for part in parts])
        weight.add_(step.view(weight.shape), alpha=-group["lr"])


def orthogonalize(matrix: Tensor) -> Tensor:
    """Bring the singular values of a matrix near to 1: (A, B) -> (A, B) float32."""
    x = matrix.float()
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    x = x / x.norm().clamp(min=1e-7)
    a, b, c = NS_COEFFICIENTS
    for _ in range(NS_STEPS):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.T if tall else x


def build_optimizer(
    weights: Iterable[nn.Parameter],
    optim: OptimConfig,
    *,
    others: Iterable[nn.Parameter] = (),
    head: Iterable[nn.Parameter] = (),
    channels: int = 0,
    split: int = 0,
) -> torch.optim.Optimizer:
    """Build the optimizer of one layer; AdamW, Adam and SGD run as one fused kernel a group of weights.

    Args:
        weights: of the layer.
        optim: kind and settings.
        others: what else moves at the learning rate.
        head: what moves at that rate times `optim.head_lr`.
        channels: of the layer's map; only looked at with a split.
        split: the first so many channels have another objective than the others: Muon moves the kernels of each kind
            by steps of their own, so that neither slows the other. 0 = all have the same.

    Returns:
        An optimizer whose groups have a field "lr_scale", by which `set_rate` multiplies the learning rate.

    Raises:
        ValueError: unknown name, or a setting out of range.
    """
    check_optim(optim)
    lr, decay = optim.lr, optim.weight_decay
    weights, muon = list(weights), optim.name == "muon"
    matrices = [weight for weight in weights if muon and weight.ndim > 1]
    rest = [weight for weight in weights if not muon or weight.ndim < 2]
    kinds_of_weights = ((matrices, 1.0, True), ([*rest, *others], 1.0, False), (list(head), optim.head_lr, False))
    groups = [
        {
            "params": group,
            "lr": lr * lr_scale,
            "lr_scale": lr_scale,
            "matrices": turned,
            "channels": channels,
            "split": split,
        }
        for group, lr_scale, turned in kinds_of_weights
        if group
    ]
    if optim.name == "sgd":
        return torch.optim.SGD(groups, lr=lr, momentum=SGD_MOMENTUM, weight_decay=decay, fused=True)
    kinds = {"muon": Muon, "adamw": torch.optim.AdamW, "adam": torch.optim.Adam}
    kind: type[torch.optim.Adam | torch.optim.AdamW] = kinds[optim.name]
    return kind(groups, lr=lr, weight_decay=decay, fused=True)


def set_rate(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Set the learning rate of the next step: each group times its `lr_scale`."""
    for group in optimizer.param_groups:
        group["lr"] = lr * group["lr_scale"]


def check_optim(optim: OptimConfig) -> None:
    """Raise ValueError unless the settings are in range."""
    if optim.name not in ("muon", "adamw", "adam", "sgd"):
        raise ValueError(f"unknown optimizer {optim.name!r} (optim.name): choose from muon, adamw, adam, sgd")
    if not (math.isfinite(optim.head_lr) and optim.head_lr >= 0):
        raise ValueError(f"optim.head_lr is a multiple of optim.lr, at least 0 (the head rests), got {optim.head_lr}")
