"""Intervals are as wide as the number of videos allows."""

from __future__ import annotations

import numpy as np

from seqff.probes import accuracy_interval


def test_interval_of_a_share_is_the_binomial_one() -> None:
    """80 of 100 right: 0.80 -+ 1.96 sqrt(0.8 * 0.2 / 100)."""
    hits = np.repeat([1.0, 0.0], [80, 20])
    low, high = accuracy_interval(hits, np.ones(100), seed=0)
    np.testing.assert_allclose([low, high], [0.8 - 0.0784, 0.8 + 0.0784], atol=0.015)


def test_more_frames_of_the_same_videos_tell_nothing_new() -> None:
    """Every video's answers ten times over leave the interval as it is."""
    hits = np.repeat([1.0, 0.0], [80, 20])
    assert accuracy_interval(10 * hits, np.full(100, 10.0), seed=0) == accuracy_interval(hits, np.ones(100), seed=0)


def test_pairing_narrows_a_difference() -> None:
    """Two classifiers that fail on the same videos differ by a narrow interval, though each alone has a wide one."""
    one = np.repeat([1.0, 0.0], [70, 30])
    two = one.copy()
    two[70:74] = 1
    low, high = accuracy_interval(two - one, np.ones(100), seed=0)
    assert 0 <= low < 0.04 < high < 0.1
    assert np.subtract(*accuracy_interval(one, np.ones(100), seed=0)[::-1]) > 2 * (high - low)


def test_videos_are_drawn_whole() -> None:
    """Resampling video by video, the plain way, gives the same interval, also when videos differ in length."""
    rng = np.random.default_rng(0)
    rows = rng.integers(1, 50, 60).astype(np.float64)
    hits = rng.binomial(rows.astype(int), rng.random(60)).astype(np.float64)
    drawn = rng.integers(0, 60, size=(20_000, 60))
    plain = np.quantile(hits[drawn].sum(axis=1) / rows[drawn].sum(axis=1), [0.025, 0.975])
    np.testing.assert_allclose(accuracy_interval(hits, rows, seed=0), plain, atol=0.015)
