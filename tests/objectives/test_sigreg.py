"""SIGReg follows its formula, and grows as embeddings become less Gaussian."""

from __future__ import annotations

import cmath
import itertools
import math

import pytest
import torch
from helpers.rows import embeddings, mean, pairs, relation

from seqff.objectives.sigreg import DIRECTIONS, SIGReg, epps_pulley


def test_distance_equals_the_formula_written_as_loops() -> None:
    """The distance equals loops over variables and arguments with complex numbers."""
    x = torch.randn(7, 2, generator=torch.Generator().manual_seed(0))
    knots = [-5 + 10 * k / 16 for k in range(17)]
    for variable, distance in enumerate(epps_pulley(x).tolist()):
        values = x[:, variable].tolist()
        heights = []
        for t in knots:
            found = sum(cmath.exp(1j * t * value) for value in values) / 7
            heights.append(abs(found - math.exp(-t * t / 2)) ** 2 * math.exp(-t * t / 2))
        area = sum((one + two) / 2 * 10 / 16 for one, two in itertools.pairwise(heights))
        assert distance == pytest.approx(7 * area, rel=1e-4)


def test_the_loss_is_its_two_terms() -> None:
    """The prediction term equals a loop over pairs of the squared distance of both rows from their mean."""
    z = embeddings(3)
    loss, figures = SIGReg(0.25, torch.Generator().manual_seed(0))(z, relation())
    rows = z.tolist()
    apart = []
    for a, b in pairs():
        middle = [(x + y) / 2 for x, y in zip(rows[a], rows[b], strict=True)]
        apart += [(x - m) ** 2 for row in (rows[a], rows[b]) for x, m in zip(row, middle, strict=True)]
    assert float(figures["sigreg_prediction"]) == pytest.approx(mean(apart), rel=1e-5)
    assert float(loss) == pytest.approx(0.75 * mean(apart) + 0.25 * float(figures["sigreg_distance"]), rel=1e-5)


def test_normal_embeddings_are_nearest() -> None:
    """A standard normal sample is closer than a shrunk, stretched, shifted, uniform or collapsed one."""
    term = SIGReg(0.05, torch.Generator().manual_seed(0))
    z = torch.randn(512, 16, generator=torch.Generator().manual_seed(1))
    others = [0.5 * z, 2 * z, z + 1, torch.sign(z) * 1.7, z[:, :1].expand(-1, 16), torch.zeros(512, 16)]
    directions = term.directions(16)
    best = float(epps_pulley(z @ directions).mean())
    assert all(float(epps_pulley(other @ directions).mean()) > 1.5 * best for other in others)


def test_directions_are_spread_and_new_at_every_step() -> None:
    """Unit length, isotropic, different at the next step, and reproducible from the same draw counter."""
    term = SIGReg(0.05, torch.Generator().manual_seed(0))
    first, second = term.directions(8), term.directions(8)
    assert torch.allclose(first.norm(dim=0), torch.ones(DIRECTIONS), atol=1e-5)
    assert torch.allclose(first @ first.T / DIRECTIONS, torch.eye(8) / 8, atol=0.04)
    assert float((first * second).sum(dim=0).abs().mean()) < 0.4  # of independent directions: 0.29
    again = SIGReg(0.05, torch.Generator().manual_seed(0))
    assert torch.equal(again.directions(8), first)


def test_a_weight_out_of_range_is_named() -> None:
    """The error names the setting and what is allowed."""
    with pytest.raises(ValueError, match=r"objective\.sigreg\.weight must be between 0 and 1, got 1\.5"):
        SIGReg(1.5)
