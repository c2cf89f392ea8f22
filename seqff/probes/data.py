"""The arguments of a probe, and its labeled rows with their class, group, fold and features."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from seqff.errors import LabelError, RunError
from seqff.features import FeatureIndex, FeatureStore
from seqff.probes.labels import ROW_WORDS, check_classes, read_groups, read_labels
from seqff.probes.segments import has_segments, label_rows
from seqff.probes.softmax import lambda_path
from seqff.probes.splits import DEFAULT_FOLDS, Fold, check_folds, check_splits, make_folds, read_splits

PIXELS = "pixels"
BASELINES = ("untrained", "end_to_end", "supervised")
"""Baseline encoders; their arrays are named BASELINE/LAYER."""
LEAK = "frames assigned to folds at random: the score measures memorization"
WITHIN = "frames of one video train and test: the score is for other frames of the same videos, not for other videos"

Groups = str | os.PathLike[str] | Mapping[str, str] | None
Source = tuple[FeatureStore, str]
"""A store and the name of an array in it."""
Names = NDArray[np.str_]
Places = NDArray[np.int64]


@dataclass(frozen=True)
class ProbeConfig:
    """Arguments of a probe; see `probe`."""

    labels: str | os.PathLike[str] | Mapping[str, str]
    column: str = "label"
    groups: Groups = None
    splits: str | os.PathLike[str] | None = None
    folds: int | None = None
    seed: int = 0
    allow_leak: bool = False
    split_frames: str | None = None

    @property
    def leaks(self) -> bool:
        """Whether frames are assigned to folds at random."""
        return self.allow_leak and self.groups in ROW_WORDS

    @property
    def within_videos(self) -> bool:
        """Whether frames of one video may be on both sides of a split."""
        return self.leaks or self.split_frames is not None


@dataclass(frozen=True)
class ProbeData:
    """The labeled rows, the same for every array of features. Below, `row` means labeled row.

    Args:
        config: arguments of the probe.
        paths: (videos,) path of each video.
        hashes: (videos,) content hash of each video.
        groups: (videos,) group of each video.
        rows: (n,) index of each labeled row among all rows.
        video: (n,) index of each row's video.
        name: (n,) class name of each row.
        unit: (n,) group number of each row; a unit stays on one side when lambda is chosen.
        video_folds: splits of the videos; empty if frames are split inside videos.
        folds: the same splits of the rows.
        stores: one for all folds, or one per fold, whose encoder was trained without the fold's test videos. All
            have the same rows. Empty until features exist.
        sources: for each reported array name, where the array is stored: one source, or one per fold.
    """

    config: ProbeConfig
    paths: tuple[str, ...]
    hashes: tuple[str, ...]
    groups: tuple[str, ...]
    rows: Places
    video: Places
    name: Names
    unit: Places
    video_folds: tuple[Fold, ...]
    folds: tuple[Fold, ...]
    stores: tuple[FeatureStore, ...] = ()
    sources: Mapping[str, tuple[Source, ...]] = field(default_factory=dict)

    @cached_property
    def lambdas(self) -> tuple[float, ...]:
        """Candidate penalties, the same in each fold."""
        return lambda_path(len(self.rows))

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, sorted; class numbers index into it."""
        return tuple(map(str, np.unique(self.name)))

    @cached_property
    def label(self) -> Places:
        """(rows,) class numbers."""
        return np.unique(self.name, return_inverse=True)[1].astype(np.int64)

    @cached_property
    def order(self) -> Places:
        """(predictions,) permutation from fold-by-fold order into the order of the rows."""
        return np.argsort(np.concatenate([fold.test for fold in self.folds]), kind="stable")

    @cached_property
    def tested(self) -> Places:
        """(predictions,) row of each prediction: every row once, or with official splits as often as they test it."""
        return np.concatenate([fold.test for fold in self.folds])[self.order]

    @cached_property
    def tested_fold(self) -> Places:
        """(predictions,) fold of each prediction."""
        return np.repeat(np.arange(len(self.folds)), [len(fold.test) for fold in self.folds])[self.order]

    def by_video(self, values: NDArray[np.bool_] | NDArray[np.float64]) -> NDArray[np.float64]:
        """Sum a value per prediction, (predictions,), over the predictions of each tested video, (tested videos,)."""
        _, place = np.unique(self.video[self.tested], return_inverse=True)
        return np.bincount(place, weights=values).astype(np.float64)

    def source(self, name: str, fold: int) -> Source:
        """The source of an array for a fold."""
        sources = self.sources[name]
        return sources[fold % len(sources)]

    def read(self, source: Source) -> NDArray[np.float32]:
        """Read the labeled rows of an array; raises RunError if a value is not finite."""
        store, name = source
        features = finite(store, name, store.to_numpy(name), np.arange(len(store)))
        return features if len(self.rows) == len(features) else features[self.rows]

    @cached_property
    def narrowest(self) -> int:
        """Width of the narrowest layer of the trained encoder."""
        layers = [name for name in self.sources if name != PIXELS and "/" not in name]
        return min(map(self.width, layers or self.sources))

    def width(self, name: str) -> int:
        """Width of an array."""
        store, own = self.sources[name][0]
        return int(store.meta["arrays"][own]["width"])


def finite(store: FeatureStore, name: str, x: NDArray[np.float32], rows: Places) -> NDArray[np.float32]:
    """Return rows of an array, (n, D), whose indices in the store are `rows`, (n,), if all values are finite.

    Raises:
        RunError: a value is not finite.
    """
    fine = np.isfinite(x).all(axis=1)
    if not fine.all():
        video = store.index.video[int(rows[int(np.argmin(fine))])]
        raise RunError(f"{name} of {store.path} is not finite at {video}; the network diverged in training")
    return x


def read_data(
    stores: Sequence[FeatureStore], config: ProbeConfig, sources: Mapping[str, tuple[Source, ...]]
) -> ProbeData:
    """Read labels and groups, split the videos, and check that the sides of a split are disjoint; see `split_data`.

    Raises:
        RunError: the stores do not hold the same rows.
    """
    store = stores[0]
    check_same_rows([store, *(other for parts in sources.values() for other, _ in parts)])
    paths = [video.path for video in store.videos]
    hashes = [video.content_hash for video in store.videos]
    data = split_data(paths, hashes, store.index, config, without_features=store.skipped)
    return replace(data, stores=tuple(stores), sources=sources)


def split_data(
    paths: Sequence[str],
    hashes: Sequence[str],
    index: FeatureIndex | None,
    config: ProbeConfig,
    *,
    without_features: Collection[str],
) -> ProbeData:
    """Read labels, groups and splits from videos and rows alone, and check that the sides of a split are disjoint.

    `index` is None if each video is a row. Tables may also name the videos in `without_features`.

    Raises:
        LabelError: labels, groups or splits do not fit the videos, or the videos cannot be split.
    """
    number = {path: place for place, path in enumerate(paths)}
    of_row = np.arange(len(paths)) if index is None else np.array([number[path] for path in index.video], dtype=int)
    names = _names(paths, index, config, of_row, without_features)
    rows = np.array([row for row, name in enumerate(names) if name is not None], dtype=np.int64)
    video, name = of_row[rows], np.array([names[row] for row in rows])
    asked = None if config.leaks else config.groups
    groups = read_groups(paths, asked, content_hashes=hashes, without_features=without_features)
    if config.within_videos:
        unit, video_folds = np.arange(len(rows)), []
        folds = _random_folds(name, config) if config.leaks else _frame_fold(index, rows, name, config)
    else:
        unit = np.unique(np.array(groups), return_inverse=True)[1][video]
        # Each video is assigned with its class; if parts of videos are labeled, with each of its classes.
        dealt = sorted(set(zip(video.tolist(), name.tolist(), strict=True)))
        classes, homes = [label for _, label in dealt], [groups[place] for place, _ in dealt]
        check_classes(classes, homes)
        if config.splits is None:
            rng = np.random.default_rng([config.seed, 0])
            places = np.array([place for place, _ in dealt])
            made = make_folds(classes, homes, folds=config.folds, rng=rng)
            video_folds = [
                Fold(fold.name, np.unique(places[fold.train]), np.unique(places[fold.test])) for fold in made
            ]
        elif config.folds is not None:
            raise ValueError("splits and folds exclude each other; a file of splits says how many there are")
        else:
            video_folds = read_splits(paths, config.splits, without_features=without_features)
        check_folds(video_folds, groups, paths, hashes, once=False)
        sides = [[np.flatnonzero(np.isin(video, part)) for part in (fold.train, fold.test)] for fold in video_folds]
        folds = [Fold(fold.name, *side) for fold, side in zip(video_folds, sides, strict=True)]
        if config.splits is not None:
            check_splits(folds, name.tolist())
    of_videos = (tuple(paths), tuple(hashes), tuple(groups))
    return ProbeData(config, *of_videos, rows, video, name, unit, tuple(video_folds), tuple(folds))


def check_same_rows(stores: Sequence[FeatureStore]) -> None:
    """Raise RunError unless row i has the same frames of the same video in all stores."""
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


def _names(
    paths: Sequence[str],
    index: FeatureIndex | None,
    config: ProbeConfig,
    of_row: Places,
    without_features: Collection[str],
) -> list[str | None]:
    """Class of each row; None if it has none."""
    labels = config.labels
    if labels == "video":
        if config.split_frames is None:
            raise LabelError(
                "labels 'video' makes each video a class, which only frames inside it can train: give split_frames"
            )
        return [paths[place] for place in of_row]
    if not isinstance(labels, Mapping) and has_segments(labels):
        if index is None or len(index) == len(paths):
            raise LabelError(
                f"{labels} labels parts of videos, but the features have one row a video; extract a row a frame (per "
                "frame) or a row a clip"
            )
        return label_rows(index, paths, Path(labels), column=config.column, without_features=without_features)
    found = read_labels(paths, labels, column=config.column, without_features=without_features)
    return [found[place] for place in of_row]


def _frame_fold(index: FeatureIndex | None, rows: Places, name: Names, config: ProbeConfig) -> list[Fold]:
    """Split frames inside videos: every n-th frame of each video trains, all others test."""
    asked = str(config.split_frames)
    word, _, number = asked.partition(":")
    if word != "every" or not number.isdecimal() or int(number) < 2:
        raise ValueError(f"split_frames is {asked!r}; give every:N with N of 2 or more (every N-th frame trains)")
    if any(given is not None for given in (config.groups, config.splits, config.folds)):
        raise ValueError("split_frames splits inside videos: leave groups, splits and folds out")
    if index is None or len(index) == len(set(index.video)) or (index.frames != 1).any():
        raise LabelError(
            f"split_frames={asked} splits frames, but the features do not have a row a frame; extract them with "
            "--per frame"
        )
    trains = index.frame[rows] % int(number) == 0
    fold = Fold(asked, np.flatnonzero(trains), np.flatnonzero(~trains))
    if not len(fold.train) or not len(fold.test):
        raise LabelError(f"split_frames={asked}: no frame is left to {'test' if len(fold.train) else 'train'}")
    check_splits([fold], name.tolist())
    return [fold]


def _random_folds(name: Names, config: ProbeConfig) -> list[Fold]:
    """Assign rows, not videos, to folds at random; the protocol refuses this unless `allow_leak` is set."""
    if config.splits is not None:
        raise ValueError("splits and groups='frame' exclude each other; give one of them")
    count = DEFAULT_FOLDS if config.folds is None else config.folds
    if not 2 <= count <= len(name):
        raise ValueError(f"folds is {count}; it must be 2 to {len(name)}, the number of rows")
    side = np.random.default_rng([config.seed, 0]).permutation(len(name)) % count
    names = [f"{number}/{count}" for number in range(1, count + 1)]
    return [Fold(name, np.flatnonzero(side != k), np.flatnonzero(side == k)) for k, name in enumerate(names)]
