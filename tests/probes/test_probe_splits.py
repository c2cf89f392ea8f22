"""Splits are by whole videos and groups."""

from __future__ import annotations

import numpy as np
import pytest

from seqff.errors import LabelError
from seqff.probes import Fold, make_folds
from seqff.probes.model_selection import selection_folds
from seqff.probes.splits import check_folds, deal_groups


def random_set(seed: int) -> tuple[list[str], list[str]]:
    rng = np.random.default_rng(seed)
    groups = rng.integers(0, rng.integers(8, 40), size=200)
    labels = rng.choice(5, size=200, p=[0.4, 0.3, 0.15, 0.1, 0.05])
    return [f"class{label}" for label in labels], [f"group{group}" for group in groups]


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("folds", [None, 2, 5])
def test_no_group_is_on_both_sides_and_each_sample_is_tested_once(seed: int, folds: int | None) -> None:
    """Train and test groups are disjoint in every fold, and the test parts are a partition of the samples."""
    labels, groups = random_set(seed)
    made = make_folds(labels, groups, folds=folds, rng=np.random.default_rng(seed))
    named = np.array(groups)
    for fold in made:
        assert not set(named[fold.train]) & set(named[fold.test])
        assert len(fold.train) + len(fold.test) == len(labels)
    assert sorted(np.concatenate([fold.test for fold in made])) == list(range(len(labels)))


def test_every_class_tested_is_trained_on() -> None:
    """With k folds, no fold tests a class that its training part lacks, however rare the class."""
    labels = ["a"] * 30 + ["b"] * 28 + ["rare"] * 2
    groups = [f"g{number}" for number in range(60)]
    for seed in range(20):
        for fold in make_folds(labels, groups, folds=5, rng=np.random.default_rng(seed)):
            assert {labels[i] for i in fold.test} <= {labels[i] for i in fold.train}


def test_folds_spread_classes_evenly() -> None:
    """Where the groups allow it, each of k folds holds the same number of samples of each class."""
    label = np.repeat(np.arange(4), 15)
    fold_of = deal_groups(np.arange(60), label, 5, np.random.default_rng(0))
    spread = np.zeros((5, 4), dtype=np.int64)
    np.add.at(spread, (fold_of, label), 1)
    assert (spread == 3).all()


def test_number_of_folds_follows_number_of_groups() -> None:
    """Up to 20 groups each is left out once, in a fold that bears its name; with more there are 5 folds."""
    few = make_folds(["a", "b"] * 10, [f"g{i // 2}" for i in range(20)], folds=None, rng=np.random.default_rng(0))
    many = make_folds(["a", "b"] * 30, [f"g{i // 2}" for i in range(60)], folds=None, rng=np.random.default_rng(0))
    assert [fold.name for fold in few] == [f"g{i}" for i in range(10)]
    assert [fold.name for fold in many] == ["1/5", "2/5", "3/5", "4/5", "5/5"]


def test_same_seed_same_folds() -> None:
    """Folds are a function of labels, groups and seed."""
    labels, groups = random_set(3)
    one, two = (make_folds(labels, groups, folds=4, rng=np.random.default_rng(7)) for _ in range(2))
    assert all(np.array_equal(a.test, b.test) for a, b in zip(one, two, strict=True))


def test_the_check_catches_a_leak() -> None:
    """A fold that shares a video between training and test is refused by name, whoever made it."""
    rows = np.arange(4)
    folds = [Fold("x", rows[:2], rows[2:]), Fold("y", rows[2:], rows[:2])]
    check_folds(folds, ["a", "b", "c", "d"])
    with pytest.raises(LabelError, match=r"fold x: 'same' would be in training and in test"):
        check_folds(folds, ["a", "same", "same", "d"])
    with pytest.raises(LabelError, match="test 2 of 4 samples"):
        check_folds(folds[:1], ["a", "b", "c", "d"])


@pytest.mark.parametrize(
    ("folds", "kind", "text"),
    [(1, ValueError, "folds is 1; it must be 2 or more"), (9, LabelError, "9 folds of 4 groups")],
)
def test_impossible_numbers_of_folds(folds: int, kind: type[Exception], text: str) -> None:
    """A number of folds that cannot be is refused with what can be."""
    with pytest.raises(kind, match=text):
        make_folds(["a", "b", "a", "b"], ["1", "2", "3", "4"], folds=folds, rng=np.random.default_rng(0))


def test_class_that_cannot_be_spread() -> None:
    """If groups force a class to one side in every dealing, the error names the class."""
    labels = ["a", "b", "a", "b", "c", "c"]
    groups = ["1", "1", "2", "2", "3", "3"]
    with pytest.raises(LabelError, match="class 'c'"):
        make_folds(labels, groups, folds=2, rng=np.random.default_rng(0))


@pytest.mark.parametrize("rows", [300, 6000])
def test_inner_splits_keep_groups_whole(rows: int) -> None:
    """Rows that lambda is judged on share no group with the rows it is fitted on, in folds and in a hold-out alike."""
    rng = np.random.default_rng(0)
    groups, labels = rng.integers(0, 12, rows), rng.integers(0, 3, rows)
    cuts = selection_folds(labels, groups, rng)
    assert len(cuts) == (4 if rows == 300 else 1)
    for fit, held in cuts:
        assert not set(groups[fit]) & set(groups[held])
        assert len(fit) + len(held) == rows
