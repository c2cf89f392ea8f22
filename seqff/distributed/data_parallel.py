"""Data parallelism: keep the replicas of a layer synchronized while each learns from its own batches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd.function import once_differentiable

from seqff.config import TrainConfig
from seqff.distributed.ranks import Ranks
from seqff.distributed.sync_norms import over_batch, synchronize_norms
from seqff.objectives.tolerance import calibrated
from seqff.pairs import FrameBatch, Unit
from seqff.relation import Relation
from seqff.training.learner import LayerLearner


@dataclass(frozen=True, kw_only=True)
class GatheredRelation(Relation):
    """The relation of this process's rows, and of the rows of all replicas.

    Args:
        gathered: relation of the rows of all replicas, concatenated.
        counts: number of rows of each replica.
    """

    gathered: Relation
    counts: tuple[int, ...]


def gather_relation(
    batch: FrameBatch, own: Relation, ranks: Ranks, *, gap: float, far: float, unit: Unit
) -> GatheredRelation:
    """Compute the relation of the rows of all replicas; only their coordinates are sent."""
    named = {field.name: getattr(batch, field.name) for field in fields(batch) if field.name != "frames"}
    given = {name: value for name, value in named.items() if value is not None}
    counts = [int(n) for n in torch.cat(ranks.gather(torch.tensor([len(batch.video)]), [1] * ranks.replicas))]
    # float64 represents integers up to 2 ** 53 exactly, so one tensor carries all coordinates
    table = torch.cat(ranks.gather(torch.stack([value.double() for value in given.values()], dim=1), counts))
    found: dict[str, Tensor] = {
        name: column.to(value.dtype) for (name, value), column in zip(given.items(), table.T, strict=True)
    }
    every = replace(batch, frames=torch.empty(len(table), 0), **found)
    relation = every.relation(gap=gap, far=far, unit=unit).to(own.positive.device)
    return GatheredRelation(**vars(own), gathered=relation, counts=tuple(counts))


class _Times(torch.autograd.Function):
    """The identity; its gradient is multiplied by `factor`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, factor: float) -> Tensor:
        ctx.factor = factor
        return x.view_as(x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return grad * ctx.factor, None


class LayerSync:
    """Averages the gradients of one layer over its replicas, and gathers their embeddings.

    A layer's gradients are in one flat buffer, which is all-reduced while the layers above run. Measured tolerances are
    in the same buffer, so that all replicas have the same.

    If a relation covers the rows of all replicas, each replica computes the loss of the whole batch, but backpropagates
    only to its own rows; the gradients of all replicas sum to that of the whole batch. The weights of an objective see
    all rows on every replica, so their gradients are equal everywhere. The embeddings' gradients are therefore
    multiplied by the number of replicas, which makes the mean correct for both.
    """

    def __init__(self, learner: LayerLearner, ranks: Ranks) -> None:
        self.ranks, self.parameters = ranks, learner.parameters
        self.measured = calibrated([learner.objective])
        size = sum(parameter.numel() for parameter in self.parameters) + len(self.measured)
        self.flat = torch.zeros(size, device=self.parameters[0].device)
        self.parts, place = [], 0
        for parameter in self.parameters:  # with their strides: fused optimizers require equal layouts
            self.parts.append(self.flat.as_strided(parameter.shape, parameter.stride(), place))
            place += parameter.numel()
        self.tail = self.flat[place:]

    def __deepcopy__(self, memo: dict[int, Any]) -> LayerSync:
        return self  # a copy of the learner, for measuring, only calls `rows`

    def rows(self, z: Tensor, relation: Relation) -> tuple[Tensor, Relation]:
        if not isinstance(relation, GatheredRelation):
            return z, relation
        found = self.ranks.gather(z.detach(), list(relation.counts))
        found[self.ranks.replica] = _Times.apply(z, float(self.ranks.replicas))
        return torch.cat(found), relation.gathered

    def average(self) -> Callable[[], None]:
        for part, parameter in zip(self.parts, self.parameters, strict=True):
            if parameter.grad is None:  # an objective's weights get no gradient from a batch without positives
                part.zero_()
            else:
                part.copy_(parameter.grad)
                parameter.grad = None
        for number, measured in enumerate(self.measured):
            self.tail[number] = measured.value
        with self.ranks.comm_errors():
            work = dist.all_reduce(self.flat, group=self.ranks.group, async_op=True)

        def wait() -> None:
            with self.ranks.comm_errors():
                work.wait()
            self.flat /= self.ranks.replicas
            for part, parameter in zip(self.parts, self.parameters, strict=True):
                parameter.grad = part
            for number, measured in enumerate(self.measured):
                measured.value.copy_(self.tail[number])

        return wait


def synchronize(learners: list[LayerLearner], ranks: Ranks, config: TrainConfig) -> None:
    """Synchronize layers across replicas, if there are several.

    Raises:
        ValueError: settings that do not work with several processes.
    """
    if ranks.replicas == 1:
        return
    check_data_parallel(learners, config)
    for learner in learners:
        synchronize_norms(learner.layer, ranks)
        learner.synchronizer = LayerSync(learner, ranks)


def check_data_parallel(learners: list[LayerLearner], config: TrainConfig) -> None:
    """Raise ValueError unless the settings work with several replicas."""
    objectives = [learner.objective for learner in learners]
    if config.gather_negatives:
        if config.greedy_cache:
            raise ValueError("greedy_cache keeps the rows of one process: leave gather_negatives or the cache out")
        if any(objective.sees("map") or objective.sees("composed") for objective in objectives):
            raise ValueError(
                f"gather_negatives brings embeddings together, and objective.terms={config.objective.terms} look at "
                "whole maps: leave gather_negatives out"
            )
    elif config.objective.negatives == "sampled":
        raise ValueError(
            "objective.negatives=sampled counts its draws, and the count must be the same in all processes: add "
            "gather_negatives, or leave it out"
        )
    if config.compile and any(over_batch(part) for learner in learners for part in learner.layer.modules()):
        raise ValueError(
            f"norms over the batch (encoder.name={config.encoder.name}, encoder.norm={config.encoder.norm}) cannot be "
            "compiled over several processes: leave compile out"
        )


@torch.no_grad()
def broadcast(learners: list[LayerLearner], ranks: Ranks) -> None:
    """Copy the weights and statistics of the first rank to all ranks, bit for bit."""
    if ranks.world == 1:
        return
    for learner in learners:
        for module in (learner.layer, learner.head, learner.objective):
            for value in module.state_dict().values():
                sent = value.contiguous()
                with ranks.comm_errors():
                    dist.broadcast(sent, src=0, group=ranks.all_ranks)
                value.copy_(sent)


@torch.no_grad()
def average_measured(learners: list[LayerLearner], ranks: Ranks) -> None:
    """Set measured tolerances to their mean over the replicas that could measure them."""
    measured = calibrated(learner.objective for learner in learners)
    if ranks.group is None or not measured:
        return
    values = torch.stack([tolerance.value for tolerance in measured])
    found = torch.stack(ranks.gather(values[None], [1] * ranks.replicas))
    for tolerance, value in zip(measured, found[:, 0].nanmean(dim=0), strict=True):
        tolerance.value.copy_(value)
