"""One layer, its head, its objective and its optimiser: a layer's update is one call."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from seqff.config import OptimConfig, TrainConfig
from seqff.devices import choose_precision
from seqff.nets import Encoder
from seqff.objectives import WeightedSum, build_head, build_objectives, head_dim
from seqff.pairs import Relation


class LayerLearner:
    """Trains one layer by its own objective.

    Args:
        name: of the layer, for logs.
        layer: the module that learns, (N, C, H, W) -> (N, C', H', W').
        head: throw-away projector, (N, C', H', W') -> (N, D).
        objective: what the layer minimises.
        optim: learning rate and weight decay.
        precision: of the layer's and the head's computations.
    """

    def __init__(
        self,
        name: str,
        layer: nn.Module,
        head: nn.Module,
        objective: WeightedSum,
        optim: OptimConfig,
        precision: torch.dtype = torch.float32,
    ) -> None:
        self.name, self.layer, self.head, self.objective = name, layer, head, objective
        self.precision = precision
        parameters = [*layer.parameters(), *head.parameters(), *objective.parameters()]
        self.optimizer = torch.optim.AdamW(parameters, lr=optim.lr, weight_decay=optim.weight_decay, fused=True)
        self.figures: dict[str, Tensor] = {}

    def _autocast(self, h: Tensor) -> torch.autocast:
        return torch.autocast(h.device.type, dtype=torch.bfloat16, enabled=self.precision is torch.bfloat16)

    def run_layer(self, h: Tensor) -> Tensor:
        """Run the layer alone, in its precision: (N, C, H, W) -> (N, C', H', W')."""
        with self._autocast(h):
            out: Tensor = self.layer(h)
        return out

    def loss(self, h: Tensor, relation: Relation) -> tuple[Tensor, Tensor]:
        """Run the layer and its objective.

        Args:
            h: (N, C, H, W), the layer's input; a gradient flows into it if it asks for one.
            relation: positives and negatives among the N rows.

        Returns:
            (N, C', H', W'), the layer's output, and the loss, a scalar; both with their graph.
        """
        out = self.run_layer(h)
        z = None
        if self.objective.sees("embedding"):
            with self._autocast(h):
                z = self.head(out).float()
        loss, figures = self.objective(self.run_layer, h, out, z, relation)
        self.figures = {"loss": loss.detach(), **figures}
        return out, loss

    def update(self, h: Tensor, relation: Relation) -> Tensor:
        """Take one step and hand the output on.

        Args:
            h: (N, C, H, W), output of the layer below; no gradient flows into it.
            relation: positives and negatives among the N rows.

        Returns:
            (N, C', H', W'), the layer's output from before the step, detached: the graph is gone when this returns.
        """
        out, loss = self.loss(h.detach(), relation)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
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
    channels = [info.channels for info in encoder.feature_info]
    dims = [head_dim(objective.head, c, grid=g, out=objective.head_out) for c, g in zip(channels, grids, strict=True)]
    losses = build_objectives(objective, channels, dims, generator=generator)
    for layer, info, loss, grid in zip(encoder.layers, encoder.feature_info, losses, grids, strict=True):
        head = build_head(
            objective.head,
            info.channels,
            grid=grid,
            width=objective.head_width,
            out=objective.head_out,
            generator=generator,
        ).to(device)
        learners.append(LayerLearner(info.name, layer, head, loss.to(device), config.optim, precision))
    return learners
