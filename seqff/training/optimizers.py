"""The optimiser of a layer."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import nn

from seqff.config import OptimConfig


def build_optimizer(
    parameters: Iterable[nn.Parameter], optim: OptimConfig, *, head: Iterable[nn.Parameter] = ()
) -> torch.optim.Optimizer:
    """Build the optimiser of one layer; all kinds run as one fused kernel a group of weights.

    Args:
        parameters: what it moves at the learning rate.
        optim: kind and settings.
        head: what it moves at that rate times `optim.head_lr`.

    Returns:
        An optimiser whose groups have a field "share", by which `set_rate` multiplies the learning rate.

    Raises:
        ValueError: unknown name, or a setting out of range.
    """
    check_optim(optim)
    lr, decay = optim.lr, optim.weight_decay
    shares = ((list(parameters), 1.0), (list(head), optim.head_lr))
    groups = [{"params": group, "lr": lr * share, "share": share} for group, share in shares if group]
    if optim.name == "sgd":
        return torch.optim.SGD(groups, lr=lr, momentum=optim.momentum, weight_decay=decay, fused=True)
    kind = torch.optim.AdamW if optim.name == "adamw" else torch.optim.Adam
    return kind(groups, lr=lr, weight_decay=decay, fused=True)


def set_rate(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Set the learning rate of the next step: each group takes its share of it."""
    for group in optimizer.param_groups:
        group["lr"] = lr * group["share"]


def check_optim(optim: OptimConfig) -> None:
    """Raise ValueError unless the settings are in range."""
    if optim.name not in ("adamw", "adam", "sgd"):
        raise ValueError(f"unknown optimiser {optim.name!r} (optim.name): choose from adamw, adam, sgd")
    if not (math.isfinite(optim.head_lr) and optim.head_lr >= 0):
        raise ValueError(f"optim.head_lr is a multiple of optim.lr, at least 0 (the head rests), got {optim.head_lr}")
    if not 0 <= optim.momentum < 1:
        raise ValueError(f"optim.momentum must be at least 0 and below 1, got {optim.momentum}")
    if not 0 <= optim.ema < 1:
        raise ValueError(f"optim.ema is a decay, at least 0 (no average) and below 1, got {optim.ema}")
    if optim.clip < 0:
        raise ValueError(f"optim.clip is the length of a gradient, above 0 or 0 for no clipping, got {optim.clip}")
