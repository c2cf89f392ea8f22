"""Straightening follows its formula."""

from __future__ import annotations

import math

import pytest
import torch
from helpers.rows import embeddings, mean, pairs, relation

from seqff.objectives.decorrelation import Straightening, straightness, vicreg_terms


def test_cosines_equal_loops_over_successive_pairs() -> None:
    """For all (a, b) and (b, c) the cosine of z_b - z_a and z_c - z_b, one coordinate at a time."""
    z = embeddings(3)
    rows, cosines = z.tolist(), []
    for a, b in pairs():
        for start, c in pairs():
            if start == b:
                one = [y - x for x, y in zip(rows[a], rows[b], strict=True)]
                two = [y - x for x, y in zip(rows[b], rows[c], strict=True)]
                cosines.append(sum(x * y for x, y in zip(one, two, strict=True)) / math.hypot(*one) / math.hypot(*two))
    assert cosines
    loss, figures = Straightening((2.0, 3.0, 5.0))(z, relation())
    assert float(figures["straightness"]) == pytest.approx(mean(cosines), rel=1e-4)
    first, second = relation().positive.unbind(dim=1)
    _, variance, covariance = vicreg_terms(z[first], z[second])
    expected = 2 * (1 - mean(cosines)) + 3 * float(variance) + 5 * float(covariance)
    assert float(loss) == pytest.approx(expected, rel=1e-5)


def test_straight_bent_and_turning_back() -> None:
    """A straight path has cosine 1, a right angle 0, a reversal -1; without successive pairs it is 0."""
    straight = torch.tensor([[0.0, 0.0], [1.0, 2.0], [2.0, 4.0]])
    bent = torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 3.0]])
    back = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 0.0]])
    two = torch.tensor([[0, 1], [1, 2]])
    assert [float(straightness(way, two)) for way in (straight, bent, back)] == pytest.approx([1, 0, -1])
    assert float(straightness(straight, torch.tensor([[0, 1]]))) == 0
