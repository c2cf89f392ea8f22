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


def test_large_sets_are_drawn_in_pieces() -> None:
    """More videos than fit one draw give an interval all the same, within bounded memory."""
    hits = (np.arange(300_000) % 4 > 0).astype(np.float64)
    low, high = accuracy_interval(hits, np.ones(len(hits)), seed=0)
    assert 0.745 < low < 0.75 < high < 0.755
