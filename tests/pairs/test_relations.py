"""Relations between rows: positive, negative, or neither."""

from __future__ import annotations

import pytest
import torch

from seqff.pairs import relate


def test_each_pair_of_rows_is_what_its_times_say() -> None:
    """Exactly `gap` apart: positive; at least `far` apart or other video: negative; everything else: neither."""
    video, time = torch.tensor([0, 0, 0, 0, 1, 1]), torch.tensor([0, 2, 3, 9, 0, 2])
    relation = relate(video, time, gap=2, far=6)
    assert relation.positive.tolist() == [[0, 1], [4, 5]]
    for i in range(6):
        for j in range(6):
            same = video[i] == video[j]
            assert bool(relation.other_video[i, j]) == bool(~same)
            assert bool(relation.same_video[i, j]) == bool(same & (abs(time[i] - time[j]) >= 6))


def test_gap_and_far_that_contradict_are_refused() -> None:
    """far must be larger than gap, gap at least 1."""
    rows = torch.arange(3)
    with pytest.raises(ValueError, match="far larger than gap"):
        relate(rows, rows, gap=4, far=4)
    with pytest.raises(ValueError, match="gap must be at least 1"):
        relate(rows, rows, gap=0, far=4)
