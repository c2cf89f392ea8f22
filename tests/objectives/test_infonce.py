"""InfoNCE follows its formula."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from helpers.rows import embeddings, mean, negatives, pairs, relation

from seqff.config import InfoNCEConfig, ObjectiveConfig
from seqff.objectives.infonce import InfoNCE, info_nce
from seqff.pairs import Relation

BILINEAR = InfoNCEConfig(score="bilinear", temperature=1.0)


def by_loops(scores: list[list[float]], ways: list[tuple[int, int]], *, same: bool) -> float:
    """Return the mean of -log(exp(s_ab) / (exp(s_ab) + sum of exp(s_ak))), given a table of scores."""
    each = []
    for a, b in ways:
        among = sum(math.exp(scores[a][k]) for k in negatives(a, same=same))
        each.append(-math.log(math.exp(scores[a][b]) / (math.exp(scores[a][b]) + among)))
    return mean(each)


def test_cosine_loss_equals_the_formula_written_as_loops() -> None:
    """The loss equals loops over pairs in both directions and negatives, for any mixture of negatives."""
    z = embeddings()
    settings = InfoNCEConfig(temperature=0.5)
    loss, _ = InfoNCE(ObjectiveConfig(same_video=0.25, infonce=settings), 5)(z, relation())
    u = z / z.norm(dim=1, keepdim=True)
    scores = (u @ u.T / 0.5).tolist()
    ways = [pairs(), [(b, a) for a, b in pairs()]]
    expected = mean(
        [0.25 * by_loops(scores, way, same=True) + 0.75 * by_loops(scores, way, same=False) for way in ways]
    )
    assert float(loss) == pytest.approx(expected, rel=1e-5)


def test_bilinear_loss_equals_the_formula_written_as_loops() -> None:
    """CPC: s_nk = z_k . W z_n on unnormalized embeddings; W is the weight divided by D."""
    z = embeddings()
    term = InfoNCE(ObjectiveConfig(same_video=0.0, infonce=BILINEAR), 5, torch.Generator().manual_seed(1))
    loss, _ = term(z, relation())
    weight = (term.predictor.weight / 5).tolist()
    rows = z.tolist()
    told = [[sum(w * x for w, x in zip(line, row, strict=True)) for line in weight] for row in rows]
    scores = [[sum(a * b for a, b in zip(row, said, strict=True)) for row in rows] for said in told]
    assert float(loss.detach()) == pytest.approx(by_loops(scores, pairs(), same=False), rel=1e-5)


def test_one_anchor_worked_by_hand() -> None:
    """Scores log 2 of the positive, 0 and 0 of two negatives: -log(2 / (2 + 1 + 1)) = log 2, and it scores highest.

    The other anchor has no negative and does not count.
    """
    scores = torch.tensor([[9.0, math.log(2), 0.0, 0.0], [1.0, 2.0, 3.0, 4.0]])
    negative = torch.tensor([[False, False, True, True], [False, False, False, False]])
    loss, accuracy = info_nce(scores, torch.tensor([[0, 1], [1, 0]]), negative)
    assert float(loss) == pytest.approx(math.log(2))
    assert float(accuracy) == 1


def test_equal_scores_give_the_logarithm_of_the_candidates() -> None:
    """A constant net has loss log(n + 1) with n negatives: 12 rows of other videos here."""
    term = InfoNCE(ObjectiveConfig(same_video=0.0), 5)
    loss, figures = term(torch.ones(18, 5), relation())
    assert float(loss) == pytest.approx(math.log(13))
    assert float(figures["infonce_accuracy"]) == 0


def test_rows_that_are_no_negatives_feel_no_force() -> None:
    """Frames that are neither positive nor negative of any row get no gradient."""
    z = torch.randn(4, 4, requires_grad=True)
    same_video = torch.zeros(4, 4, dtype=torch.bool)
    same_video[0, 2] = same_video[2, 0] = True
    one = Relation(torch.tensor([[0, 1]]), same_video, torch.zeros_like(same_video))
    loss, _ = InfoNCE(ObjectiveConfig(), 4)(z, one)
    loss.backward()
    assert z.grad.any(dim=1).tolist() == [True, True, True, False]


def test_the_bilinear_matrix_learns() -> None:
    """It is a parameter with a gradient, in the state dict, and the same generator gives the same weights."""
    config = ObjectiveConfig(infonce=BILINEAR)
    first, second = (InfoNCE(config, 5, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(first.state_dict()["predictor.weight"], second.predictor.weight)
    first(embeddings(), relation())[0].backward()
    assert bool(first.predictor.weight.grad.any())
    assert not list(InfoNCE(ObjectiveConfig(), 5).parameters())


def test_an_impossible_temperature_is_refused() -> None:
    """The error names the setting and its value."""
    config = dataclasses.replace(ObjectiveConfig(), infonce=InfoNCEConfig(temperature=0.0))
    with pytest.raises(ValueError, match=r"objective\.infonce\.temperature must be above 0, got 0\.0"):
        InfoNCE(config, 5)
