"""One probing task, the same for every array of a store: who is in which class, group and fold."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seqff.features import FeatureStore
from seqff.probes.groups import read_groups
from seqff.probes.labels import check_classes, read_labels
from seqff.probes.softmax import lambda_path
from seqff.probes.splits import Fold, check_folds, make_folds


@dataclass(frozen=True)
class Task:
    """What is asked of every array alike.

    Args:
        store: the features.
        paths: (videos,) path of each video.
        hashes: (videos,) content hash of each video.
        labels: (videos,) class of each video.
        groups: (videos,) group of each video.
        folds: splits of the videos.
        seed: of inner splits and resampling.
        classes: names of the classes, sorted; class numbers are places in it.
        lambdas: penalties to choose from, the same in each fold.
        row_video: (rows,) place in `paths` of each row's video.
        row_label: (rows,) class number.
        row_group: (rows,) group number.
    """

    store: FeatureStore
    paths: tuple[str, ...]
    hashes: tuple[str, ...]
    labels: tuple[str, ...]
    groups: tuple[str, ...]
    folds: tuple[Fold, ...]
    seed: int
    classes: tuple[str, ...]
    lambdas: tuple[float, ...]
    row_video: NDArray[np.int64]
    row_label: NDArray[np.int64]
    row_group: NDArray[np.int64]

    def by_video(self, values: NDArray[np.bool_] | NDArray[np.float64]) -> NDArray[np.float64]:
        """Sum a value of each row, (rows,), over the rows of each video, (videos,)."""
        total = np.bincount(self.row_video, weights=values, minlength=len(self.paths))
        return total.astype(np.float64)

    def fold_names(self) -> list[str]:
        """Name of the fold that tests each video."""
        names = [""] * len(self.paths)
        for fold in self.folds:
            for video in fold.test:
                names[video] = fold.name
        return names


def make_task(
    store: FeatureStore,
    *,
    labels: str | os.PathLike[str] | Mapping[str, str],
    groups: str | os.PathLike[str] | Mapping[str, str] | None,
    folds: int | None,
    seed: int,
) -> Task:
    """Read labels and groups, split the videos, and prove that nothing stands on both sides; see `probe`.

    Raises:
        LabelError: labels or groups do not fit the videos, or the videos cannot be split.
    """
    paths = [video.path for video in store.videos]
    hashes = [video.content_hash for video in store.videos]
    label_names = read_labels(paths, labels, without_features=store.skipped)
    group_names = read_groups(paths, groups, content_hashes=hashes, without_features=store.skipped)
    check_classes(label_names, group_names)
    splits = make_folds(label_names, group_names, folds=folds, rng=np.random.default_rng([seed, 0]))
    check_folds(splits, group_names, paths, hashes)
    classes, label = np.unique(np.asarray(label_names), return_inverse=True)
    _, group = np.unique(np.asarray(group_names), return_inverse=True)
    place = {path: number for number, path in enumerate(paths)}
    row_video = np.array([place[path] for path in store.index.video], dtype=np.int64)
    return Task(
        store=store,
        paths=tuple(paths),
        hashes=tuple(hashes),
        labels=tuple(label_names),
        groups=tuple(group_names),
        folds=tuple(splits),
        seed=seed,
        classes=tuple(map(str, classes)),
        lambdas=lambda_path(len(row_video)),
        row_video=row_video,
        row_label=label[row_video],
        row_group=group[row_video],
    )
