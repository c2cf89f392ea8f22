"""Synthetic negatives: masks, mixtures of distant frames, wrong labels."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from seqff.forward_forward.pictures import label_in_input, wrong_labels
from seqff.pairs import FrameBatch, Relation
from seqff.pairs.mixtures import blur_matrix, choose_by_weight, hybrid_masks, hybrids, with_mixtures


def blurred(bits: torch.Tensor) -> torch.Tensor:
    """Blur once by [1/4, 1/2, 1/4] along both axes with mirrored borders, as in the paper."""
    for axis in (0, 1):
        first, last = bits.narrow(axis, 0, 1), bits.narrow(axis, bits.shape[axis] - 1, 1)
        wide = torch.cat([first, bits, last], dim=axis)
        count = bits.shape[axis]
        bits = (wide.narrow(axis, 0, count) + 2 * wide.narrow(axis, 1, count) + wide.narrow(axis, 2, count)) / 4
    return bits


def test_a_blur_matrix_is_blurring_again_and_again() -> None:
    """Six blurs by [1/4, 1/2, 1/4] along both axes equal one product with the matrix on each side."""
    bits = torch.rand(9, 14, generator=torch.Generator().manual_seed(0))
    expected = bits
    for _ in range(6):
        expected = blurred(expected)
    assert torch.allclose(blur_matrix(9, 6) @ bits @ blur_matrix(14, 6), expected, atol=1e-6)


@pytest.mark.parametrize("size", [28, 64])
def test_masks_are_half_and_half_in_large_regions(size: int) -> None:
    """Half of the pixels are true on average, also at the border, and neighbors rarely differ, at any size."""
    masks = hybrid_masks(400, size, size, np.random.default_rng(0))
    assert masks.shape == (400, size, size)
    assert masks.dtype == torch.bool
    assert masks.float().mean().item() == pytest.approx(0.5, abs=0.02)
    assert masks[:, 0].float().mean().item() == pytest.approx(0.5, abs=0.04)
    assert masks.flatten(1).any(dim=1).all()
    assert not masks.flatten(1).all(dim=1).any()
    borders = (masks[:, :, 1:] != masks[:, :, :-1]).float().sum(dim=2).mean().item()  # borders per row
    assert 2 < borders < 8
    assert (masks[0] != masks[1]).any()


def test_a_hybrid_is_one_picture_inside_the_mask_and_the_other_outside() -> None:
    """mask * a + (1 - mask) * b, with and without channels."""
    masks = hybrid_masks(3, 8, 8, np.random.default_rng(0))
    a, b = torch.rand(3, 2, 8, 8), torch.rand(3, 2, 8, 8)
    weight = masks[:, None].float()
    assert torch.equal(hybrids(a, b, masks), weight * a + (1 - weight) * b)
    assert torch.equal(hybrids(a[:, 0], b[:, 0], masks), (weight * a + (1 - weight) * b)[:, 0])


def batch() -> tuple[FrameBatch, Relation]:
    """Return three videos of six frames, each frame with its own gray level."""
    frames = torch.arange(18.0)[:, None, None, None].expand(18, 3, 12, 12)
    made = FrameBatch(frames.contiguous(), torch.arange(18) // 6, torch.arange(18) % 6, shot=torch.zeros(18).long())
    return made, made.relation(gap=1, far=3)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_mixtures_are_of_far_frames_only(share: float) -> None:
    """A mixture blends its row with one distant frame, a share of about `same_video` of them from the same video."""
    frames, relation = batch()
    same = total = 0
    for seed in range(20):
        mixed, _ = with_mixtures(frames, relation, np.random.default_rng(seed), same_video=share)
        assert torch.equal(mixed.frames[:18], frames.frames)
        assert torch.equal(mixed.video[18:], frames.video)
        for row in range(18):
            levels = {int(level) for level in mixed.frames[18 + row].unique()}
            for other in levels - {row}:
                assert relation.same_video[row, other] or relation.other_video[row, other]
                same += int(relation.same_video[row, other])
                total += 1
            assert len(levels) <= 2
            assert len(mixed.frames[18 + row].unique(dim=0)) == 1  # all channels alike
    assert total > 300
    assert same / total == pytest.approx(share, abs=0.08)


def test_mixtures_stand_in_no_other_relation() -> None:
    """Mixtures are not real and have no relations; shots and times are those of their rows."""
    frames, relation = batch()
    mixed, wide = with_mixtures(frames, relation, np.random.default_rng(0))
    assert wide.real is not None
    assert wide.real.tolist() == [True] * 18 + [False] * 18
    assert torch.equal(wide.positive, relation.positive)
    for wider, narrow in ((wide.same_video, relation.same_video), (wide.other_video, relation.other_video)):
        assert wider.shape == (36, 36)
        assert torch.equal(wider[:18, :18], narrow)
        assert not wider[18:].any()
        assert not wider[:, 18:].any()
    assert mixed.shot is not None
    assert len(mixed.shot) == len(mixed.time) == 36
    assert mixed.seconds is None


def test_mixtures_are_a_function_of_their_seed() -> None:
    """The same (seed, step) gives bit-identical mixtures, also in a resumed run; other steps give others."""
    frames, relation = batch()
    first, again, other = (
        with_mixtures(frames, relation, np.random.default_rng([7, step]))[0].frames for step in (3, 3, 4)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_row_without_the_wanted_kind_of_partner_takes_the_other() -> None:
    """Without distant frames of the same video, partners are from other videos even at same_video=1, and vice versa."""
    frames, _ = batch()
    relation = frames.relation(gap=1, far=50)
    mixed, _ = with_mixtures(frames, relation, np.random.default_rng(0), same_video=1.0)
    for row in range(18):
        assert all(int(level) == row or int(level) // 6 != row // 6 for level in mixed.frames[18 + row].unique())


def test_choices_follow_their_weights() -> None:
    """Columns of weight 0 are never chosen, not even by extreme draws, and the others in proportion."""
    draws = torch.linspace(0, 1, 1001, dtype=torch.float64)[:-1]
    chosen = choose_by_weight(torch.tensor([[0.0, 3.0, 0.0, 1.0, 0.0]]).expand(1000, -1), draws)
    assert torch.bincount(chosen, minlength=5).tolist() == [0, 750, 0, 250, 0]


def test_the_first_pixels_are_the_label() -> None:
    """One-hot for a label, 1 / K each for the neutral one; the rest of the image and the original are unchanged."""
    x = torch.rand(2, 6)
    before = x.clone()
    labelled = label_in_input(x, torch.tensor([2, 0]), 4)
    assert labelled[:, :4].tolist() == [[0, 0, 1, 0], [1, 0, 0, 0]]
    assert label_in_input(x, None, 4)[:, :4].tolist() == [[0.25] * 4] * 2
    assert torch.equal(labelled[:, 4:], x[:, 4:])
    assert torch.equal(x, before)
    with pytest.raises(ValueError, match="at least 7 classes"):
        label_in_input(x, None, 7)


def test_a_wrong_label_is_never_the_right_one() -> None:
    """Uniform weights give all other labels, and certainty in the right label still gives a wrong one."""
    y = torch.arange(4).repeat(500)
    draws = torch.from_numpy(np.random.default_rng(0).random(2000))
    alike = wrong_labels(y, draws, torch.ones(1, 4))
    assert not (alike == y).any()
    counts = torch.bincount((alike - y) % 4, minlength=4)
    assert counts[0] == 0
    assert bool((counts[1:] > 550).all())
    certain = torch.nn.functional.one_hot(y, 4).float()
    assert not (wrong_labels(y, draws, certain) == y).any()
    second = torch.nn.functional.one_hot((y + 2) % 4, 4).float()
    assert torch.equal(wrong_labels(y, draws, 0.9 * certain + 0.1 * second), (y + 2) % 4)
