"""The logistic hinge follows its formula, and equals Forward-Forward on pairs."""

from __future__ import annotations

import math

import pytest
import torch
from helpers.rows import embeddings, mean, negatives, pairs, relation

from seqff.objectives import Tolerance, temporal_hinge
from seqff.pairs import relate


def softplus(x: float) -> float:
    """Return log(1 + exp(x))."""
    return math.log1p(math.exp(x))


def test_loss_equals_the_formula_written_as_loops() -> None:
    """The loss equals loops over positives and negatives."""
    z = embeddings()
    loss, _ = temporal_hinge(z, relation(), tolerance=0.7, margin=1.5, scale=3.0, negative_weight=2.0, same_video=0.25)
    u = (z / z.norm(dim=1, keepdim=True)).tolist()

    def d(i: int, j: int) -> float:
        return sum((a - b) ** 2 for a, b in zip(u[i], u[j], strict=True))

    expected = mean([softplus(3 * (d(i, j) - 0.7)) for i, j in pairs()])
    for same, share in ((True, 0.25), (False, 0.75)):
        each = [softplus(3 * (1.5 - d(i, j))) for i in range(18) for j in negatives(i, same=same)]
        expected += 2.0 * share * mean(each)
    assert float(loss) == pytest.approx(expected, rel=1e-5)


def test_one_pair_worked_by_hand() -> None:
    """(1, 0) and (0, 1) have d = 2; with delta = 1.5 and s = 2 the loss is log(1 + e ** (2 * 0.5)) = 1.31326.

    As they are, not normalised, (3, 0) and (0, 4) have d = 25 and with s = 1 the loss is log(1 + e ** 23.5) = 23.5.
    """
    one = relate(torch.tensor([0, 0]), torch.tensor([0, 1]), gap=1, far=5)
    z = torch.tensor([[3.0, 0.0], [0.0, 4.0]])
    loss, figures = temporal_hinge(z, one, tolerance=1.5, margin=1.5, scale=2.0)
    assert float(loss) == pytest.approx(1.3132617)
    assert float(figures["positive_distance"]) == pytest.approx(2.0)
    raw, _ = temporal_hinge(z, one, tolerance=1.5, margin=1.5, scale=1.0, embedding_norm="none")
    assert float(raw) == pytest.approx(23.5)


def test_it_is_forward_forward_with_goodness_minus_distance() -> None:
    """With g = -d, theta = -delta and margin = delta the loss is -log p of Forward-Forward, p = sigmoid(g - theta)."""
    z, known, delta = embeddings(seed=1), relation(), 0.8
    loss, _ = temporal_hinge(z, known, tolerance=delta, margin=delta, scale=1.0, same_video=0.0)
    u = z / z.norm(dim=1, keepdim=True)
    g, theta = -torch.cdist(u, u).square(), -delta
    positive = torch.sigmoid(g - theta)[known.positive[:, 0], known.positive[:, 1]]
    negative = torch.sigmoid(g - theta)[known.other_video]
    expected = -torch.log(positive).mean() - torch.log(1 - negative).mean()
    assert float(loss) == pytest.approx(float(expected), rel=1e-4)


def test_divided_by_its_scale_it_tends_to_the_temporal_hinge() -> None:
    """At s = 1000 loss / s and its gradient are those of the hinge, except near the corner."""
    z, known = embeddings(seed=2).requires_grad_(), relation()
    sharp, _ = temporal_hinge(z, known, tolerance=0.5, margin=1.5, scale=1000.0)
    hinge, _ = temporal_hinge(z, known, tolerance=0.5, margin=1.5)
    assert float(sharp.detach()) / 1000 == pytest.approx(float(hinge.detach()), abs=1e-3)
    (of_sharp,) = torch.autograd.grad(sharp / 1000, z)
    (of_hinge,) = torch.autograd.grad(hinge, z)
    assert torch.allclose(of_sharp, of_hinge, atol=1e-2)


def test_a_calibrated_tolerance_follows_the_positives() -> None:
    """A given Tolerance is updated from these positives, and its new value is used."""
    z, tolerance = embeddings(), Tolerance(quantile=0.5)
    loss, figures = temporal_hinge(z, relation(), tolerance=tolerance, margin=1.5, scale=1.0)
    fixed, _ = temporal_hinge(z, relation(), tolerance=float(tolerance.value), margin=1.5, scale=1.0)
    assert float(figures["within_tolerance"]) == pytest.approx(8 / 15)
    assert float(loss) == pytest.approx(float(fixed))
