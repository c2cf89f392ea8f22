"""VICReg follows its formula."""

from __future__ import annotations

import math
import statistics

import pytest
import torch
from helpers.rows import embeddings, loss_of, mean, pairs

from seqff.config import VICRegConfig
from seqff.objectives import Tolerance
from seqff.objectives.decorrelation import vicreg_terms


def test_loss_equals_the_formula_written_as_loops() -> None:
    """Loss and metrics equal loops over pairs, dimensions and pairs of dimensions."""
    z = embeddings(3)
    loss, metrics = loss_of(z, "vicreg", tolerance=0.1, vicreg=VICRegConfig(weights=(2.0, 3.0, 5.0)))
    rows = z.tolist()
    views = [[rows[a] for a, _ in pairs()], [rows[b] for _, b in pairs()]]
    invariance = mean([(x - y) ** 2 for one, two in zip(*views, strict=True) for x, y in zip(one, two, strict=True)])
    alive, joint = [], 0.0
    for view in views:
        columns = list(zip(*view, strict=True))
        alive += [max(0.0, 1.0 - math.sqrt(statistics.variance(column) + 1e-4)) for column in columns]
        for i, one in enumerate(columns):
            for j, two in enumerate(columns):
                joint += statistics.covariance(one, two) ** 2 / 3 if i != j else 0.0
    assert float(loss) == pytest.approx(2 * invariance + 3 * mean(alive) + 5 * joint, rel=1e-5)
    assert float(metrics["vicreg_invariance"]) == pytest.approx(invariance, rel=1e-5)
    assert float(metrics["vicreg_variance"]) == pytest.approx(mean(alive), rel=1e-4)
    assert float(metrics["vicreg_covariance"]) == pytest.approx(joint, rel=1e-5)


def test_two_pairs_worked_by_hand() -> None:
    """x = (1, 0), (-1, 0) and y = (1, 0), (-1, 2): loss 25 * 1 + 25 * 0.2475 + 1 * 4 = 35.1875.

    Differences (0, 0) and (0, -2): mean square 4 / 4 = 1. Variances of x: 2 and 0, of y: 2 and 2 (two rows, so the
    squares' sum over 1). Hinges: only x's second, 1 - sqrt(0 + 0.0001) = 0.99; mean over two dimensions 0.495, and over
    the views 0.2475. Covariances: of x 0; of y (1 * -1 + -1 * 1) / 1 = -2, so 2 * 4 off the diagonal, over D = 2: 4.
    """
    x, y = torch.tensor([[1.0, 0.0], [-1.0, 0.0]]), torch.tensor([[1.0, 0.0], [-1.0, 2.0]])
    assert [float(term) for term in vicreg_terms(x, y)] == pytest.approx([1.0, 0.2475, 4.0])


def test_a_tolerance_lets_positives_differ() -> None:
    """Mean squares of 0 and 2 with a tolerance of 0.5 cost 0 and 1.5: 0.75 on average."""
    x, y = torch.tensor([[1.0, 0.0], [-1.0, 0.0]]), torch.tensor([[1.0, 0.0], [-1.0, 2.0]])
    assert float(vicreg_terms(x, y, tolerance=0.5)[0]) == pytest.approx(0.75)
    assert float(vicreg_terms(x, y, tolerance=Tolerance(0.5))[0]) == pytest.approx(0.75)
    z, config = embeddings(3), VICRegConfig(tolerant=True)
    free, given, measured = (
        float(loss_of(z, "vicreg", tolerance=tolerance, vicreg=config)[0]) for tolerance in (0, 0.5, "calibrated")
    )
    assert free > max(given, measured)
    assert free == pytest.approx(float(loss_of(z, "vicreg", tolerance=0.5)[0]))


def test_collapse_costs_what_the_variance_term_says() -> None:
    """For equal rows invariance and covariance are 0, and the variance term is almost 1."""
    invariance, variance, covariance = vicreg_terms(torch.ones(6, 4), torch.ones(6, 4))
    assert float(invariance) == float(covariance) == 0
    assert float(variance) == pytest.approx(0.99)
