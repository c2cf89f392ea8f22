"""The rows of all replicas and their relations, for objectives that compare across processes."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from seqff.distributed.ranks import Ranks
from seqff.pairs import FrameBatch, Unit
from seqff.relation import Relation


@dataclass(frozen=True, kw_only=True)
class GatheredRelation(Relation):
    """What the rows of this process are to each other, and besides what all rows of all replicas are.

    Args:
        everyone: of the rows of all replicas, one replica after another.
        counts: rows of every replica.
    """

    everyone: Relation
    counts: tuple[int, ...]


def gather_relation(
    batch: FrameBatch, own: Relation, ranks: Ranks, *, gap: float, far: float, unit: Unit
) -> GatheredRelation:
    """Relate the rows of all replicas; only coordinates travel.

    Args:
        batch: this replica's, on the CPU.
        own: relation of its rows, on the device to compute on.
        ranks: the replicas.
        gap: distance of a positive.
        far: least distance of a negative in the same video.
        unit: of both.
    """
    named = {field.name: getattr(batch, field.name) for field in fields(batch) if field.name != "frames"}
    given = {name: value for name, value in named.items() if value is not None}
    counts = [int(n) for n in torch.cat(ranks.gather(torch.tensor([len(batch.video)]), [1] * ranks.replicas))]
    # whole numbers up to 2 ** 53 are themselves in float64: all coordinates travel in one tensor
    table = torch.cat(ranks.gather(torch.stack([value.double() for value in given.values()], dim=1), counts))
    found: dict[str, Tensor] = {
        name: column.to(value.dtype) for (name, value), column in zip(given.items(), table.T, strict=True)
    }
    every = replace(batch, frames=torch.empty(len(table), 0), **found)
    relation = every.relation(gap=gap, far=far, unit=unit).to(own.positive.device)
    return GatheredRelation(**vars(own), everyone=relation, counts=tuple(counts))
