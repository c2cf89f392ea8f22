"""Pairs by presentation time, within a shot, and never of identical pictures."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from seqff.config import PairsConfig
from seqff.pairs import FrameBatch, relate
from seqff.pairs.coordinates import coordinates, distances, find_starts, partners
from seqff.video import VideoEntry
from seqff.video.entry import pack

FRAMES = PairsConfig(gap=4, far=16, clip_frames=5)
SECONDS = PairsConfig(gap="0.16s", far="0.64s", clip_frames=5)


def entry(milliseconds: list[int], *, cuts: tuple[int, ...] = (), still: tuple[int, ...] = ()) -> VideoEntry:
    """Return a video with these presentation times."""
    return VideoEntry(
        path="clip.mp4",
        frames=len(milliseconds),
        fps=25.0,
        time_base=(1, 1000),
        pts_runs=pack(milliseconds),
        cut_runs=pack(cuts),
        still_runs=pack(still),
    )


def batch(video: VideoEntry, config: PairsConfig) -> FrameBatch:
    """Return all frames of one video as a batch."""
    count = video.frames
    return FrameBatch.of(torch.zeros(count, 3, 1, 1), torch.zeros(count).long(), [coordinates(video, config)])


def test_at_a_constant_rate_seconds_and_frames_say_the_same() -> None:
    """At 25 frames per second, 0.16 s and 0.64 s give the same relation as 4 and 16 frames."""
    video = entry(list(range(0, 2000, 40)))
    by_frames = batch(video, FRAMES).relation(gap=4, far=16)
    by_time = batch(video, SECONDS).relation(gap=0.16, far=0.64, unit="seconds")
    assert torch.equal(by_frames.positive, by_time.positive)
    assert torch.equal(by_frames.same_video, by_time.same_video)
    assert find_starts(video, SECONDS) is None


@pytest.mark.parametrize("rate", [23.976, 30.0, 59.94, 120.0])
def test_every_frame_has_the_nearest_as_its_one_positive(rate: float) -> None:
    """If gap is not a multiple of the frame interval (times in ms), each frame has one positive, the closest to gap."""
    times = [round(1000 * n / rate) for n in range(60)]
    positive = batch(entry(times), SECONDS).relation(gap=0.16, far=0.64, unit="seconds").positive
    assert len(set(positive[:, 0].tolist())) == len(positive) > 30
    for first, second in positive.tolist():
        off = [abs(time - times[first] - 160) for time in times]
        assert off[second] <= min(off) + 1


def test_where_no_frame_is_near_there_is_no_pair() -> None:
    """A screencast frozen for a second: no frame before it is paired with one after it, or with itself."""
    video = entry([*range(0, 400, 40), *range(1400, 1800, 40)])
    positive = batch(video, SECONDS).relation(gap=0.16, far=0.64, unit="seconds").positive
    assert positive.tolist() == [[n, n + 4] for n in (*range(6), *range(10, 16))]
    assert partners(video, SECONDS).tolist() == [*range(4, 10), *[20] * 4, *range(14, 20), *[20] * 4]


def test_no_pair_spans_a_cut_and_such_frames_are_no_negatives_either() -> None:
    """A cut between 9 and 10: no pairs across it; near frames across it are neither, distant ones still negative."""
    video = entry(list(range(0, 1200, 40)), cuts=(9,))
    relation = batch(video, FRAMES).relation(gap=4, far=16)
    assert relation.positive.tolist() == [[n, n + 4] for n in range(26) if not 6 <= n <= 9]
    assert not relation.same_video[8, 12]
    assert relation.same_video[8, 24]
    free = batch(video, replace(FRAMES, skip="none")).relation(gap=4, far=16)
    assert len(free.positive) == 26
    starts = find_starts(video, FRAMES)
    assert starts is not None
    assert starts.tolist() == [*range(6), *range(10, 26)]


def test_the_same_picture_twice_is_no_pair_if_asked() -> None:
    """Frames 5..12 are one picture: pairs inside it are dropped, pairs that leave it kept; by default all are kept."""
    video = entry(list(range(0, 1200, 40)), still=tuple(range(5, 12)))
    skipped = batch(video, replace(FRAMES, skip="still")).relation(gap=4, far=16).positive
    assert skipped.tolist() == [[n, n + 4] for n in range(26) if not 5 <= n <= 8]
    assert len(batch(video, FRAMES).relation(gap=4, far=16).positive) == 26


def test_every_start_found_holds_a_pair_and_no_other_does() -> None:
    """Equals an exhaustive search, on a video with irregular times, cuts and stills."""
    random = np.random.default_rng(0)
    for config in (FRAMES, SECONDS, replace(SECONDS, skip="still"), replace(FRAMES, skip="still")):
        times = np.cumsum(random.choice([30, 40, 50], 80)).tolist()
        video = entry(times, cuts=(11, 14, 30), still=(3, 4, 5, 6, 7, 8, 40))
        gap, far, unit = distances(config)
        relation = batch(video, config).relation(gap=gap, far=far, unit=unit)
        spans = relation.positive.tolist()
        by_hand = [a for a in range(76) if any(a <= i and j < a + 5 for i, j in spans)]
        found = find_starts(video, config)
        assert found is not None
        assert found.tolist() == by_hand


def test_a_video_without_pairs_and_a_clip_too_short_are_told_apart() -> None:
    """With cuts everywhere there are no starts. For a fast video the error states the minimum clip length."""
    assert find_starts(entry(list(range(0, 1200, 40)), cuts=tuple(range(0, 29, 3))), FRAMES).tolist() == []  # type: ignore[union-attr]
    with pytest.raises(ValueError, match=r"clip\.mp4.*clip_frames must be at least 9"):
        find_starts(entry(list(range(0, 1200, 20))), SECONDS)


def test_seconds_need_times() -> None:
    """A batch without presentation times has no relation in seconds."""
    with pytest.raises(ValueError, match="no presentation times"):
        batch(entry([0, 40, 80]), FRAMES).relation(gap=0.1, far=0.5, unit="seconds")
    with pytest.raises(ValueError, match="above 0 seconds"):
        relate(torch.zeros(2), torch.zeros(2), gap=0.0, far=1.0, half_frame=torch.ones(2))
