"""InfoNCE between videos follows its formula."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from helpers.rows import FAR, GAP, TIME, VIDEO, embeddings, relation

from seqff.objectives.infonce import video_infonce, video_pairs
from seqff.pairs import relate


def test_it_is_the_formula() -> None:
    """The loss equals loops over all pairs; frames closer than `far` that are not positives do not count."""
    z, known = embeddings(), relation()
    u = (z / z.norm(dim=1, keepdim=True)).double()
    losses, nearest = [], []
    for a in range(len(z)):
        others = [float(u[a] @ u[k]) for k in range(len(z)) if VIDEO[k] != VIDEO[a]]
        for b in range(len(z)):
            apart = abs(int(TIME[b] - TIME[a]))
            if VIDEO[a] == VIDEO[b] and (apart == GAP or apart >= FAR):
                s = float(u[a] @ u[b])
                losses.append(-math.log(math.exp(s / 0.3) / sum(math.exp(x / 0.3) for x in [s, *others])))
                nearest.append(s > max(others))
    loss, accuracy = video_infonce(z, *video_pairs(known), temperature=0.3)
    assert float(loss) == pytest.approx(np.mean(losses), rel=1e-5)
    assert float(accuracy) == pytest.approx(np.mean(nearest))


def test_by_hand() -> None:
    """Two videos, each of two equal frames, orthogonal to each other: cosine 1 against two of 0."""
    z = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    known = relate(torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 0, 1]), gap=1, far=5)
    loss, accuracy = video_infonce(z, *video_pairs(known), temperature=0.5)
    assert float(loss) == pytest.approx(math.log(1 + 2 * math.exp(-2)))
    assert float(accuracy) == 1


def test_rows_of_one_video_teach_nothing() -> None:
    """Without other videos the loss and its gradient are 0, not undefined."""
    z = torch.rand(4, 3, generator=torch.Generator().manual_seed(0)).requires_grad_()
    known = relate(torch.zeros(4, dtype=torch.int64), torch.arange(4), gap=1, far=2)
    loss, _ = video_infonce(z, *video_pairs(known), temperature=0.2)
    loss.backward()  # type: ignore[no-untyped-call]
    assert float(loss.detach()) == 0
    assert z.grad is not None
    assert not z.grad.any()
