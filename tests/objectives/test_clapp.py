"""CLAPP follows its formula, and its matrix learns."""

from __future__ import annotations

import pytest
import torch
from helpers.rows import embeddings, mean, negatives, pairs, relation

from seqff.config import ObjectiveConfig
from seqff.objectives.clapp import CLAPP, clapp_loss


def by_hand(term: CLAPP, z: torch.Tensor) -> list[list[float]]:
    """Return the table of scores z_k . W z_n, computed with loops; W is the weight divided by D."""
    rows, weight = z.tolist(), (term.predictor.weight / 5).tolist()
    told = [[sum(w * x for w, x in zip(line, row, strict=True)) for line in weight] for row in rows]
    return [[sum(a * b for a, b in zip(row, said, strict=True)) for row in rows] for said in told]


def test_loss_equals_the_formula_written_as_loops() -> None:
    """mean max(0, 1 - s) over positives + weight * shares of mean max(0, 1 + s) over their anchors' negatives."""
    z = embeddings()
    term = CLAPP(ObjectiveConfig(same_video=0.25, negative_weight=2.0), 5, torch.Generator().manual_seed(1))
    loss, figures = term(z, relation())
    scores = by_hand(term, z)
    expected = mean([max(0, 1 - scores[a][b]) for a, b in pairs()])
    for same, share in ((True, 0.25), (False, 0.75)):
        each = [max(0, 1 + scores[a][k]) for a, _ in pairs() for k in negatives(a, same=same)]
        expected += 2.0 * share * mean(each)
    assert float(loss.detach()) == pytest.approx(expected, rel=1e-5)
    assert float(figures["clapp_positive_score"]) == pytest.approx(mean([scores[a][b] for a, b in pairs()]), rel=1e-4)


def test_hinges_worked_by_hand() -> None:
    """A positive of score 0.25 costs 0.75; negatives of score -2 and 0.5 cost 0 and 1.5, on average 0.75."""
    scores, positive = torch.tensor([[9.0, 0.25, -2.0, 0.5]]), torch.tensor([[0, 1]])
    negative = torch.tensor([[False, False, True, True]])
    assert [float(value) for value in clapp_loss(scores, positive, [])] == [0.75, 0.25, 0]
    assert [float(value) for value in clapp_loss(scores, positive, [(negative, 0.5)], negative_weight=4.0)] == [
        0.75 + 1.5,
        0.25,
        -0.375,
    ]


def test_the_matrix_learns_and_is_kept() -> None:
    """W is a parameter, initialized by the generator, in the state dict; a few steps on it alone lower the loss."""
    z = embeddings()
    term = CLAPP(ObjectiveConfig(), 5, torch.Generator().manual_seed(1))
    assert torch.equal(
        CLAPP(ObjectiveConfig(), 5, torch.Generator().manual_seed(1)).predictor.weight, term.predictor.weight
    )
    assert "predictor.weight" in term.state_dict()
    optimizer = torch.optim.SGD(term.parameters(), lr=0.1)
    losses = []
    for _ in range(20):
        loss, _ = term(z, relation())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0] - 0.1


def test_beyond_the_hinge_nothing_moves() -> None:
    """Positives scored above 1 and negatives below -1 give loss 0 and gradient 0."""
    scores = torch.tensor([[0.0, 1.5, -1.5]], requires_grad=True)
    positive, negative = torch.tensor([[0, 1]]), torch.tensor([[False, False, True]])
    loss, _, _ = clapp_loss(scores, positive, [(negative, 1.0)])
    loss.backward()
    assert float(loss.detach()) == 0
    assert torch.count_nonzero(scores.grad) == 0
