"""Latent predictive learning follows its formula."""

from __future__ import annotations

import math
import statistics

import pytest
import torch
from helpers.rows import embeddings, loss_of, mean, pairs, relation

from seqff.config import LPLConfig
from seqff.objectives.decorrelation import lpl_terms


def test_loss_equals_the_formula_written_as_loops() -> None:
    """The loss equals loops over pairs, dimensions and pairs of dimensions."""
    z = embeddings(3)
    loss, _ = loss_of(z, "lpl", lpl=LPLConfig(weights=(2.0, 3.0, 5.0)))
    rows = z.tolist()
    views = [[rows[a] for a, _ in pairs()], [rows[b] for _, b in pairs()]]
    predictive = mean([(x - y) ** 2 for one, two in zip(*views, strict=True) for x, y in zip(one, two, strict=True)])
    hebbian, joint = [], []
    for view in views:
        columns = list(zip(*view, strict=True))
        hebbian += [-math.log(statistics.variance(column) + 1e-4) for column in columns]
        joint += [
            statistics.covariance(one, two) ** 2
            for i, one in enumerate(columns)
            for j, two in enumerate(columns)
            if i != j
        ]
    assert float(loss) == pytest.approx(2 * predictive + 3 * mean(hebbian) + 5 * mean(joint), rel=1e-5)


def test_two_pairs_worked_by_hand() -> None:
    """x = (1, 0), (-1, 0) and y = (1, 0), (-1, 2): loss 1 + 1.78269 + 10 * 2 = 22.78269.

    Differences (0, 0) and (0, -2): mean square 1. Variances 2 and 0 of x, 2 and 2 of y:
    -(3 log 2.0001 + log 0.0001) / 4 = -(3 * 0.693197 - 9.210340) / 4 = 1.782687. Covariance of y -2, of x 0; of two
    ordered couples each: mean square 4 of y, 0 of x, on average 2.
    """
    x, y = torch.tensor([[1.0, 0.0], [-1.0, 0.0]]), torch.tensor([[1.0, 0.0], [-1.0, 2.0]])
    assert [float(term) for term in lpl_terms(x, y)] == pytest.approx([1.0, 1.782687, 2.0], rel=1e-5)
    z = torch.cat([x, y])
    known = relation()
    two = type(known)(torch.tensor([[0, 2], [1, 3]]), known.same_video[:4, :4], known.other_video[:4, :4])
    assert float(loss_of(z, "lpl", two)[0]) == pytest.approx(22.782687, rel=1e-5)


def test_the_hebbian_term_pushes_a_unit_away_from_its_mean() -> None:
    """Its gradient is -(z - mean) / (variance + 1e-4), over P - 1 rows, D dimensions and the mean of two views."""
    x = torch.tensor([[1.0, 0.5], [-1.0, 0.1], [2.0, 0.3]], requires_grad=True)
    hebbian = lpl_terms(x, torch.randn(3, 2))[1]
    (gradient,) = torch.autograd.grad(hebbian, x)
    away = (x - x.mean(dim=0)) / (x.var(dim=0) + 1e-4)
    assert torch.allclose(gradient, -2 * away / 2 / 2 / 2, rtol=1e-4)


def test_a_single_dimension_has_no_couples() -> None:
    """With D = 1 there is nothing to decorrelate, and no division by 0."""
    terms = lpl_terms(torch.tensor([[1.0], [2.0]]), torch.tensor([[1.0], [4.0]]))
    assert float(terms[2]) == 0
    assert all(bool(torch.isfinite(term)) for term in terms)
