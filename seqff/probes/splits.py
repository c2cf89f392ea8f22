"""Split videos into training and test parts by whole groups.

Folds are made by group, or read from a file of official splits, as published with a data set.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from seqff.errors import LabelError
from seqff.probes.labels import align, listing, read_table

LEAVE_ONE_OUT_UP_TO = 20
"""Up to this number of groups, the default is to leave each out in turn."""
DEFAULT_FOLDS = 5
TRIES = 50
"""Attempts at assigning groups such that each class is in every training part that needs it."""
SPLIT_PREFIX = "split"
SIDES = ("train", "test", "unused")


@dataclass(frozen=True)
class Fold:
    """One split. `train` and `test` are int64 row numbers in ascending order; `name` is the group left out or "i/k"."""

    name: str
    train: NDArray[np.int64]
    test: NDArray[np.int64]


def make_folds(
    labels: Sequence[str], groups: Sequence[str], *, folds: int | None, rng: np.random.Generator
) -> list[Fold]:
    """Split samples into folds by group: leave one group out, or k folds with the classes spread evenly.

    Args:
        labels: class of each sample.
        groups: group of each sample; a group is never divided between training and test.
        folds: number of folds; None leaves one group out for up to 20 groups and makes 5 folds for more. As many
            folds as groups is leave-one-group-out.
        rng: decides the order in which groups are assigned to folds.

    Returns:
        Folds whose test parts contain each sample exactly once.

    Raises:
        ValueError: folds is below 2.
        LabelError: more folds than groups, or a class that cannot be trained in every fold that tests it.
    """
    names, group = np.unique(np.asarray(groups), return_inverse=True)
    classes, label = np.unique(np.asarray(labels), return_inverse=True)
    if folds is None:
        folds = len(names) if len(names) <= LEAVE_ONE_OUT_UP_TO else DEFAULT_FOLDS
    if folds < 2:
        raise ValueError(f"folds is {folds}; it must be 2 or more")
    if folds > len(names):
        raise LabelError(f"{folds} folds of {len(names)} groups; give at most {len(names)} folds, or smaller groups")
    if folds == len(names):
        side = np.arange(folds)
        titles = [str(name) for name in names]
    else:
        side = _deal_covering(group, label, folds, rng, classes)
        titles = [f"{number}/{folds}" for number in range(1, folds + 1)]
    of_sample = side[group]
    parts = [(np.flatnonzero(of_sample != fold), np.flatnonzero(of_sample == fold)) for fold in range(folds)]
    result = [Fold(title, train, test) for title, (train, test) in zip(titles, parts, strict=True)]
    check_folds(result, groups)
    return result


def deal_groups(
    group: NDArray[np.int64], label: NDArray[np.int64], folds: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Assign groups to folds so that each fold gets about the same share of every class.

    Greedy, largest groups first: each group goes to the fold where the sum over classes of squared shares grows least;
    ties go to the fold with the fewest samples, so that no fold stays empty.

    Args:
        group: group number of each sample, (n,).
        label: class number of each sample, (n,).
        folds: number of folds.
        rng: order of groups of equal size.

    Returns:
        The fold of each group, (groups,) int64.
        The fold of each group, (groups,) int64.
    """
    counts = csr_matrix((np.ones(len(group)), (group, label)))  # sparse: most groups have few of many classes
    begins, shares = counts.indptr, counts.data / counts.sum(axis=0).A1[counts.indices]
    sizes = counts.sum(axis=1).A1
    order = rng.permutation(len(sizes))
    order = order[np.argsort(-sizes[order], kind="stable")]
    filled, samples = np.zeros((folds, counts.shape[1])), np.zeros(folds)
    fold_of = np.zeros(len(sizes), dtype=np.int64)
    for one in order:
        row = slice(begins[one], begins[one + 1])
        classes, share = counts.indices[row], shares[row]
        overlap = np.round(filled[:, classes] @ share, 15)
        fold = int(np.lexsort((samples, overlap))[0])
        fold_of[one] = fold
        filled[fold, classes] += share
        samples[fold] += sizes[one]
    return fold_of


def check_folds(folds: Sequence[Fold], *keys: Sequence[str], once: bool = True) -> None:
    """Check that no value of any key (group, video, content hash of each sample) is on both sides of a split.

    Raises:
        LabelError: a value is on both sides; or, with `once`, the test parts do not contain each sample exactly once.
    """
    for key in keys:
        values = np.asarray(key)
        for fold in folds:
            both = np.intersect1d(values[fold.train], values[fold.test])
            if both.size:
                raise LabelError(
                    f"fold {fold.name}: {str(both[0])!r} would be in training and in test; its frames or copies "
                    "would give the answer away. Splits are by whole videos and groups"
                )
    tested = np.sort(np.concatenate([fold.test for fold in folds]))
    if once and not np.array_equal(tested, np.arange(len(keys[0]))):
        raise LabelError(f"the folds test {tested.size} of {len(keys[0])} samples; each must be tested once")


def read_splits(
    videos: Sequence[str], path: str | os.PathLike[str], *, without_features: Collection[str] = ()
) -> list[Fold]:
    """Read official splits; the returned folds index into `videos` and are named after their columns.

    Args:
        videos: paths of the videos.
        path: a CSV file with the column `video` and one column per split, whose names begin with "split" (`split`, or
            `split1,split2,split3`) and whose values are train, test or unused.
        without_features: further videos that the file may name.

    Raises:
        LabelError: the file is unreadable, has no split or an invalid value, or a side of a split is empty.
    """
    file = Path(path)
    rows = read_table(file, ("video",))
    columns = [name for name in (rows[0][1] if rows else {}) if name.startswith(SPLIT_PREFIX)]
    if not columns:
        raise LabelError(
            f"{file} has no column whose name begins with {SPLIT_PREFIX!r}; give video,split or video,split1,..."
        )
    folds = []
    for column in columns:
        sides: dict[str, str] = {}
        for line, row in rows:
            if row[column] not in SIDES:
                raise LabelError(f"{file}, row {line}: {column} is {row[column]!r}; choose from {', '.join(SIDES)}")
            if sides.setdefault(row["video"], row[column]) != row[column]:
                raise LabelError(f"{file}, row {line}: {row['video']} is both train and test in {column}")
        side = np.array(align(videos, sides, column, str(file), without_features))
        fold = Fold(column, np.flatnonzero(side == "train"), np.flatnonzero(side == "test"))
        empty = [name for name, part in (("train", fold.train), ("test", fold.test)) if not part.size]
        if empty:
            raise LabelError(f"{file}: {column} has no video for {empty[0]}")
        folds.append(fold)
    return folds


def check_splits(folds: Sequence[Fold], labels: Sequence[str]) -> None:
    """Raise LabelError if a tested class is not trained, or if only one class is trained."""
    names = np.asarray(labels)
    for fold in folds:
        trained, tested = set(names[fold.train]), set(names[fold.test])
        if len(trained) < 2:
            raise LabelError(f"{fold.name}: the training part has one class only; a probe needs 2 or more")
        unknown = sorted(map(str, tested - trained))
        if unknown:
            raise LabelError(f"{fold.name}: {listing(unknown, 'class', 'classes')} tested but not in the training part")


def _deal_covering(
    group: NDArray[np.int64], label: NDArray[np.int64], folds: int, rng: np.random.Generator, classes: NDArray[np.str_]
) -> NDArray[np.int64]:
    """Assign groups until every class is in at least two folds."""
    for _ in range(TRIES):
        fold_of = deal_groups(group, label, folds, rng)
        there = np.zeros((folds, len(classes)), dtype=bool)
        there[fold_of[group], label] = True
        spread = there.sum(axis=0)
        if spread.min() >= 2:
            return fold_of
    raise LabelError(
        f"no {folds} folds found in which class {str(classes[spread.argmin()])!r} is in training and in test: it is in "
        "too few groups; ask for more folds (as many as groups leaves one group out), or drop the class"
    )
