"""The effect of a step of each trainer on the layers."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.small_nets import layer_weights, small_batch, small_config, small_learners

from seqff.errors import RunError
from seqff.pairs import Relation
from seqff.training import LayerLearner, build_strategy
from seqff.training.batches import Examples
from seqff.training.greedy import STORED
from seqff.training.strategies import Strategy


def source(start: int) -> Examples:
    """Yield endless batches."""
    return (small_batch(number) for number in itertools.count(start))


def moved(before: list[torch.Tensor], learners: list[LayerLearner]) -> set[int]:
    """Return layers whose weights have changed."""
    after = enumerate(zip(before, layer_weights(learners), strict=True))
    return {place // 2 for place, (a, b) in after if not torch.equal(a, b)}


def test_greedy_trains_layer_after_layer_and_freezes_what_is_finished() -> None:
    """Of 7 steps the layers get 2, 2 and 3; in each exactly one layer is trained, with its own schedule; running
    statistics of the layers below are frozen."""
    config = small_config(norm="batch", trainer="greedy", steps=7)
    learners = small_learners(config)
    trainer = build_strategy(learners, config)
    found, rates = [], []
    for step, (h, relation) in enumerate(itertools.islice(trainer.examples(source, 0), 7)):
        before = layer_weights(learners)
        statistics = [{k: v.clone() for k, v in learner.layer.named_buffers()} for learner in learners]
        assert [learner.name for learner in trainer.step(step, h, relation)] == [f"layer{learners_turn(step)}"]
        found.append(moved(before, learners))
        rates.append(trainer.rate(step))
        for number, learner in enumerate(learners, start=1):
            same = all(torch.equal(v, statistics[number - 1][k]) for k, v in learner.layer.named_buffers())
            assert same == (number != learners_turn(step) or number == 1)  # the first layer has no norm
    assert found == [{0}, {0}, {1}, {1}, {2}, {2}, {2}]
    assert rates[0] == rates[2] == rates[4] == config.optim.lr


def learners_turn(step: int) -> int:
    """Return the number of the layer, from 1, that learns at a step of 7."""
    return 1 + step // 2 if step < 4 else 3


def test_greedy_cache_gives_the_layers_what_computing_it_gives(tmp_path: Path) -> None:
    """All losses of a cached run equal those of recomputing the same batches, up to bfloat16 rounding; if layers
    compute in bfloat16, exactly. The cache holds one layer's inputs at a time and is removed at the end."""
    for precision, off in (("fp32", 2e-2), ("bf16", 0.0)):
        config = small_config(trainer="greedy", greedy_cache=2, steps=12)
        config = dataclasses.replace(config, precision=precision)
        learners = small_learners(config)
        trainer = build_strategy(learners, config, cache=tmp_path / "cache")
        cached = []
        for step, (h, relation) in enumerate(trainer.examples(source, 0)):
            (learner,) = trainer.step(step, h, relation)
            cached.append(float(learner.metrics["loss"]))
            assert len(list(tmp_path.glob("cache/*"))) == (step >= 4)
        assert not (tmp_path / "cache").exists()

        learners = small_learners(config)
        trainer = build_strategy(learners, dataclasses.replace(config, greedy_cache=0))
        plain = []
        for step in range(12):
            (learner,) = trainer.step(step, *small_batch(step if step < 4 else step % 2))
            plain.append(float(learner.metrics["loss"]))
        assert cached == pytest.approx(plain, abs=off)
        assert cached[:4] == plain[:4]


def test_a_greedy_cache_filled_at_once_holds_the_same_bits(tmp_path: Path) -> None:
    """A run resumed at the third layer reads the same cached inputs as an uninterrupted one."""
    config = small_config(trainer="greedy", greedy_cache=2, steps=12)
    learners = small_learners(config)

    def at_step_8(trainer: Strategy, start: int) -> tuple[torch.Tensor, Relation]:
        examples = trainer.examples(source, start)
        for step, example in zip(range(start, 12), examples, strict=False):
            if step == 8:
                examples.close()
                return example
            trainer.step(step, *example)
        raise AssertionError

    straight = at_step_8(build_strategy(learners, config, cache=tmp_path / "a"), 0)
    resumed = at_step_8(build_strategy(learners, config, cache=tmp_path / "b"), 8)
    assert torch.equal(straight[0], resumed[0])
    assert torch.equal(straight[0], straight[0].to(STORED).float())
    assert torch.equal(straight[1].same_video, resumed[1].same_video)
    assert not any(tmp_path.iterdir())


def test_a_full_disk_stops_the_greedy_cache_in_words(tmp_path: Path) -> None:
    """Too many batches for the disk: an error states the space needed, and nothing is left behind."""
    config = small_config(trainer="greedy", greedy_cache=10**12, steps=3 * 10**12)
    trainer = build_strategy(small_learners(config), config, cache=tmp_path / "cache")
    with pytest.raises(RunError, match=r"take \d+\.\d GB.*lower greedy_cache"):
        next(trainer.examples(source, 10**12))
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("trainer", ["end_to_end", "end_to_end_sum"])
def test_end_to_end_moves_all_layers_at_once(trainer: str) -> None:
    """One step trains every layer. The heads below the last are trained only by the sum of all losses."""
    config = small_config(trainer=trainer)
    learners = small_learners(config)
    before, heads = layer_weights(learners), [[p.clone() for p in learner.head.parameters()] for learner in learners]
    trained = build_strategy(learners, config).step(0, *small_batch())
    assert moved(before, learners) == {0, 1, 2}
    changed = [
        any(not torch.equal(a, b) for a, b in zip(head, learner.head.parameters(), strict=True))
        for head, learner in zip(heads, learners, strict=True)
    ]
    assert changed == ([False, False, True] if trainer == "end_to_end" else [True] * 3)
    assert [learner.name for learner in trained] == [f"layer{n}" for n in (1, 2, 3) if changed[n - 1]]


@pytest.mark.parametrize("norm", ["layer", "batch"])
@pytest.mark.parametrize("trainer", ["end_to_end", "end_to_end_sum"])
def test_activation_checkpointing_changes_memory_and_nothing_else(trainer: str, norm: str) -> None:
    """Three steps end at the same weights and the same running statistics (a batch is not counted twice)."""

    def trained(recompute: bool) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        config = small_config(norm=norm, trainer=trainer, activation_checkpointing=recompute)
        learners = small_learners(config)
        one = build_strategy(learners, config)
        for step in range(3):
            one.step(step, *small_batch(step))
        return layer_weights(learners), [buffer for learner in learners for buffer in learner.layer.buffers()]

    for a, b in zip(trained(False), trained(True), strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"activation_checkpointing": True}, "is for trainer='end_to_end'"),
        ({"activation_checkpointing": True, "trainer": "greedy"}, "keeps one layer's anyway"),
        ({"compile": True, "trainer": "overlap"}, "leave compile out"),
        ({"greedy_cache": 2}, "is for trainer='greedy'"),
        ({"greedy_cache": -1, "trainer": "greedy"}, "or 0 for none, got -1"),
        ({"trainer": "greedy", "steps": 2}, "steps=2 is less than one for each of 3"),
        ({"trainer": "gready"}, "unknown trainer 'gready'"),
        ({"steps": -2}, "steps must be at least 1, which `train` finds by itself for 0, got -2"),
    ],
)
def test_settings_that_do_not_fit_are_named(settings: dict[str, Any], match: str) -> None:
    """A setting of another trainer is an error, and not ignored."""
    config = small_config(**settings)
    with pytest.raises(ValueError, match=match):
        build_strategy(small_learners(), config)
