"""Barlow Twins follows its formula."""

from __future__ import annotations

import statistics

import pytest
import torch
from helpers.rows import embeddings, loss_of, mean, pairs

from seqff.config import BarlowConfig
from seqff.objectives.decorrelation import barlow_terms


def test_loss_equals_the_formula_written_as_loops() -> None:
    """The loss equals loops over pairs of dimensions."""
    z = embeddings(3)
    loss, _ = loss_of(z, "barlow", barlow=BarlowConfig(off_diagonal=0.3))
    rows = z.tolist()

    def columns(view: list[list[float]]) -> list[list[float]]:
        found = []
        for column in zip(*view, strict=True):
            middle, spread = mean(list(column)), (statistics.pvariance(column) + 1e-5) ** 0.5
            found.append([(value - middle) / spread for value in column])
        return found

    x, y = columns([rows[a] for a, _ in pairs()]), columns([rows[b] for _, b in pairs()])
    expected = 0.0
    for i, one in enumerate(x):
        for j, two in enumerate(y):
            c = mean([a * b for a, b in zip(one, two, strict=True)])
            expected += (1 - c) ** 2 if i == j else 0.3 * c**2
    assert float(loss) == pytest.approx(expected, rel=1e-4)


def test_two_pairs_worked_by_hand() -> None:
    """x = (1, 1), (-1, -1) and y = (1, -1), (-1, 1): C = ((1, -1), (1, -1)).

    C_00 = (1 * 1 + -1 * -1) / 2 = 1, C_01 = (1 * -1 + -1 * 1) / 2 = -1, C_10 = 1, C_11 = -1. On the diagonal
    (1 - 1) ** 2 + (1 + 1) ** 2 = 4, off it 1 + 1 = 2; with the paper's lambda 4 + 0.0051 * 2 = 4.0102.
    """
    x, y = torch.tensor([[1.0, 1.0], [-1.0, -1.0]]), torch.tensor([[1.0, -1.0], [-1.0, 1.0]])
    on, off = barlow_terms(x, y)
    assert float(on) == pytest.approx(4, abs=1e-4)
    assert float(off) == pytest.approx(2, abs=1e-4)
    assert float(on + BarlowConfig().off_diagonal * off) == pytest.approx(4.0102, abs=1e-4)


def test_scale_and_shift_of_a_dimension_do_not_matter() -> None:
    """Correlations are invariant: scaling and shifting dimensions does not change the loss."""
    z = embeddings(3)
    other = z * torch.tensor([3.0, 10.0, 0.5]) + torch.tensor([1.0, -5.0, 2.0])
    assert float(loss_of(z, "barlow")[0]) == pytest.approx(float(loss_of(other, "barlow")[0]), rel=1e-3)
