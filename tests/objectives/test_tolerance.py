"""Tolerances: schedules, lists, and quantiles calibrated before training and tracked during it."""

from __future__ import annotations

import pytest
import torch

from seqff.config import Tolerances
from seqff.objectives import Tolerance, build_tolerances


@pytest.mark.parametrize(
    ("setting", "found"),
    [
        ("falling", [0.2, 0.2 / 2 ** (1 / 3), 0.1 * 2 ** (1 / 3), 0.1]),
        (0.3, [0.3, 0.3, 0.3, 0.3]),
        (0, [0, 0, 0, 0]),
        ((0.3, 0.1, 0.4, 0.0), [0.3, 0.1, 0.4, 0.0]),
    ],
)
def test_given_tolerances_are_what_they_are(setting: Tolerances, found: list[float]) -> None:
    """Falling in geometric steps, one number for all, or one per layer, whatever the distances."""
    tolerances = build_tolerances(setting, 4)
    assert [float(t.track(torch.ones(5))) for t in tolerances] == pytest.approx(found)


def test_calibrated_asks_for_fewer_positives_within_from_layer_to_layer() -> None:
    """Half of the positives in the first layer, 30 % in the last, linear in between."""
    distances = torch.arange(101) / 100
    found = [float(t.track(distances)) for t in build_tolerances("calibrated", 3)]
    assert found == pytest.approx([0.5, 0.4, 0.3])


def test_calibrated_tolerance_is_the_quantile_and_follows_it() -> None:
    """The first batch sets delta to its quantile; later batches move it towards theirs."""
    tolerance = Tolerance(quantile=0.25)
    distances = torch.arange(101) / 100
    assert float(tolerance.track(distances)) == pytest.approx(0.25)
    for _ in range(200):
        tolerance.track(2 * distances)
    assert float(tolerance.value) == pytest.approx(0.5, rel=1e-3)


def test_a_calibration_before_training_measures_all_its_batches_at_once() -> None:
    """Calibration only collects distances; the estimate is then their quantile, and tracking starts there."""
    tolerance = Tolerance(quantile=0.5)
    tolerance.start_calibration()
    for start in (0, 20, 40):
        assert bool(torch.isnan(tolerance.track(torch.arange(start, start + 11) / 100)))
    tolerance.finish_calibration()
    assert float(tolerance.value) == pytest.approx(0.25)
    assert float(tolerance.track(torch.full((5,), 1.25))) == pytest.approx(0.95 * 0.25 + 0.05 * 1.25)


def test_calibrated_tolerance_waits_for_a_batch_with_positives() -> None:
    """A batch without positives changes nothing."""
    tolerance = Tolerance(quantile=0.5)
    tolerance.track(torch.tensor([0.2, 0.4]))
    assert float(tolerance.track(torch.empty(0))) == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ((0.1,), "objective.tolerance has 1 values .* the encoder has 4 layers: give one for every layer"),
        ((-0.1, 0, 0, 0), "objective.tolerance: .* at least 0, got -0.1"),
        (float("nan"), "at least 0, got nan"),
        ("fallen", "objective.tolerance is 'fallen': a number, a list of them, falling or calibrated"),
    ],
)
def test_impossible_tolerances_are_refused(setting: Tolerances, message: str) -> None:
    """The error says what is allowed."""
    with pytest.raises(ValueError, match=message):
        build_tolerances(setting, 4)
