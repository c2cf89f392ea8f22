"""The video hinge: its formula."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from helpers.rows import FAR, GAP, TIME, VIDEO, embeddings, relation

from seqff.config import ObjectiveConfig, VideoHingeConfig
from seqff.objectives import build_objectives
from seqff.objectives.masks import video_pairs
from seqff.objectives.video_hinge import video_hinge
from seqff.pairs import relate


def test_it_is_the_formula() -> None:
    """Loops over all pairs give the loss; frames nearer than `far` that are no positives do not count."""
    z, known = embeddings(), relation()
    u = z / z.norm(dim=1, keepdim=True)
    same, other = [], []
    for i in range(len(z)):
        for j in range(len(z)):
            d = float((u[i] - u[j]).square().sum())
            ahead = int(TIME[j] - TIME[i])
            if VIDEO[i] != VIDEO[j]:
                other.append(max(0.0, 1.2 - d))
            elif ahead == GAP or ahead >= FAR:
                same.append(max(0.0, d - 0.3))
    same_mask, other_mask = video_pairs(known)
    loss, _, _ = video_hinge(z, torch.triu(same_mask), other_mask, tolerance=0.3, margin=1.2)
    assert float(loss) == pytest.approx(np.mean(same) + np.mean(other), rel=1e-5)


def test_by_hand() -> None:
    """Two frames a video, at right angles (d = 2) within a video and opposite (4) or at right angles between them."""
    z = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])
    known = relate(torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 0, 1]), gap=1, far=5)
    loss, near, far = video_hinge(z, *video_pairs(known), tolerance=0.5, margin=3.0)
    assert float(loss) == pytest.approx((2 - 0.5) + 0.5 * (3 - 2))  # half of the others are beyond the margin
    assert (float(near), float(far)) == (pytest.approx(2), pytest.approx(3))


def test_settings_that_make_no_sense_are_refused() -> None:
    """A negative tolerance, no margin."""
    for wrong in ({"tolerance": -1.0}, {"margin": 0.0}):
        with pytest.raises(ValueError, match=r"objective\.video_hinge"):
            build_objectives(
                ObjectiveConfig(terms=("video_hinge",), video_hinge=VideoHingeConfig(**wrong)),  # type: ignore[arg-type]
                [4],
                [5],
            )
