"""The check without labels: its definition, and that every training logs it with the untrained net."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from helpers.small_runs import CONFIG, metrics

from seqff.train import train
from seqff.training.callbacks.alarms import Alarms
from seqff.training.callbacks.check import due, retrieval, time_order

VIDEO = torch.tensor([0, 0, 0, 1, 1, 1])
TIME = torch.tensor([0, 1, 9, 0, 1, 9])


def relations() -> tuple[torch.Tensor, torch.Tensor]:
    """Return two masks: same video; same video and at least 5 apart."""
    same = VIDEO[:, None] == VIDEO
    return same, same & ((TIME[:, None] - TIME).abs() >= 5)


def test_retrieval_counts_frames_whose_nearest_distant_frame_is_their_own() -> None:
    """Computed by hand on a line: of six frames, the two of video 0 at the left and all of video 1 find their video."""
    x = torch.tensor([[0.0], [0.1], [1.0], [3.0], [3.1], [2.5]])
    same, distant = relations()
    # 0 and 0.1 have 1.0 nearest; 1.0 has 0.1 (0.9 off) before 2.5 (1.5 off); 3.0 and 3.1 have 2.5; 2.5 has 3.0
    assert float(retrieval(torch.cdist(x, x), distant, ~same)) == 1.0
    x[2] = 2.4  # now closer to 2.5 than to its own, and 2.5 closer to it than to 3.0
    assert float(retrieval(torch.cdist(x, x), distant, ~same)) == pytest.approx(4 / 6)


def test_time_order_equals_loops_over_triples() -> None:
    """Equals a loop over all triples of one video in which the second frame is closer in time than the third."""
    x = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
    d, same = torch.cdist(x, x), relations()[0]
    right = count = 0
    for i in range(6):
        for j in range(6):
            for k in range(6):
                if VIDEO[i] == VIDEO[j] == VIDEO[k] and 0 < abs(TIME[j] - TIME[i]) < abs(TIME[k] - TIME[i]):
                    count += 1
                    right += bool(d[i, j] < d[i, k])
    assert float(time_order(d, same, TIME)) == pytest.approx(right / count)


def test_quarters_of_a_training_are_checked() -> None:
    """The check is due after each quarter of the steps; never if their number is unknown."""
    assert [step for step in range(1, 41) if due(step, 40)] == [10, 20, 30, 40]
    assert not any(due(step, 0) for step in range(100))


def test_every_training_says_it_beside_the_untrained_net(manifest: Path, tmp_path: Path) -> None:
    """Each layer has both metrics in the last line, between 0 and 1, and the untrained ones never change."""
    run = train(manifest, out=tmp_path / "run", config=CONFIG, progress=False)
    lines = [line for line in metrics(tmp_path / "run") if "layer1/retrieval" in line]
    assert [line["step"] for line in lines] == [10, 20, 30, 40]
    for name in ("retrieval", "time_order"):
        for layer in ("layer1", "layer2"):
            assert 0 <= run.metrics[f"{layer}/{name}"] <= 1
            assert len({line[f"{layer}/untrained_{name}"] for line in lines}) == 1


@pytest.mark.parametrize(
    ("now", "before", "raised"),
    [(0.83, 0.96, True), (0.45, 0.51, False), (1.0, 0.97, False), (0.98, 0.99, False), (0.5, 0.97, True)],
)
def test_a_layer_below_its_untrained_self_is_said_once(now: float, before: float, raised: bool) -> None:
    """Twice as many misses raise the alarm; slightly more do not, nor a few instead of none."""
    alarms = Alarms(warmup=0)
    line = {"layer3/retrieval": now, "layer3/untrained_retrieval": before}
    said = [alarm for step in (10, 20) for alarm in alarms.hear({"step": step, **line})]
    assert [alarm.kind for alarm in said] == ["below_untrained"] * raised
    assert not any(alarm.collapse for alarm in said)
    if raised:
        assert f"in {now:.0%} of the cases, before training in {before:.0%}" in said[0].text
