"""The optimizer of a layer."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from seqff.config import OptimConfig

MOMENTUM = 0.95
"""Muon's momentum."""
SGD_MOMENTUM = 0.9
"""SGD's momentum."""
NS_STEPS = 5
"""Newton-Schulz iterations of Muon."""
NS_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Their coefficients (K. Jordan 2024, kellerjordan.github.io/posts/muon), for singular values of 0.7 to 1.2."""


class Muon(torch.optim.AdamW):
    """Muon (K. Jordan 2024, kellerjordan.github.io/posts/muon) for matrix groups, AdamW for the others.

    The momentum of a weight, reshaped to a matrix of output channels by all other dimensions, is replaced by the
    nearest matrix with equal singular values, so that directions with small gradients move as far as those with large
    ones. It is scaled so that the root mean square of a step is the learning rate, whatever the matrix's shape; up to
    the constant 0.2 this is the scale of Liu et al. 2025, arXiv:2502.16982. Nesterov momentum, decoupled weight decay.

    The constructor is AdamW's; every group has a field "matrices", true for weights of two or more dimensions.
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
        if not state:  # AdamW's names: it expects "step" when a state is loaded
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
    """Bring the singular values of a matrix close to 1: (A, B) -> (A, B) float32."""
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
    """Build the optimizer of one layer; AdamW, Adam and SGD run as one fused kernel per parameter group.

    Args:
        weights: parameters of the layer.
        optim: optimizer and settings.
        others: other parameters with the same learning rate.
        head: parameters whose rate is multiplied by `optim.head_lr`.
        channels: channels of the layer's map; used only with a split.
        split: number of leading channels with a different objective: Muon updates their kernels separately, so that
            neither group slows the other. 0 = all have the same.

    Returns:
        An optimizer whose groups have a field "lr_scale", which `set_rate` multiplies by the learning rate.

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
    """Set the learning rate of the next step, times each group's `lr_scale`."""
    for group in optimizer.param_groups:
        group["lr"] = lr * group["lr_scale"]


def check_optim(optim: OptimConfig) -> None:
    """Raise ValueError unless the settings are in range."""
    if optim.name not in ("muon", "adamw", "adam", "sgd"):
        raise ValueError(f"unknown optimizer {optim.name!r} (optim.name): choose from muon, adamw, adam, sgd")
    if not (math.isfinite(optim.head_lr) and optim.head_lr >= 0):
        raise ValueError(f"optim.head_lr is a multiple of optim.lr, at least 0 (the head rests), got {optim.head_lr}")
