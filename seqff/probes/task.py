"""One probing task, the same for every array of features: what is asked, and where each fold's features lie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from seqff.errors import RunError
from seqff.features import FeatureStore
from seqff.probes.labelled_splits import LabelledSplits, ProbeConfig, read_labelled_splits
from seqff.probes.softmax import lambda_path
from seqff.probes.splits import Fold

PIXELS = "pixels"
BASELINES = ("untrained", "end_to_end", "supervised")
"""Encoders that stand beside the trained one; their arrays are named BASELINE/LAYER."""

Source = tuple[FeatureStore, str]
"""A store and the name of an array in it."""


@dataclass(frozen=True)
class Task:
    """What is asked of every array alike.

    Args:
        stores: one for all folds, or one a fold, whose encoder was trained without the fold's test videos. All have
            the same rows.
        sources: by name of the array as it is reported, where it lies: once, or for each fold.
        paths: (videos,) path of each video.
        hashes: (videos,) content hash of each video.
        config: how the probe is made.
        splits: the labelled rows and their splits; below, `row` means labelled row.
        lambdas: penalties to choose from, the same in each fold.
    """

    stores: tuple[FeatureStore, ...]
    sources: Mapping[str, tuple[Source, ...]]
    paths: tuple[str, ...]
    hashes: tuple[str, ...]
    config: ProbeConfig
    splits: LabelledSplits
    lambdas: tuple[float, ...]

    @property
    def seed(self) -> int:
        """Of inner splits and resampling."""
        return self.config.seed

    @property
    def folds(self) -> tuple[Fold, ...]:
        """Splits of the rows."""
        return self.splits.folds

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, sorted; class numbers are places in it."""
        return tuple(map(str, np.unique(self.splits.label)))

    @cached_property
    def label(self) -> NDArray[np.int64]:
        """(rows,) class numbers."""
        return np.unique(self.splits.label, return_inverse=True)[1].astype(np.int64)

    @cached_property
    def tested(self) -> NDArray[np.int64]:
        """(answers,) the row of each answer: every row once where folds are dealt, as often as official splits test it.

        In the order of the rows; `order` brings answers fold after fold into it.
        """
        return np.concatenate([fold.test for fold in self.folds])[self.order]

    @cached_property
    def order(self) -> NDArray[np.int64]:
        """(answers,) see `tested`."""
        return np.argsort(np.concatenate([fold.test for fold in self.folds]), kind="stable")

    @cached_property
    def tested_fold(self) -> NDArray[np.int64]:
        """(answers,) the fold of each answer."""
        return np.repeat(np.arange(len(self.folds)), [len(fold.test) for fold in self.folds])[self.order]

    @cached_property
    def answers(self) -> NDArray[np.float64]:
        """(tested videos,) answers of each."""
        return self.by_video(np.ones(len(self.tested)))

    def by_video(self, values: NDArray[np.bool_] | NDArray[np.float64]) -> NDArray[np.float64]:
        """Sum a value of each answer, (answers,), over the answers of each tested video, (tested videos,)."""
        _, place = np.unique(self.splits.video[self.tested], return_inverse=True)
        return np.bincount(place, weights=values).astype(np.float64)

    def store_of(self, fold: int) -> FeatureStore:
        """Where a fold's trained encoder left its features."""
        return self.stores[fold % len(self.stores)]

    def source(self, name: str, fold: int) -> Source:
        """Where a fold's part of an array lies."""
        sources = self.sources[name]
        return sources[fold % len(sources)]

    def read(self, source: Source) -> NDArray[np.float32]:
        """Read the labelled rows of an array.

        Raises:
            RunError: a value is not finite.
        """
        store, name = source
        features = store.to_numpy(name)
        finite = np.isfinite(features).all(axis=1)
        if not finite.all():
            video = store.index.video[int(np.argmin(finite))]
            raise RunError(f"{name} of {store.path} is not finite at {video}; the network diverged in training")
        return features if len(self.splits.rows) == len(features) else features[self.splits.rows]

    @cached_property
    def narrowest(self) -> int:
        """Width of the narrowest layer of the trained encoder."""
        layers = [name for name in self.sources if name != PIXELS and "/" not in name]
        widths = [self.width(name) for name in layers or self.sources]
        return min(widths)

    def width(self, name: str) -> int:
        """Width of an array."""
        store, own = self.sources[name][0]
        return int(store.meta["arrays"][own]["width"])


def make_task(stores: Sequence[FeatureStore], config: ProbeConfig, sources: Mapping[str, tuple[Source, ...]]) -> Task:
    """Read labels and groups, split the videos, and prove that nothing stands on both sides; see `probe`.

    Raises:
        LabelError: labels or groups do not fit the videos, or the videos cannot be split.
        RunError: the stores do not hold the same rows.
    """
    store = stores[0]
    check_same_rows([store, *(other for parts in sources.values() for other, _ in parts)])
    paths = [video.path for video in store.videos]
    hashes = [video.content_hash for video in store.videos]
    splits = read_labelled_splits(paths, hashes, store.index, config, without_features=store.skipped)
    lambdas = lambda_path(len(splits.rows))
    return Task(tuple(stores), sources, tuple(paths), tuple(hashes), config, splits, lambdas)


def check_same_rows(stores: Sequence[FeatureStore]) -> None:
    """Raise RunError unless row i is the same frames of the same video in all stores."""
    first = stores[0]
    content = {video.path: video.content_hash for video in first.videos}
    for store in stores[1:]:
        if store.path == first.path:
            continue
        same = store.per == first.per and store.index.video == first.index.video
        same = same and np.array_equal(store.index.frame, first.index.frame)
        same = same and np.array_equal(store.index.frames, first.index.frames)
        if not same or any(content[video.path] != video.content_hash for video in store.videos):
            raise RunError(
                f"{store.path} and {first.path} do not hold the same rows; extract the same videos with the same per, "
                "every and clip settings"
            )
