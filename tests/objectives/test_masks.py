"""Picking one of many negatives: always valid, and evenly distributed."""

from __future__ import annotations

import torch

from seqff.objectives.negatives import pick


def test_a_pick_is_a_negative_and_a_row_without_any_is_said_to_have_none() -> None:
    """Only columns in the mask are picked; empty rows are marked."""
    mask = torch.rand(40, 30, generator=torch.Generator().manual_seed(0)) < 0.3
    mask[7] = False
    rows = torch.arange(40).repeat(3)
    found, valid = pick(mask, rows)
    assert bool(mask[rows, found][valid].all())
    assert not bool(valid[rows == 7].any())
    assert bool(valid[rows != 7].all())


def test_picks_are_spread_over_all_negatives() -> None:
    """A hundred rows with the same ten negatives pick each of them, none more than three times its share."""
    mask = torch.zeros(100, 20, dtype=torch.bool)
    mask[:, 5:15] = True
    found, _ = pick(mask, torch.arange(100))
    counts = torch.bincount(found, minlength=20)
    assert bool((counts[5:15] > 0).all())
    assert int(counts.max()) <= 30
    assert torch.equal(found, pick(mask, torch.arange(100))[0])
