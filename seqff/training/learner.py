"""One layer, its head, its objective and its optimiser: a layer's update is one call."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from seqff.config import ObjectiveConfig, OptimConfig, TrainConfig
from seqff.devices import choose_precision
from seqff.nets import Encoder
from seqff.objectives import Tolerance, build_head, build_tolerances, temporal_hinge
from seqff.pairs import Relation


class LayerLearner:
    """Trains one layer by its own objective.

    Args:
        name: of the layer, for logs.
        layer: the module that learns, (N, C, H, W) -> (N, C', H', W').
        head: throw-away projector, (N, C', H', W') -> (N, D).
        tolerance: delta_l of the layer.
        objective: margin and weights.
        optim: learning rate and weight decay.
        precision: of the layer's and the head's computations.
    """

    def __init__(
        self,
        name: str,
        layer: nn.Module,
        head: nn.Module,
        tolerance: Tolerance,
        objective: ObjectiveConfig,
        optim: OptimConfig,
        precision: torch.dtype = torch.float32,
    ) -> None:
        self.precision = precision
        self.name, self.layer, self.head, self.tolerance, self.objective = name, layer, head, tolerance, objective
        self.optimizer = torch.optim.AdamW(
            [*layer.parameters(), *head.parameters()], lr=optim.lr, weight_decay=optim.weight_decay, fused=True
        )
        self.figures: dict[str, Tensor] = {}

    def update(self, h: Tensor, relation: Relation) -> Tensor:
        """Take one step and hand the output on.

        Args:
            h: (N, C, H, W), output of the layer below; no gradient flows into it.
            relation: positives and negatives among the N rows.

        Returns:
            (N, C', H', W'), the layer's output from before the step, detached: the graph is gone when this returns.
        """
        with torch.autocast(h.device.type, dtype=torch.bfloat16, enabled=self.precision is torch.bfloat16):
            out: Tensor = self.layer(h.detach())
            z: Tensor = self.head(out)
        loss, figures = temporal_hinge(
            z,
            relation,
            tolerance=self.tolerance,
            margin=self.objective.margin,
            negative_weight=self.objective.negative_weight,
            same_video=self.objective.same_video,
        )
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        self.figures = {"loss": loss.detach(), **figures}
        return out.detach()

    def set_rate(self, lr: float) -> None:
        """Set the learning rate of the next step."""
        for group in self.optimizer.param_groups:
            group["lr"] = lr


def learning_rate(step: int, steps: int, optim: OptimConfig) -> float:
    """Return the rate of a step: a linear rise over the warm-up, then half a cosine down to 0."""
    warmup = max(1, round(optim.warmup * steps))
    if step < warmup:
        return optim.lr * (step + 1) / warmup
    return optim.lr * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


def build_learners(encoder: Encoder, config: TrainConfig, *, seed: int) -> list[LayerLearner]:
    """Build one learner a layer, bottom to top; heads are drawn from the seed.

    Raises:
        ValueError: settings that do not fit the encoder.
    """
    generator = torch.Generator().manual_seed(seed + 2**32)  # apart from the encoder's own draws
    device = next(encoder.parameters()).device
    objective, precision = config.objective, choose_precision(config.precision, device)
    learners = []
    count = len(encoder.layers)
    grids = objective.grid * count if len(objective.grid) == 1 else objective.grid
    if len(grids) != count or min(grids) < 1:
        raise ValueError(f"objective.grid = {objective.grid}: give {count} sides of at least 1, or one for all layers")
    tolerances = build_tolerances(objective, count)
    for layer, info, tolerance, grid in zip(encoder.layers, encoder.feature_info, tolerances, grids, strict=True):
        head = build_head(
            objective.head,
            info.channels,
            grid=grid,
            width=objective.head_width,
            out=objective.head_out,
            generator=generator,
        ).to(device)
        learners.append(LayerLearner(info.name, layer, head, tolerance, objective, config.optim, precision))
    return learners
