"""The plan is a pure function of (seed, number)."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pytest

from seqff.config import PairsConfig
from seqff.pairs import Plan

CONFIG = PairsConfig(videos_per_batch=4, buffer_videos=8, clips_per_video=2, clip_frames=5, gap=4, batches_per_visit=3)


def test_same_seed_same_visits_in_any_order() -> None:
    """Visit 17 has the same frames whether requested first or last; another seed gives others."""
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
    """Every use gives existing frames, ascending, with at least one pair `gap` apart, from every section."""
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
        ([30, 30], PairsConfig(gap=4, clip_frames=4), "must be larger than pairs.gap"),
    ],
)
def test_impossible_plans_are_refused(frames: list[int], config: PairsConfig, message: str) -> None:
    """The error names the setting."""
    with pytest.raises(ValueError, match=message):
        Plan(frames, config, 0)


def test_clips_are_as_long_as_the_gap_needs() -> None:
    """Another gap needs no other setting: every frame of these clips is in at most one pair."""
    visit = Plan([60, 60], PairsConfig(gap=4, clips_per_video=1), 0).visit(0, 0)
    for use in visit.uses:
        assert np.diff(visit.indices[use]).tolist() == [1, 1, 1, 1]


@pytest.mark.parametrize(("weights", "power"), [("frame", 1.0), ("sqrt", 0.5)])
def test_long_videos_are_visited_in_proportion(weights: Literal["frame", "sqrt"], power: float) -> None:
    """Over many epochs the visits are in proportion to the frames, or to their root; within one, to less than 1."""
    frames = [20, 40, 80, 160] * 10
    plan = Plan(frames, replace(CONFIG, weights=weights), 0)
    due = np.asarray(frames, dtype=float) ** power
    due *= plan.rounds_per_epoch * plan.videos_per_round / due.sum()
    total = np.zeros(len(frames))
    for epoch in range(60):
        rounds = [plan.videos(epoch * plan.rounds_per_epoch + part) for part in range(plan.rounds_per_epoch)]
        counts = np.bincount(np.concatenate(rounds), minlength=len(frames))
        assert (np.abs(counts - due) < 1).all()
        total += counts
    assert np.allclose(total / 60, due, atol=0.35)


def test_one_long_video_is_never_twice_in_a_batch() -> None:
    """A video with nearly all frames is in every batch, once; every use of every visit occurs once."""
    plan = Plan([10_000, *[20] * 19], replace(CONFIG, weights="frame"), 0)
    assert plan.groups == 2
    for number in range(6):
        videos = plan.videos(number)
        assert (videos == 0).sum() == plan.groups
        batches = plan.deal(number)
        assert all(sorted({int(videos[slot]) for slot, _ in batch})[0] == 0 for batch in batches)
        assert all(len({int(videos[slot]) for slot, _ in batch}) == plan.videos_per_batch for batch in batches)
        assert sorted(source for batch in batches for source in batch) == [(s, u) for s in range(8) for u in range(3)]


def test_clips_start_only_where_they_may() -> None:
    """With three allowed starts every clip starts at one of them."""
    allowed = np.array([3, 20, 21])
    plan = Plan([40] * 4, CONFIG, 0, starts=lambda video: allowed)
    for slot in range(4):
        visit = plan.visit(0, slot)
        for use in visit.uses:
            frames = visit.indices[use]
            beginnings = frames[np.diff(frames, prepend=-9) != 1]
            assert np.isin(beginnings, allowed).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"videos_per_batch": 1}, "videos_per_batch must be at least 2, got 1"),
        ({"batches_per_visit": 0}, "batches_per_visit must be at least 1"),
        ({"crop": 0.0}, r"crop must be in \(0, 1\]"),
        ({"color_jitter": 1.5}, r"color_jitter must be 0 .* to 1, got 1\.5"),
        ({"far": 4}, "far larger"),
        ({"gap": 0}, "gap must be above 0"),
        ({"gap": "0.2s"}, "both be frames.* or both seconds.* got 0.2s and 8"),
        ({"gap": "0.2", "far": "2"}, "such as 0.2s and 2s, got 0.2 and 2"),
        ({"gap": "0.2s", "far": "0.1 s"}, "far larger, got 0.2s and 0.1 s"),
    ],
)
def test_settings_out_of_range_are_refused(change: dict[str, Any], message: str) -> None:
    """Before anything is decoded, with the value and what is allowed."""
    with pytest.raises(ValueError, match=message):
        Plan([30] * 8, replace(CONFIG, **change), 0)
