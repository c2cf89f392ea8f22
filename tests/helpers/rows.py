"""Random embeddings of a few videos, with coordinates, for tests of objectives."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from seqff.config import ObjectiveConfig
from seqff.objectives import build_objectives
from seqff.pairs import Relation, relate

VIDEO, TIME = torch.arange(18) // 6, torch.arange(18) % 6
GAP, FAR = 1, 3


def embeddings(dim: int = 5, *, seed: int = 0) -> Tensor:
    """Return (18, dim) embeddings of three videos of six frames."""
    return torch.randn(18, dim, generator=torch.Generator().manual_seed(seed))


def relation() -> Relation:
    """Return the relation of these rows: 15 positives; every row has negatives of both kinds."""
    return relate(VIDEO, TIME, gap=GAP, far=FAR)


def pairs() -> list[tuple[int, int]]:
    """Return the positives, computed with loops."""
    rows = range(len(VIDEO))
    return [(i, j) for i in rows for j in rows if VIDEO[i] == VIDEO[j] and TIME[j] - TIME[i] == GAP]


def negatives(row: int, *, same: bool) -> list[int]:
    """Return a row's negatives from its own video, or from others, computed with loops."""
    rows = range(len(VIDEO))
    if same:
        return [j for j in rows if VIDEO[j] == VIDEO[row] and abs(int(TIME[j] - TIME[row])) >= FAR]
    return [j for j in rows if VIDEO[j] != VIDEO[row]]


def without_positives() -> Relation:
    """Return the same rows without positives."""
    known = relation()
    return Relation(known.positive[:0], known.same_video, known.other_video)


def without_negatives() -> Relation:
    """Return the same rows without negatives."""
    known = relation()
    return Relation(known.positive, torch.zeros_like(known.same_video), torch.zeros_like(known.other_video))


def loss_of(z: Tensor, name: str, known: Relation | None = None, **settings: Any) -> tuple[Tensor, dict[str, Tensor]]:
    """Return loss and metrics of one objective, built from settings, for embeddings (and `relation()`)."""
    (built,) = build_objectives(ObjectiveConfig(terms=(name,), **settings), [4], [z.shape[1]])
    return built.terms[name](z, known or relation())  # type: ignore[operator]


def mean(values: list[float]) -> float:
    """Return the mean of a list, 0 if it is empty."""
    return sum(values) / len(values) if values else 0.0
