"""The plan is a pure function of (seed, number)."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from seqff.config import PairsConfig
from seqff.pairs import Plan

CONFIG = PairsConfig(videos_per_batch=4, buffer_videos=8, stretches=2, stretch_frames=5, gap=4, uses=3)


def test_same_seed_same_visits_in_any_order() -> None:
    """Asking for visit 17 first or last gives the same frames; another seed gives others."""
    frames = list(range(20, 50))
    one, two, other = Plan(frames, CONFIG, 1), Plan(frames, CONFIG, 1), Plan(frames, CONFIG, 2)
    later = one.visit(9, 5)
    for number in range(9):
        two.visit(number, 0)
    again = two.visit(9, 5)
    assert later.video == again.video
    assert np.array_equal(later.indices, again.indices)
    assert any(one.visit(9, slot).video != other.visit(9, slot).video for slot in range(8))


def test_an_epoch_visits_every_video_and_a_round_none_twice() -> None:
    """30 videos in rounds of 8: four rounds cover all, the last filled up with two from the epoch's start."""
    plan = Plan([30] * 30, CONFIG, 0)
    assert (plan.videos_per_round, plan.rounds_per_epoch) == (8, 4)
    for epoch in range(3):
        seen = [[plan.visit(4 * epoch + part, slot).video for slot in range(8)] for part in range(4)]
        assert all(len(set(videos)) == 8 for videos in seen)
        counts = Counter(video for videos in seen for video in videos)
        assert set(counts) == set(range(30))
        assert max(counts.values()) <= 2


def test_visits_stay_inside_the_video_and_hold_pairs() -> None:
    """Every use gives frames that exist, ascending, with at least one pair gap apart, from every section."""
    for length in (5, 6, 9, 40, 500):
        plan = Plan([length] * 4, CONFIG, 3)
        for slot in range(4):
            visit = plan.visit(0, slot)
            assert visit.indices[0] >= 0
            assert visit.indices[-1] < length
            assert len(np.unique(visit.indices)) == len(visit.indices)
            for use in visit.uses:
                frames = visit.indices[use]
                assert (np.diff(frames) > 0).all()
                assert np.isin(frames + CONFIG.gap, frames).any()
                if length >= 40:
                    assert frames[0] < length / 2 <= frames[-1]


def test_dealing_uses_every_use_once_and_no_video_twice_in_a_batch() -> None:
    """A round of 8 visits, 3 uses each, makes 6 batches of 4 different videos."""
    plan = Plan([30] * 30, CONFIG, 0)
    batches = plan.deal(2)
    assert len(batches) == plan.batches_per_round == 6
    assert all(len({slot for slot, _ in batch}) == 4 for batch in batches)
    assert sorted(source for batch in batches for source in batch) == [(s, u) for s in range(8) for u in range(3)]


@pytest.mark.parametrize(
    ("frames", "config", "message"),
    [
        ([30], CONFIG, "at least 2 videos"),
        ([30, 4], CONFIG, "no pair 4 frames apart"),
        ([30, 30], PairsConfig(gap=4, stretch_frames=4), "must be larger than pairs.gap"),
    ],
)
def test_impossible_plans_are_refused(frames: list[int], config: PairsConfig, message: str) -> None:
    """The error says what does not fit."""
    with pytest.raises(ValueError, match=message):
        Plan(frames, config, 0)
