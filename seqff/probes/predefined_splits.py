"""Official splits: a file that says which videos train and which test, as published with a data set."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np

from seqff.errors import LabelError
from seqff.probes.labels import align, listing, read_table
from seqff.probes.splits import Fold

PREFIX = "split"
SIDES = ("train", "test", "unused")


def read_splits(
    videos: Sequence[str], path: str | os.PathLike[str], *, without_features: Collection[str] = ()
) -> list[Fold]:
    """Read splits of videos.

    Args:
        videos: paths of the videos; folds number them by place.
        path: a CSV file with the column `video` and one column a split, each name beginning with "split" (`split`, or
            `split1,split2,split3`), that say train, test or unused.
        without_features: further videos that the file may name.

    Returns:
        One fold a column, named as the column.

    Raises:
        LabelError: an unreadable file, no split in it, another word, or a side without a video.
    """
    file = Path(path)
    rows = read_table(file, ("video",))
    columns = [name for name in (rows[0][1] if rows else {}) if name.startswith(PREFIX)]
    if not columns:
        raise LabelError(
            f"{file} has no column whose name begins with {PREFIX!r}; give video,split or video,split1,..."
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
    """Make sure that each split can be probed.

    Args:
        folds: splits of samples.
        labels: class of each sample.

    Raises:
        LabelError: a class is tested that is not trained, or one class alone is trained.
    """
    names = np.asarray(labels)
    for fold in folds:
        trained, tested = set(names[fold.train]), set(names[fold.test])
        if len(trained) < 2:
            raise LabelError(f"{fold.name}: the training part has one class only; a probe needs 2 or more")
        unknown = sorted(map(str, tested - trained))
        if unknown:
            raise LabelError(f"{fold.name}: {listing(unknown, 'class', 'classes')} tested but not in the training part")
