"""Monitors describe a layer without affecting its training."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from helpers.small_nets import layer_weights, small_batch, small_config, small_learners
from helpers.small_runs import WATCHED, metrics

from seqff.objectives.pairwise import squared_distances, unit
from seqff.pairs import relate
from seqff.train import train
from seqff.training.monitors import ROWS, LayerMonitor, effective_rank, feature_variance, first_rows, health

FIGURES = {
    "effective_rank",
    "feature_variance",
    "dead_units",
    "spread_positive",
    "spread_same_video",
    "spread_other_video",
}


# figures


def test_effective_rank_counts_directions() -> None:
    """The rank is the number of equally strong directions, at any scale; 1 on a line, 0 at a point; at most N - 1."""
    random = torch.Generator().manual_seed(0)
    basis = torch.linalg.qr(torch.randn(40, 40, generator=random))[0]
    rows = torch.linalg.qr(torch.randn(200, 6, generator=random))[0]
    rows = torch.linalg.qr(rows - rows.mean(dim=0))[0]
    assert float(effective_rank(rows @ basis[:6])) == pytest.approx(6, rel=1e-4)
    assert float(effective_rank(1e3 * rows @ basis[:6] + 5)) == pytest.approx(6, rel=1e-2)
    assert float(effective_rank(rows[:, :1] @ basis[:1])) == pytest.approx(1, rel=1e-4)
    assert float(effective_rank(torch.ones(20, 40))) == 0
    assert float(effective_rank(torch.randn(8, 4000, generator=random))) == pytest.approx(7, rel=0.01)


def test_feature_variance_has_no_scale() -> None:
    """0 for equal rows, 1 for rows around 0, and invariant to scale."""
    x = torch.tensor([[1.0, 1.0], [-1.0, -1.0]])
    assert float(feature_variance(x)) == pytest.approx(1)
    assert float(feature_variance(10 * x + 10)) == pytest.approx(0.5**0.5)
    assert float(feature_variance(torch.ones(3, 4))) == 0


def test_dead_units_are_channels_that_never_change() -> None:
    """Two of five channels are 0 everywhere; one that is active at a single position of one row is alive."""
    out = torch.rand(12, 5, 3, 3)
    out[:, 1:4] = 0
    out[2, 3, 1, 1] = 0.5
    assert float(health(out, None, small_batch()[1])["dead_units"]) == pytest.approx(2 / 5)


def test_spreads_are_mean_distances_of_unit_vectors() -> None:
    """Distances equal loops over positives and negatives; without a head the pooled map is the embedding."""
    out = torch.rand(12, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    video, time = torch.arange(12) // 6, torch.arange(12) % 6
    known = relate(video, time, gap=1, far=3)
    figures = health(out, None, known)
    d = squared_distances(unit(torch.nn.functional.adaptive_avg_pool2d(out, 2).flatten(1)))
    rows = [(i, j) for i in range(12) for j in range(12)]
    expected = {
        "spread_positive": [d[i, j] for i, j in rows if video[i] == video[j] and time[j] - time[i] == 1],
        "spread_same_video": [d[i, j] for i, j in rows if video[i] == video[j] and abs(time[i] - time[j]) >= 3],
        "spread_other_video": [d[i, j] for i, j in rows if video[i] != video[j]],
    }
    assert set(figures) == FIGURES
    for name, values in expected.items():
        assert float(figures[name]) == pytest.approx(float(torch.stack(values).mean()), rel=1e-5)


def test_made_up_rows_do_not_count() -> None:
    """Mixtures do not affect the metrics of a batch."""
    alone, known = small_batch()
    both, mixed = small_batch(mixtures=True)
    assert len(both) == 2 * len(alone)
    for name, value in health(both, None, mixed).items():
        assert float(value) == pytest.approx(float(health(alone, None, known)[name]), rel=1e-5), name


def test_of_a_large_batch_the_first_rows_are_looked_at() -> None:
    """Their relation is that of a batch of these rows; if they are from one video, all rows are used."""
    video, time = torch.arange(96) // 12, torch.arange(96) % 12
    some, alone = (first_rows(relate(video[:n], time[:n], gap=2, far=5), ROWS) for n in (96, ROWS))
    assert torch.equal(some.positive, alone.positive)
    assert torch.equal(some.same_video, alone.same_video)
    assert torch.equal(some.other_video, alone.other_video)
    long = relate(torch.arange(160) // 80, torch.arange(160) % 80, gap=2, far=5)
    assert first_rows(long, ROWS) is long


# monitors


@pytest.mark.parametrize("norm", ["layer", "batch", "whitening"])
def test_the_untrained_copy_stands_beside_the_layer_and_stays(norm: str) -> None:
    """Before the first step layer and copy have the same metrics; later the copy's on that batch are unchanged."""
    learner = small_learners(small_config(norm=norm))[1]
    learner.monitor = LayerMonitor(learner.layer, learner.head)
    h = torch.rand(12, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    _, known = small_batch()
    seen = []
    for step in range(6):
        learner.monitor.due = step in (0, 5)
        learner.update(h, known)
        assert ("effective_rank" in learner.metrics) == learner.monitor.due
        seen.append({name: float(value) for name, value in learner.metrics.items()})
    for name in FIGURES:
        assert seen[0][name] == pytest.approx(seen[0][f"untrained_{name}"], rel=1e-5)
        assert seen[5][f"untrained_{name}"] == pytest.approx(seen[0][name], rel=1e-5)
    assert seen[5]["spread_other_video"] != pytest.approx(seen[0]["spread_other_video"], rel=1e-2)


@pytest.mark.parametrize("norm", ["layer", "batch"])
def test_looking_changes_nothing(norm: str) -> None:
    """A layer monitored at every step ends bit-identical to one that is not, including running statistics."""
    ends = []
    for watched in (False, True):
        learners = small_learners(small_config(norm=norm))
        for learner in learners:
            learner.monitor = LayerMonitor(learner.layer, learner.head)
            learner.monitor.due = watched
        for number in range(4):
            h, known = small_batch(number)
            for learner in learners:
                h = learner.update(h, known)
        buffers = [value.clone() for learner in learners for value in learner.layer.buffers()]
        ends.append([*layer_weights(learners), *buffers])
    assert all(torch.equal(one, other) for one, other in zip(*ends, strict=True))


def test_looks_come_at_the_first_step_every_so_many_and_the_last(manifest: Path, tmp_path: Path) -> None:
    """monitor_every=4 of 10 steps: 1, 4, 8 and 10; other lines have losses, or the check of a quarter; 0 is never."""
    config = dataclasses.replace(WATCHED, steps=10, monitor_every=4, log_every=3)
    run = train(manifest, out=tmp_path / "run", config=config, progress=False).path
    looked = [line["step"] for line in metrics(run) if "layer2/effective_rank" in line]
    assert looked == [1, 4, 8, 10]
    assert [line["step"] for line in metrics(run)] == [1, 2, 3, 4, 5, 6, 8, 9, 10]
    assert {f"layer3/{prefix}{name}" for prefix in ("", "untrained_") for name in FIGURES} <= set(metrics(run)[0])
    config = dataclasses.replace(config, monitor_every=0)
    run = train(manifest, out=tmp_path / "unwatched", config=config, progress=False).path
    assert [line["step"] for line in metrics(run)] == [3, 6, 9, 10]
    assert not any("effective_rank" in name for line in metrics(run) for name in line)
    with pytest.raises(ValueError, match="0 for never"):
        train(manifest, out=tmp_path / "no", config=dataclasses.replace(config, monitor_every=-1), progress=False)
