"""The layer learner: one layer with its head, objective and optimizer; one call updates the layer."""

from __future__ import annotations

import logging
import math
import types
from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from seqff.config import OptimConfig, TrainConfig
from seqff.devices import choose_precision
from seqff.nets import ConvLayer, Encoder
from seqff.objectives import WeightedSum, build_head, build_objectives, head_dim
from seqff.objectives.heads import Head, split_channels
from seqff.relation import Relation
from seqff.training.monitors import LayerMonitor
from seqff.training.optimizers import build_optimizer, set_rate

log = logging.getLogger(__name__)


class Synchronizer(Protocol):
    """Synchronizes the learners of a layer across processes (see `seqff.distributed.data_parallel`)."""

    def rows(self, z: Tensor, relation: Relation) -> tuple[Tensor, Relation]:
        """Return the embeddings that the objective compares, (N, D) float32, and the relation between their rows."""

    def average(self) -> Callable[[], None]:
        """Start averaging the gradients over all processes; the returned function waits for the result."""


class LayerLearner:
    """Trains one layer with its own objective.

    Args:
        name: name of the layer, for logs.
        layer: the module that learns, (N, C, H, W) -> (N, C', H', W').
        head: projection head, (N, C', H', W') -> (N, D).
        objective: the loss that the layer minimizes.
        optim: the optimizer and its settings.
        precision: dtype of the layer's and the head's computations.
        compiled: run the layer through torch.compile.
        recompute: activation checkpointing: save only the layer's input and rerun the layer in the backward pass; batch
            norm statistics then count twice.
        channels: channels of the layer's map, for a head that splits them.

    Attributes:
        monitor: optional; inspects the layer when a loss is computed.
        synchronizer: optional; averages gradients with the same layer in other processes. A step then waits for their
            gradients while other layers run, and is taken when the layer is next needed (see `apply_pending_step`).
        metrics: detached scalars of the last loss, by name.

    Raises:
        ValueError: optimizer settings out of range.
    """

    def __init__(
        self,
        name: str,
        layer: nn.Module,
        head: nn.Module,
        objective: WeightedSum,
        optim: OptimConfig,
        precision: torch.dtype = torch.float32,
        *,
        compiled: bool = False,
        recompute: bool = False,
        channels: int = 0,
    ) -> None:
        self.name, self.layer, self.head, self.objective = name, layer, head, objective
        self.precision, self.recompute = precision, recompute
        self.parameters = [*layer.parameters(), *head.parameters(), *objective.parameters()]
        self.optimizer = build_optimizer(
            layer.parameters(),
            optim,
            others=objective.parameters(),
            head=head.parameters(),
            channels=channels,
            split=head.split if isinstance(head, Head) else 0,
        )
        self.monitor: LayerMonitor | None = None
        self.synchronizer: Synchronizer | None = None
        self._averaged: Callable[[], None] | None = None
        self.metrics: dict[str, Tensor] = {}
        self._call: Callable[[Tensor], Tensor] | None = None if compiled else layer

    def _autocast(self, h: Tensor) -> torch.autocast:
        return torch.autocast(h.device.type, dtype=torch.bfloat16, enabled=self.precision is torch.bfloat16)

    def run_layer(self, h: Tensor) -> Tensor:
        """Run only the layer, in its precision: (N, C, H, W) -> (N, C', H', W')."""
        self.apply_pending_step()
        with self._autocast(h):
            if self._call is None:  # compiled at the first input
                self._call = compile_layer(self.layer, self.name, h)
            recompute = self.recompute and torch.is_grad_enabled()
            out: Tensor = checkpoint(self._call, h, use_reentrant=False) if recompute else self._call(h)
        return out

    def _run(self, h: Tensor, *, detached: bool) -> tuple[Tensor, Tensor | None]:
        """Return the layer's output and its head's output, (N, D) float32, or None if no term uses the head."""
        embedded = self.objective.sees("embedding") or self.objective.sees("video_embedding")
        pooled_alone = embedded and not self.objective.sees("map")
        as_it_is = self._call is self.layer and not self.recompute
        if detached and pooled_alone and as_it_is and isinstance(self.layer, ConvLayer) and isinstance(self.head, Head):
            with self._autocast(h):
                out, pooled = self.layer.forward_pooled(h, self.head.grid)
                return out, self.head.embed(pooled).float()
        out = self.run_layer(h)
        if not embedded:
            return out, None
        with self._autocast(h):
            return out, self.head(out).float()

    def loss(self, h: Tensor, relation: Relation, *, detached: bool = False) -> tuple[Tensor, Tensor]:
        """Run the layer and its objective.

        Args:
            h: (N, C, H, W), the layer's input; receives a gradient if it requires one.
            relation: positives and negatives among the N rows.
            detached: no layer above needs a gradient of the output, so it may be returned without its graph, which is
                cheaper.

        Returns:
            (N, C', H', W'), the layer's output, and the loss, a scalar; both with their graph (see `detached`).
        """
        self.apply_pending_step()
        out, z = self._run(h, detached=detached)
        compared = (z, relation) if z is None or self.synchronizer is None else self.synchronizer.rows(z, relation)
        loss, metrics = self.objective(self.run_layer, h, out, *compared)
        self.metrics = {"loss": loss.detach(), **metrics}
        if self.monitor is not None and self.monitor.due:
            seen = None if z is None else z[:, : self.objective.dim]
            self.metrics |= self.monitor.look(h, out, seen, relation, self._autocast(h))
        return out, loss

    def update(self, h: Tensor, relation: Relation) -> Tensor:
        """Take one step and return the output for the next layer.

        Args:
            h: (N, C, H, W), output of the layer below; no gradient flows into it.
            relation: positives and negatives among the N rows.

        Returns:
            (N, C', H', W'), the layer's output from before the step, detached: the graph is freed when this returns.
        """
        out, loss = self.loss(h.detach(), relation, detached=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.step()
        return out.detach()

    def step(self) -> None:
        """Update the weights from the current gradients, at once or in `apply_pending_step`."""
        if self.synchronizer is not None and self._averaged is None:
            self._averaged = self.synchronizer.average()
            return
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)  # no layer keeps gradients between steps

    def apply_pending_step(self) -> None:
        """Take the step that is waiting for the gradients of other processes, if any."""
        if self._averaged is not None:
            self._averaged()
            self.step()
            self._averaged = None

    def set_rate(self, lr: float) -> None:
        """Set the learning rate of the next step."""
        self.apply_pending_step()
        set_rate(self.optimizer, lr)


ENDLESS_WARMUP = 30
"""Warm-up steps if the total is unknown: 0.05 of 600, the defaults."""


def learning_rate(step: int, steps: int, optim: OptimConfig) -> float:
    """Return the learning rate of a step: linear warm-up, then cosine decay to 0.

    With steps=0 the total is unknown, and the rate stays constant after the warm-up.
    """
    warmup = max(1, round(optim.warmup * steps)) if steps else ENDLESS_WARMUP
    if step < warmup:
        return optim.lr * (step + 1) / warmup
    if not steps:
        return optim.lr
    return optim.lr * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


def build_learners(encoder: Encoder, config: TrainConfig, *, seed: int) -> list[LayerLearner]:
    """Build one learner per layer, bottom to top; heads are initialized from the seed.

    Raises:
        ValueError: settings that do not fit the encoder.
    """
    generator = torch.Generator().manual_seed(seed + 2**32)  # separate from the encoder's initialization
    device = next(encoder.parameters()).device
    objective, precision = config.objective, choose_precision(config.precision, device)
    learners = []
    count = len(encoder.layers)
    sides = objective.grid
    if not sides or min(sides) < 1:
        raise ValueError(f"objective.grid = {sides}: give sides of at least 1, the last for all layers above, too")
    grids = (*sides, *sides[-1:] * count)[:count]
    channels = [info.channels for info in encoder.feature_info]
    dims = [head_dim(objective.head, c, grid=g, out=objective.head_out) for c, g in zip(channels, grids, strict=True)]
    losses = build_objectives(objective, channels, dims, generator=generator)
    for layer, info, loss, grid in zip(encoder.layers, encoder.feature_info, losses, grids, strict=True):
        both = loss.sees("embedding") and loss.sees("video_embedding")
        split = split_channels(info.channels, objective.video_channels) if both else 0
        head = build_head(
            objective.head,
            info.channels,
            grid=grid,
            out=objective.head_out,
            video=loss.sees("video_embedding"),
            split=split,
            generator=generator,
        ).to(device)
        learners.append(
            LayerLearner(
                info.name,
                layer,
                head,
                loss.to(device),
                config.optim,
                precision,
                compiled=config.compile,
                recompute=config.activation_checkpointing,
                channels=info.channels,
            )
        )
    return learners


def compile_layer(layer: nn.Module, name: str, h: Tensor) -> Callable[[Tensor], Tensor]:
    """Compile a layer and test it forward and backward, so that failures happen here.

    Each input shape gets its own kernels, instead of one dynamic kernel after the second shape: the result of a step
        must not depend on earlier batches, or a resumed run would end differently. (torch allows eight shapes per
        layer; it warns about the ninth and runs it uncompiled.)

    Args:
        layer: the module; its weights and running statistics are not changed.
        name: name for the warning.
        h: a typical input.

    Returns:
        The compiled layer, or, after a warning, the layer itself if it cannot be compiled.
    """
    statistics = {key: value.clone() for key, value in layer.named_buffers()}
    weights = [parameter for parameter in layer.parameters() if parameter.requires_grad]
    try:
        compiled: Callable[[Tensor], Tensor] = torch.compile(_own_code(layer), dynamic=False)
        with torch.enable_grad():
            torch.autograd.grad(compiled(h).float().sum(), weights)
    except Exception as error:  # a missing compiler, an unsupported operator, ...: its errors share no base class
        cause = " ".join(str(error).split())[:300]
        log.warning("%s cannot be compiled and runs uncompiled: %s: %s", name, type(error).__name__, cause)
        return layer
    finally:
        with torch.no_grad():
            for key, value in layer.named_buffers():
                value.copy_(statistics[key])
    return compiled


def _own_code(layer: nn.Module) -> Callable[[Tensor], Tensor]:
    """Wrap a layer in a function with its own code object.

    torch limits compilations to eight per code object, which layers of one class would otherwise share.
    """

    def call(h: Tensor) -> Tensor:
        out: Tensor = layer(h)
        return out

    return types.FunctionType(call.__code__.replace(), call.__globals__, call.__name__, None, call.__closure__)
