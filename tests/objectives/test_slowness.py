"""Slowness is slow feature analysis: its values, its invariance, its published example."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from helpers.rows import embeddings, pairs, relation
from scipy.linalg import eigh

from seqff.objectives.slowness import NOISE, Slowness, slowness


@pytest.mark.parametrize("noise", [0.0, 0.3, NOISE])
def test_loss_is_the_mean_of_the_generalised_eigenvalues(noise: float) -> None:
    """SFA solves (C' - lambda C) w = 0, C' of the changes and C of the rows; the loss is the mean lambda."""
    z = embeddings(3)
    x, y = z[[a for a, _ in pairs()]], z[[b for _, b in pairs()]]
    rows = torch.cat([x, y]).double().numpy()
    rows = rows - rows.mean(axis=0)
    changes = (x - y).double().numpy()
    spread, fast = rows.T @ rows / len(rows), changes.T @ changes / len(changes)
    extra = noise * np.trace(spread) / 3 * np.eye(3)
    values = eigh(fast + 2 * extra, spread + extra, eigvals_only=True)
    assert float(slowness(x, y, noise=noise)) == pytest.approx(values.mean(), rel=1e-4)
    if noise == NOISE:
        loss, _ = Slowness()(z, relation())
        assert float(loss) == pytest.approx(values.mean(), rel=1e-4)


def test_one_dimension_worked_by_hand() -> None:
    """Variance 1: unchanged rows give 0, opposite ones 2 ** 2 = 4, changes 0, 2, 2, 0 the mean square 2."""
    x = torch.tensor([[1.0], [1.0], [-1.0], [-1.0]])
    assert float(slowness(x, x)) == pytest.approx(0, abs=1e-6)
    assert float(slowness(x, -x)) == pytest.approx(4)
    assert float(slowness(x, torch.tensor([[1.0], [-1.0], [1.0], [-1.0]]))) == pytest.approx(2)


def test_no_invertible_linear_map_changes_it() -> None:
    """Shrinking, rotating or shearing the embedding does not lower the loss."""
    z = embeddings(3)
    x, y = z[[a for a, _ in pairs()]], z[[b for _, b in pairs()]]
    shear = torch.tensor([[1.0, 2.0, 0.0], [0.0, 0.1, 0.5], [0.3, 0.0, 3.0]])
    assert float(slowness(x @ shear, y @ shear)) == pytest.approx(float(slowness(x, y)), rel=1e-3)
    small, large = (float(slowness(scale * x, scale * y, noise=0.1)) for scale in (0.01, 10.0))
    assert small == pytest.approx(large, rel=1e-3)


def test_a_dead_dimension_counts_as_fast() -> None:
    """Collapsing one of two slow directions raises the loss to about that of noise, (0 + 2) / 2."""
    x = torch.randn(50, 2, generator=torch.Generator().manual_seed(0))
    dead = x * torch.tensor([1.0, 0.0])
    assert float(slowness(x, x, noise=0.01)) < 0.05
    assert float(slowness(dead, dead, noise=0.01)) == pytest.approx(1.0, abs=0.02)


def test_more_dimensions_than_rows_are_finite() -> None:
    """A batch of 15 pairs of 40 dimensions, and one of a single pair, have finite losses and gradients."""
    for rows in (slice(None), slice(1)):
        z = embeddings(40).requires_grad_()
        known = relation()
        few = type(known)(known.positive[rows], known.same_video, known.other_video)
        loss, _ = Slowness()(z, few)
        loss.backward()
        assert bool(torch.isfinite(loss))
        assert bool(torch.isfinite(z.grad).all())


def test_gradients_find_the_slow_feature_of_the_published_example() -> None:
    """Wiskott and Sejnowski 2002, section 4.1: of x1 = sin t + cos(11 t) ** 2, x2 = cos(11 t), quadratically expanded,
    the slowest feature is x1 - x2 ** 2 = sin t."""
    t = torch.linspace(0, 2 * torch.pi, 2000)
    one, two = torch.sin(t) + torch.cos(11 * t) ** 2, torch.cos(11 * t)
    expanded = torch.stack([one, two, one * two, one**2, two**2], dim=1)
    expanded = (expanded - expanded.mean(dim=0)) / expanded.std(dim=0)
    weight = torch.randn(5, 1, generator=torch.Generator().manual_seed(0)).requires_grad_()
    optimizer = torch.optim.Adam([weight], lr=0.05)
    for _ in range(400):
        y = expanded @ weight
        loss = slowness(y[:-1], y[1:])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    found = (expanded @ weight).detach()[:, 0]
    correlation = torch.corrcoef(torch.stack([found, torch.sin(t)]))[0, 1]
    assert abs(float(correlation)) > 0.99
