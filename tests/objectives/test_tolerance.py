"""Tolerances: schedules, lists, and quantiles that follow the data."""

from __future__ import annotations

import pytest
import torch

from seqff.config import ObjectiveConfig
from seqff.objectives import Tolerance, build_tolerances


def test_geometric_schedule_falls_by_one_factor() -> None:
    """0.2 to 0.025 over four layers is halved each time."""
    config = ObjectiveConfig(tolerance="geometric", tolerance_range=(0.2, 0.025))
    assert [float(t.value) for t in build_tolerances(config, 4)] == pytest.approx([0.2, 0.1, 0.05, 0.025])


def test_calibrated_tolerance_is_the_quantile_and_follows_it() -> None:
    """The first batch sets delta to its quantile; later batches move it towards theirs."""
    tolerance = Tolerance(quantile=0.25)
    distances = torch.arange(101) / 100
    assert float(tolerance.track(distances)) == pytest.approx(0.25)
    for _ in range(200):
        tolerance.track(2 * distances)
    assert float(tolerance.value) == pytest.approx(0.5, rel=1e-3)


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
    ],
)
def test_impossible_tolerances_are_refused(config: ObjectiveConfig, message: str) -> None:
    """The error says what is allowed."""
    with pytest.raises(ValueError, match=message):
        build_tolerances(config, 4)
