"""Data parallel: what joins the learners of one layer in several processes, each with batches of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd.function import once_differentiable

from seqff.config import TrainConfig
from seqff.distributed.gather import GatheredRelation
from seqff.distributed.ranks import Ranks
from seqff.distributed.sync_norms import over_batch, synchronize_norms
from seqff.objectives.tolerance import calibrated
from seqff.relation import Relation
from seqff.training.learner import LayerLearner


class _Times(torch.autograd.Function):
    """The identity, whose gradient is multiplied by a number."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, factor: float) -> Tensor:
        ctx.factor = factor
        return x.view_as(x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return grad * ctx.factor, None


class LayerSync:
    """Averages the gradients of one layer over its replicas, and brings their embeddings together.

    Gradients lie in one flat buffer a layer, which is summed while the layers above go on; measured tolerances
    travel with them, so that all replicas have the same.

    Where a relation knows the rows of all replicas, each of these has the loss of the whole batch before it, with a
    gradient to its own rows alone: the sum of these gradients is that of the whole batch. The weights of an objective
    see all rows in every replica, and their gradients are the same everywhere. So embeddings pass a gradient that is
    multiplied by the number of replicas, and the mean is right for both.

    Args:
        learner: of the layer.
        ranks: the replicas of this stage.
    """

    def __init__(self, learner: LayerLearner, ranks: Ranks) -> None:
        self.ranks, self.parameters = ranks, learner.parameters
        self.measured = calibrated([learner.objective])
        size = sum(parameter.numel() for parameter in self.parameters) + len(self.measured)
        self.flat = torch.zeros(size, device=self.parameters[0].device)
        self.parts, place = [], 0
        for parameter in self.parameters:  # in the order of memory: the fused optimisers want both laid out alike
            self.parts.append(self.flat.as_strided(parameter.shape, parameter.stride(), place))
            place += parameter.numel()
        self.tail = self.flat[place:]

    def __deepcopy__(self, memo: dict[int, Any]) -> LayerSync:
        return self  # a copy of the learner, for measuring, asks it for rows and nothing else

    def rows(self, z: Tensor, relation: Relation) -> tuple[Tensor, Relation]:
        """See `seqff.training.learner.Synchronizer`."""
        if not isinstance(relation, GatheredRelation):
            return z, relation
        found = self.ranks.gather(z.detach(), list(relation.counts))
        found[self.ranks.replica] = _Times.apply(z, float(self.ranks.replicas))
        return torch.cat(found), relation.everyone

    def average(self) -> Callable[[], None]:
        """See `seqff.training.learner.Synchronizer`."""
        for part, parameter in zip(self.parts, self.parameters, strict=True):
            if parameter.grad is None:  # a batch without positives does not reach the weights of an objective
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
    """Join layers with their replicas, if there are any.

    Args:
        learners: the layers.
        ranks: the replicas.
        config: whether negatives are gathered, and what else must fit that.

    Raises:
        ValueError: settings that do not fit several processes.
    """
    if ranks.replicas == 1:
        return
    check_data_parallel(learners, config)
    for learner in learners:
        synchronize_norms(learner.layer, ranks)
        learner.synchronizer = LayerSync(learner, ranks)


def check_data_parallel(learners: list[LayerLearner], config: TrainConfig) -> None:
    """Raise ValueError unless the settings fit several processes with batches of their own."""
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
    """Give all ranks the weights and statistics of the first one, to the bit.

    Args:
        learners: all layers of the net.
        ranks: everybody.
    """
    if ranks.world == 1:
        return
    for learner in learners:
        for module in (learner.layer, learner.head, learner.objective):
            for value in module.state_dict().values():
                sent = value.contiguous()
                with ranks.comm_errors():
                    dist.broadcast(sent, src=0, group=ranks.everyone)
                value.copy_(sent)


@torch.no_grad()
def average_measured(learners: list[LayerLearner], ranks: Ranks) -> None:
    """Give measured tolerances the mean over the replicas; of those that could measure anything.

    Args:
        learners: all layers of the net.
        ranks: the replicas.
    """
    measured = calibrated(learner.objective for learner in learners)
    if ranks.group is None or not measured:
        return
    values = torch.stack([tolerance.value for tolerance in measured])
    found = torch.stack(ranks.gather(values[None], [1] * ranks.replicas))
    for tolerance, value in zip(measured, found[:, 0].nanmean(dim=0), strict=True):
        tolerance.value.copy_(value)
