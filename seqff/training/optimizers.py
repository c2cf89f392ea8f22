"""The optimiser of a layer."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from seqff.config import OptimConfig


def build_optimizer(parameters: Iterable[nn.Parameter], optim: OptimConfig) -> torch.optim.Optimizer:
    """Build the optimiser of one layer; all kinds run as one fused kernel.

    Args:
        parameters: what it moves.
        optim: kind and settings.

    Raises:
        ValueError: unknown name, or a setting out of range.
    """
    check_optim(optim)
    lr, decay = optim.lr, optim.weight_decay
    if optim.name == "sgd":
        return torch.optim.SGD(parameters, lr=lr, momentum=optim.momentum, weight_decay=decay, fused=True)
    kind = torch.optim.AdamW if optim.name == "adamw" else torch.optim.Adam
    return kind(parameters, lr=lr, weight_decay=decay, fused=True)


def check_optim(optim: OptimConfig) -> None:
    """Raise ValueError unless the settings are in range."""
    if optim.name not in ("adamw", "adam", "sgd"):
        raise ValueError(f"unknown optimiser {optim.name!r} (optim.name): choose from adamw, adam, sgd")
    if not 0 <= optim.momentum < 1:
        raise ValueError(f"optim.momentum must be at least 0 and below 1, got {optim.momentum}")
    if not 0 <= optim.ema < 1:
        raise ValueError(f"optim.ema is a decay, at least 0 (no average) and below 1, got {optim.ema}")
    if optim.clip < 0:
        raise ValueError(f"optim.clip is the length of a gradient, above 0 or 0 for no clipping, got {optim.clip}")
