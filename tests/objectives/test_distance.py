"""Distances between embeddings, and normalization of embeddings."""

from __future__ import annotations

import pytest
import torch
from helpers.rows import embeddings, relation

from seqff.config import ObjectiveConfig
from seqff.objectives import build_objectives, temporal_hinge
from seqff.objectives.pairwise import normalize, squared_distances
from seqff.pairs import Relation


def test_distances_are_those_of_every_pair() -> None:
    """The squares of the Euclidean distances."""
    a = embeddings()
    torch.testing.assert_close(squared_distances(a), torch.cdist(a, a).square(), atol=1e-5, rtol=1e-5)


def test_scales_are_what_their_names_say() -> None:
    """unit: length 1; none: unchanged."""
    z = 7 * embeddings(dim=12)
    torch.testing.assert_close(normalize(z, "unit").norm(dim=1), torch.ones(18))
    assert normalize(z, "none") is z
    with pytest.raises(ValueError, match="choose from unit, none"):
        normalize(z, "l1")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["temporal_hinge", "logistic_hinge"])
@pytest.mark.parametrize(("kind", "scaling"), [("unit", 1.0), ("none", 9.0)])
def test_hinges_heed_the_scale_asked_for(name: str, kind: str, scaling: float) -> None:
    """Embeddings three times as long have the same distances if normalized, and nine times as large ones if not."""
    (term,) = build_objectives(ObjectiveConfig(terms=(name,), embedding_norm=kind), [4], [5])
    _, small = term.terms[name](embeddings(), relation())
    _, large = term.terms[name](3 * embeddings(), relation())
    for figure in ("positive_distance", "same_video_distance", "other_video_distance"):
        assert float(large[figure]) == pytest.approx(scaling * float(small[figure]), rel=1e-4)


def test_the_hinge_on_bare_embeddings_worked_by_hand() -> None:
    """(3, 0) and (0, 4) as a positive pair have d = 25: beyond a tolerance of 5 by 20."""
    one = Relation(torch.tensor([[0, 1]]), *(torch.zeros(2, 2, dtype=torch.bool) for _ in range(2)))
    z = torch.tensor([[3.0, 0.0], [0.0, 4.0]])
    loss, figures = temporal_hinge(z, one, tolerance=5.0, margin=1.5, embedding_norm="none")
    assert float(loss) == pytest.approx(20.0)
    assert float(figures["positive_largest"]) == pytest.approx(25.0)
