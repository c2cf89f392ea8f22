"""The temporal hinge follows its formula."""

from __future__ import annotations

import pytest
import torch

from seqff.objectives import Tolerance, temporal_hinge
from seqff.pairs import relate


def batch(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return random embeddings of three videos of eight frames."""
    z = torch.randn(24, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return z, torch.arange(24) // 8, torch.arange(24) % 8


def test_loss_equals_the_formula_written_as_loops() -> None:
    """Loss and metrics equal loops over all pairs of rows."""
    z, video, time = batch()
    loss, figures = temporal_hinge(
        z, relate(video, time, gap=2, far=5), tolerance=0.7, margin=1.5, negative_weight=2.0, same_video=0.25
    )
    u = z / z.norm(dim=1, keepdim=True)
    positive, same, other = [], [], []
    for i in range(24):
        for j in range(24):
            d = float((u[i] - u[j]).square().sum())
            if video[i] != video[j]:
                other.append(d)
            elif time[j] - time[i] == 2:
                positive.append(d)
            elif abs(time[j] - time[i]) >= 5:
                same.append(d)

    def mean(values: list[float]) -> float:
        return sum(values) / len(values)

    expected = mean([max(0, d - 0.7) for d in positive])
    expected += 2.0 * 0.25 * mean([max(0, 1.5 - d) for d in same]) + 2.0 * 0.75 * mean([max(0, 1.5 - d) for d in other])
    assert float(loss) == pytest.approx(expected, rel=1e-5)
    assert float(figures["positive_distance"]) == pytest.approx(mean(positive), rel=1e-5)
    assert float(figures["same_video_distance"]) == pytest.approx(mean(same), rel=1e-5)
    assert float(figures["other_video_distance"]) == pytest.approx(mean(other), rel=1e-5)
    assert float(figures["within_tolerance"]) == pytest.approx(mean([d <= 0.7 for d in positive]))


def test_frames_in_between_feel_no_force() -> None:
    """Frames of one video that are neither `gap` nor `far` apart have no gradient on each other."""
    z, time = torch.randn(2, 4, requires_grad=True), torch.tensor([0, 3])
    relation = relate(torch.zeros(2, dtype=torch.long), time, gap=1, far=5)
    loss, _ = temporal_hinge(z, relation, tolerance=0.0, margin=4.0)
    loss.backward()
    assert torch.count_nonzero(z.grad) == 0


def test_within_tolerance_and_beyond_margin_nothing_moves() -> None:
    """Positives within delta and negatives beyond the margin give loss 0 and gradient 0."""
    z = torch.tensor([[1.0, 0.0], [1.0, 0.1], [-1.0, 0.0], [-1.0, 0.1]], requires_grad=True)
    relation = relate(torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 0, 1]), gap=1, far=5)
    loss, _ = temporal_hinge(z, relation, tolerance=0.1, margin=3.0)
    loss.backward()
    assert loss.item() == 0
    assert torch.count_nonzero(z.grad) == 0


def test_a_batch_without_a_kind_of_pair_is_finite() -> None:
    """No negatives of the same video, or no positives at all, give finite losses, not 0 / 0."""
    z = torch.randn(4, 3)
    relation = relate(torch.arange(4), torch.zeros(4, dtype=torch.long), gap=1, far=2)
    loss, figures = temporal_hinge(z, relation, tolerance=Tolerance(0.1), margin=1.0)
    assert bool(torch.isfinite(loss))
    assert all(bool(torch.isfinite(value)) for value in figures.values())


def test_embeddings_of_zero_give_finite_gradients() -> None:
    """A layer with only dead units outputs zeros; the loss and its gradient stay finite."""
    z = torch.zeros(4, 3, requires_grad=True)
    relation = relate(torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 0, 1]), gap=1, far=2)
    loss, _ = temporal_hinge(z, relation, tolerance=0.1, margin=1.0)
    loss.backward()
    assert bool(torch.isfinite(z.grad).all())
