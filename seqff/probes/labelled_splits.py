"""Who is in which class, group and fold: worked out before any feature is read, from videos and rows alone."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from seqff.errors import LabelError
from seqff.features import FeatureIndex
from seqff.probes.groups import ROW_WORDS, read_groups
from seqff.probes.labels import check_classes, read_labels
from seqff.probes.predefined_splits import check_splits, read_splits
from seqff.probes.segments import has_segments, label_rows
from seqff.probes.splits import DEFAULT_FOLDS, Fold, check_folds, make_folds

Groups = str | os.PathLike[str] | Mapping[str, str] | None
LEAK = "frames dealt at random: the score is that of a memory"
WITHIN = "frames of one video train and test: the score is of other frames of the same videos, not of other videos"


@dataclass(frozen=True)
class ProbeConfig:
    """How a probe is to be made; see `probe`."""

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
        """Whether frames are dealt at random."""
        return self.allow_leak and self.groups in ROW_WORDS

    @property
    def within_videos(self) -> bool:
        """Whether frames of one video stand on both sides of a split."""
        return self.leaks or self.split_frames is not None


@dataclass(frozen=True)
class LabelledSplits:
    """The labelled rows and their splits.

    Args:
        rows: (n,) places of the labelled rows among all rows.
        video: (n,) place of each one's video among the videos.
        label: (n,) class name.
        unit: (n,) what must not be parted when lambda is chosen: the number of the row's group.
        groups: (videos,) group of each video.
        video_folds: splits of the videos; empty where frames are split inside videos.
        folds: the same splits of the labelled rows.
    """

    rows: NDArray[np.int64]
    video: NDArray[np.int64]
    label: NDArray[np.str_]
    unit: NDArray[np.int64]
    groups: tuple[str, ...]
    video_folds: tuple[Fold, ...]
    folds: tuple[Fold, ...]


def read_labelled_splits(
    paths: Sequence[str],
    hashes: Sequence[str],
    index: FeatureIndex | None,
    config: ProbeConfig,
    *,
    without_features: Collection[str],
) -> LabelledSplits:
    """Read labels, groups and splits, and prove that nothing stands on both sides.

    Args:
        paths: of the videos.
        hashes: of their contents.
        index: what each row stands for; None where each video is a row.
        config: where labels, groups and splits come from.
        without_features: further videos that tables may name.

    Raises:
        LabelError: labels, groups or splits do not fit the videos, or the videos cannot be split.
    """
    number = {path: place for place, path in enumerate(paths)}
    of_row = np.arange(len(paths)) if index is None else np.array([number[path] for path in index.video], dtype=int)
    names = _names(paths, index, config, of_row, without_features)
    rows = np.array([row for row, name in enumerate(names) if name is not None], dtype=np.int64)
    video, label = of_row[rows], np.array([names[row] for row in rows])
    groups = read_groups(
        paths,
        None if config.leaks else config.groups,
        content_hashes=hashes,
        without_features=without_features,
    )
    # What is dealt: a video with its class; where parts of videos are labelled, with each of its classes.
    dealt = sorted(set(zip(video.tolist(), label.tolist(), strict=True)))
    classes, homes = [name for _, name in dealt], [groups[place] for place, _ in dealt]
    if config.within_videos:
        folds = _random_folds(label, config) if config.leaks else _frame_fold(index, rows, label, config)
        return LabelledSplits(rows, video, label, np.arange(len(rows)), tuple(groups), (), tuple(folds))
    check_classes(classes, homes)
    video_folds = _video_folds(paths, dealt, homes, config, without_features)
    check_folds(video_folds, groups, paths, hashes, once=False)
    folds = [
        Fold(fold.name, *(np.flatnonzero(np.isin(video, part)) for part in (fold.train, fold.test)))
        for fold in video_folds
    ]
    if config.splits is not None:
        check_splits(folds, label.tolist())
    _, unit = np.unique(np.array(groups), return_inverse=True)
    return LabelledSplits(rows, video, label, unit[video], tuple(groups), tuple(video_folds), tuple(folds))


def _names(
    paths: Sequence[str],
    index: FeatureIndex | None,
    config: ProbeConfig,
    of_row: NDArray[np.int64],
    without_features: Collection[str],
) -> list[str | None]:
    """Class of each row; None where it has none."""
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
        options = {"column": config.column, "without_features": without_features}
        return label_rows(index, paths, Path(labels), **options)  # type: ignore[arg-type]
    found = read_labels(paths, labels, column=config.column, without_features=without_features)
    return [found[place] for place in of_row]


def _video_folds(
    paths: Sequence[str],
    dealt: Sequence[tuple[int, str]],
    homes: Sequence[str],
    config: ProbeConfig,
    without_features: Collection[str],
) -> list[Fold]:
    if config.splits is not None:
        if config.folds is not None:
            raise ValueError("splits and folds exclude each other; a file of splits says how many there are")
        return read_splits(paths, config.splits, without_features=without_features)
    classes = [name for _, name in dealt]
    folds = make_folds(classes, homes, folds=config.folds, rng=np.random.default_rng([config.seed, 0]))
    places = np.array([place for place, _ in dealt])
    return [Fold(fold.name, np.unique(places[fold.train]), np.unique(places[fold.test])) for fold in folds]


def _frame_fold(
    index: FeatureIndex | None, rows: NDArray[np.int64], label: NDArray[np.str_], config: ProbeConfig
) -> list[Fold]:
    """Split frames inside videos: of each video every n-th frame trains, all others test."""
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
    check_splits([fold], label.tolist())
    return [fold]


def _random_folds(label: NDArray[np.str_], config: ProbeConfig) -> list[Fold]:
    """Deal rows, not videos: what the protocol refuses unless told otherwise."""
    if config.splits is not None:
        raise ValueError("splits and groups='frame' exclude each other; give one of them")
    count = DEFAULT_FOLDS if config.folds is None else config.folds
    if not 2 <= count <= len(label):
        raise ValueError(f"folds is {count}; it must be 2 to {len(label)}, the number of rows")
    side = np.random.default_rng([config.seed, 0]).permutation(len(label)) % count
    names = [f"{number}/{count}" for number in range(1, count + 1)]
    return [Fold(name, np.flatnonzero(side != k), np.flatnonzero(side == k)) for k, name in enumerate(names)]
