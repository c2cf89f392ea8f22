"""Self-contrastive Forward-Forward follows its formula."""

from __future__ import annotations

import math

import pytest
import torch
from helpers.rows import VIDEO, mean, pairs, relation, without_positives
from torch import nn

from seqff.config import ObjectiveConfig, SCFFConfig
from seqff.objectives.negatives import pick
from seqff.objectives.scff import SCFF, fall, rise

CONFIG = ObjectiveConfig(
    same_video=0.25,
    negative_weight=2.0,
    scff=SCFFConfig(thresholds=(3.0, 0.5), penalty=0.1),
)


def maps() -> torch.Tensor:
    """Return a layer's input, (18, 2, 4, 3)."""
    return torch.randn(18, 2, 4, 3, generator=torch.Generator().manual_seed(0))


def softplus(x: float) -> float:
    """Return log(1 + exp(x))."""
    return math.log1p(math.exp(x))


def test_sums_are_of_standardised_positives_and_negatives() -> None:
    """First h_i + h_j of every positive, then h_i + h_k with k of the same video, then with k of another."""
    h, known = maps(), relation()
    sums = SCFF(CONFIG).compose(h, known)
    s = [(row - row.mean()) / torch.sqrt(row.var(unbiased=False) + 1e-5) for row in h]
    first = torch.tensor([a for a, _ in pairs()])
    same, other = (pick(mask, first)[0].tolist() for mask in (known.same_video, known.other_video))
    assert len(sums) == 3 * len(first)
    for number, (a, b) in enumerate(pairs()):
        assert torch.allclose(sums[number], s[a] + s[b], atol=1e-4)
        assert torch.allclose(sums[len(first) + number], s[a] + s[same[number]], atol=1e-4)
        assert torch.allclose(sums[2 * len(first) + number], s[a] + s[other[number]], atol=1e-4)
        assert VIDEO[same[number]] == VIDEO[a] != VIDEO[other[number]]


def test_loss_equals_the_formula_written_as_loops() -> None:
    """The loss equals loops over sums and positions of their maps."""
    term, known = SCFF(CONFIG), relation()
    layer = nn.Sequential(nn.Conv2d(2, 3, 1), nn.ReLU())
    out = layer(term.compose(maps(), known)).detach()
    loss, figures = term(out, known)
    g = [
        [sum(out[n, c, i, j].item() ** 2 for c in range(3)) / 3 for i in range(4) for j in range(3)] for n in range(45)
    ]
    expected = mean([softplus(3.0 - value) for row in g[:15] for value in row])
    expected += 0.1 * mean([math.sqrt(sum(value**2 for value in row)) for row in g[:15]])
    expected += 2.0 * 0.25 * mean([softplus(value - 0.5) for row in g[15:30] for value in row])
    expected += 2.0 * 0.75 * mean([softplus(value - 0.5) for row in g[30:] for value in row])
    assert float(loss) == pytest.approx(expected, rel=1e-4)
    assert float(figures["scff_goodness_positive"]) == pytest.approx(mean([mean(row) for row in g[:15]]), rel=1e-4)


def test_losses_worked_by_hand() -> None:
    """Goodness 1 at threshold 1 costs log 2; a map (3, 4) has length 5; rows without a negative do not count."""
    assert float(rise(torch.tensor([[1.0]]), threshold=1.0)) == pytest.approx(math.log(2))
    at = torch.tensor([[3.0, 4.0]])
    assert float(rise(at, threshold=-1e3, penalty=0.1)) == pytest.approx(0.5)
    both = torch.tensor([[2.0], [50.0]])
    assert float(fall(both, torch.tensor([True, False]), threshold=2.0)) == pytest.approx(math.log(2))


def test_a_kind_of_negatives_without_a_share_costs_no_forward_pass() -> None:
    """With negatives of one kind the layer gets two sums per positive, not three."""
    assert len(SCFF(ObjectiveConfig(same_video=0.0)).compose(maps(), relation())) == 30


def test_without_positives_the_layer_still_has_something_to_run_on() -> None:
    """One row is passed through, and the loss is 0, with a graph."""
    term, layer = SCFF(CONFIG), nn.Conv2d(2, 3, 1)
    out = layer(term.compose(maps(), without_positives()))
    loss, figures = term(out, without_positives())
    loss.backward()
    assert len(out) == 1
    assert float(loss.detach()) == 0
    assert set(figures) == {"scff_goodness_positive", "scff_goodness_negative"}


def test_training_raises_the_goodness_of_positives_above_that_of_negatives() -> None:
    """A layer trained on sums distinguishes sums of similar frames from sums of different videos."""
    h = torch.randn(3, 8, 4, 4, generator=torch.Generator().manual_seed(1))[VIDEO]
    h = h + 0.1 * torch.randn(18, 8, 4, 4, generator=torch.Generator().manual_seed(2))
    term, layer = SCFF(ObjectiveConfig(same_video=0.0)), nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.ReLU())
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.01)
    losses, figures = [], {}
    for _ in range(30):
        loss, figures = term(layer(term.compose(h, relation())), relation())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]
    assert float(figures["scff_goodness_positive"]) > 1.2 * float(figures["scff_goodness_negative"])
