"""Tolerances and margins: schedules, lists, and quantiles measured before training and tracked during it."""

from __future__ import annotations

import pytest
import torch

from seqff.config import ObjectiveConfig
from seqff.objectives import Tolerance, build_tolerances
from seqff.objectives.tolerance import MOST, build_margin, quantile


def test_geometric_schedule_falls_by_one_factor() -> None:
    """0.2 to 0.025 over four layers is halved each time."""
    config = ObjectiveConfig(tolerance="geometric", tolerance_range=(0.2, 0.025))
    assert [float(t.value) for t in build_tolerances(config, 4)] == pytest.approx([0.2, 0.1, 0.05, 0.025])


def test_linear_schedule_falls_by_equal_steps() -> None:
    """0.4 to 0.1 over four layers falls by 0.1 each time; the end may be 0."""
    config = ObjectiveConfig(tolerance="linear", tolerance_range=(0.4, 0.1))
    assert [float(t.value) for t in build_tolerances(config, 4)] == pytest.approx([0.4, 0.3, 0.2, 0.1])
    config = ObjectiveConfig(tolerance="linear", tolerance_range=(0.4, 0.0))
    assert float(build_tolerances(config, 2)[1].value) == 0


def test_a_constant_tolerance_is_that_of_every_layer() -> None:
    """One number for all layers."""
    config = ObjectiveConfig(tolerance="constant", tolerance_range=(0.2, 0.2))
    assert [float(t.value) for t in build_tolerances(config, 3)] == pytest.approx([0.2] * 3)


def test_calibrated_tolerance_is_the_quantile_and_follows_it() -> None:
    """The first batch sets delta to its quantile; later batches move it towards theirs."""
    tolerance = Tolerance(quantile=0.25)
    distances = torch.arange(101) / 100
    assert float(tolerance.track(distances)) == pytest.approx(0.25)
    for _ in range(200):
        tolerance.track(2 * distances)
    assert float(tolerance.value) == pytest.approx(0.5, rel=1e-3)


def test_a_calibration_before_training_measures_all_its_batches_at_once() -> None:
    """Between `gather` and `settle` distances are only kept; the estimate is then their quantile, and tracking starts
    from it."""
    tolerance = Tolerance(quantile=0.5)
    tolerance.gather()
    for start in (0, 20, 40):
        assert bool(torch.isnan(tolerance.track(torch.arange(start, start + 11) / 100)))
    tolerance.settle()
    assert float(tolerance.value) == pytest.approx(0.25)
    assert float(tolerance.track(torch.full((5,), 1.25))) == pytest.approx(0.95 * 0.25 + 0.05 * 1.25)


def test_only_what_the_mask_names_is_measured() -> None:
    """A matrix of distances and a mask: the quantile of those; an empty mask changes nothing."""
    tolerance, d = Tolerance(quantile=0.5), torch.tensor([[0.0, 9.0], [2.0, 4.0]])
    assert float(tolerance.track(d, d != 9.0)) == pytest.approx(2.0)
    assert float(tolerance.track(d, d > 10)) == pytest.approx(2.0)


def test_a_measured_margin_stays() -> None:
    """The margin is the quantile of the negatives' distances at first: shrinking distances do not take it along."""
    margin = build_margin(ObjectiveConfig(margin_quantile=0.5))
    assert isinstance(margin, Tolerance)
    assert float(margin.track(torch.tensor([0.2, 0.4, 0.6]))) == pytest.approx(0.4)
    assert float(margin.track(torch.full((3,), 0.01))) == pytest.approx(0.4)
    assert build_margin(ObjectiveConfig(margin=1.25)) == 1.25


def test_very_many_distances_can_be_measured() -> None:
    """More numbers than torch.quantile takes: every n-th is looked at."""
    many = torch.linspace(0, 1, MOST + 1)
    assert float(quantile(many, 0.25)) == pytest.approx(0.25, abs=1e-3)


def test_calibrated_tolerance_waits_for_a_batch_with_positives() -> None:
    """A batch without positives changes nothing."""
    tolerance = Tolerance(quantile=0.5)
    tolerance.track(torch.tensor([0.2, 0.4]))
    assert float(tolerance.track(torch.empty(0))) == pytest.approx(0.3)


def test_explicit_tolerances_stay_what_they_are() -> None:
    """A list gives each layer its number, whatever the distances."""
    config = ObjectiveConfig(tolerance="explicit", tolerances=(0.3, 0.1))
    first, second = build_tolerances(config, 2)
    assert float(first.track(torch.ones(5))) == pytest.approx(0.3)
    assert float(second.value) == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (ObjectiveConfig(tolerance="explicit", tolerances=(0.1,)), "the encoder has 4 layers"),
        (ObjectiveConfig(tolerance="geometric", tolerance_range=(0.1, 0.0)), "above 0"),
        (ObjectiveConfig(tolerance="calibrated", tolerance_quantiles=(1.5, 0.1)), "between 0 and 1"),
        (ObjectiveConfig(tolerance="explicit", tolerances=(-0.1, 0, 0, 0)), "at least 0"),
        (ObjectiveConfig(tolerance="linear", tolerance_range=(0.1, -0.1)), "at least 0"),
        (ObjectiveConfig(tolerance="constant", tolerance_range=(0.1, 0.2)), "the same number twice"),
    ],
)
def test_impossible_tolerances_are_refused(config: ObjectiveConfig, message: str) -> None:
    """The error says what is allowed."""
    with pytest.raises(ValueError, match=message):
        build_tolerances(config, 4)


def test_a_margin_quantile_is_a_share() -> None:
    """The error says what is allowed."""
    with pytest.raises(ValueError, match="share between 0 and 1"):
        build_margin(ObjectiveConfig(margin_quantile=1.5))
