"""Goodness: the formulas computed by hand, and requirements on batches."""

from __future__ import annotations

import math

import pytest
import torch

from seqff.config import GoodnessConfig, ObjectiveConfig
from seqff.objectives import build_objectives
from seqff.objectives.goodness import Goodness, goodness, pair_off, symba_loss, threshold_loss
from seqff.pairs import Relation

NOWHERE = torch.zeros(4, 4, dtype=torch.bool)


def rows(real: list[bool] | None) -> Relation:
    """Return a relation of four rows in which only `real` matters."""
    mask = None if real is None else torch.tensor(real)
    return Relation(torch.empty(0, 2, dtype=torch.int64), NOWHERE, NOWHERE, mask)


def softplus(x: float) -> float:
    """Return log(1 + e^x)."""
    return math.log1p(math.exp(x))


def test_goodness_is_the_sum_or_the_mean_of_squares() -> None:
    """(1, 2, 2) has goodness 9 as a sum and 3 as a mean; for a map, over all units or those at each position."""
    y = torch.tensor([[1.0, 2.0, 2.0]])
    assert goodness(y, "sum").tolist() == [9.0]
    assert goodness(y, "mean").tolist() == [3.0]
    maps = torch.tensor([[[[1.0, 2.0]], [[3.0, 0.0]]]])  # 1 row, 2 channels, 1 x 2
    assert goodness(maps, "sum").tolist() == [14.0]
    assert goodness(maps, "sum", over="position").tolist() == [[[10.0, 4.0]]]
    assert goodness(maps, "mean", over="position").tolist() == [[[5.0, 2.0]]]


def test_threshold_loss_is_the_cross_entropy_of_a_probability() -> None:
    """softplus(theta - g) averaged over real rows plus softplus(g - theta) averaged over the others."""
    g, real = torch.tensor([3.0, 1.0, 2.5]), torch.tensor([True, True, False])
    expected = (softplus(2 - 3) + softplus(2 - 1)) / 2 + softplus(2.5 - 2)
    assert threshold_loss(g, real, threshold=2.0).item() == pytest.approx(expected)
    p = torch.sigmoid(g - 2.0)
    entropy = -(p[:2].log().mean() + (1 - p[2]).log())
    assert threshold_loss(g, real, threshold=2.0).item() == pytest.approx(entropy.item())
    sharper = (softplus(3 * -1) + softplus(3 * 1)) / 2 + softplus(3 * 0.5)
    assert threshold_loss(g, real, threshold=2.0, alpha=3.0).item() == pytest.approx(sharper)


def test_symba_compares_each_real_row_with_its_own_negative() -> None:
    """softplus(-alpha (g_pos - g_neg)) of the k-th real row and the k-th synthetic one, in any order of rows."""
    g, real = torch.tensor([5.0, 1.0, 3.0, 2.5]), torch.tensor([True, False, True, False])
    expected = (softplus(-2 * (5 - 1)) + softplus(-2 * (3 - 2.5))) / 2
    assert symba_loss(g, real, alpha=2.0).item() == pytest.approx(expected)


def test_rows_without_a_partner_stand_in_no_pair() -> None:
    """With three real rows and one synthetic row there is one pair, and rows of one kind are never paired."""
    first, second, paired = pair_off(torch.tensor([True, True, False, True]))
    assert [(a, b) for a, b, p in zip(first.tolist(), second.tolist(), paired.tolist(), strict=True) if p] == [(1, 2)]
    assert symba_loss(torch.ones(4), torch.ones(4, dtype=torch.bool)).item() == 0.0


@pytest.mark.parametrize("loss", ["threshold", "symba"])
@pytest.mark.parametrize("form", ["sum", "mean"])
@pytest.mark.parametrize("over", ["map", "position"])
def test_a_step_down_the_loss_tells_real_from_synthetic(loss: str, form: str, over: str) -> None:
    """Gradient descent raises the goodness of real rows and lowers that of synthetic rows, in every form."""
    objective = Goodness(GoodnessConfig(form=form, loss=loss, over=over, alpha=1.0))
    z = torch.rand(4, 3, 2, 2, generator=torch.Generator().manual_seed(0)).requires_grad_()
    relation = rows([True, False, True, False])
    before, _ = objective(z, relation)
    before.backward()
    assert z.grad is not None
    after = z.detach() - 0.01 * z.grad
    change = goodness(after) - goodness(z.detach())
    assert bool((change[[0, 2]] > 0).all())
    assert bool((change[[1, 3]] < 0).all())
    assert objective(after, relation)[0] < before


def test_the_sums_threshold_grows_with_the_units() -> None:
    """theta is per unit: a sum over 12 units is compared with 12 theta, their mean with theta."""
    z = torch.full((4, 3, 2, 2), 1.5)
    relation = rows([True, True, False, False])
    loss, figures = Goodness(GoodnessConfig(loss="threshold", threshold=2.0, alpha=1.0))(z, relation)
    excess = 12 * (1.5**2 - 2.0)
    assert loss.item() == pytest.approx(softplus(-excess) + softplus(excess))
    assert figures["goodness_real"].item() == pytest.approx(1.5**2)
    loss, _ = Goodness(GoodnessConfig(loss="threshold", threshold=2.0, alpha=1.0, form="mean"))(z, relation)
    assert loss.item() == pytest.approx(softplus(2.0 - 1.5**2) + softplus(1.5**2 - 2.0))


def test_what_cannot_be_is_said() -> None:
    """No synthetic rows, positions of a vector, and settings out of range are errors with a remedy."""
    with pytest.raises(ValueError, match="needs synthetic negatives"):
        Goodness(GoodnessConfig())(torch.ones(4, 3), rows(None))
    with pytest.raises(ValueError, match=r"needs maps \(N, C, H, W\)"):
        Goodness(GoodnessConfig(over="position"))(torch.ones(4, 3), rows([True, True, False, False]))
    with pytest.raises(ValueError, match="above 0"):
        Goodness(GoodnessConfig(alpha=0.0))


def test_a_layer_with_goodness_asks_for_mixtures() -> None:
    """A layer's loss needs synthetic rows if any of its terms does."""
    (with_goodness,) = build_objectives(ObjectiveConfig(terms=("goodness", "temporal_hinge:0.5")), [3], [8])
    (without,) = build_objectives(ObjectiveConfig(), [3], [8])
    assert with_goodness.needs_mixtures
    assert not without.needs_mixtures
