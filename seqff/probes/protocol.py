"""Protocol v1: from a feature store to accuracies one can trust, with the baselines beside them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import overload

import numpy as np
import torch
from tqdm import tqdm

from seqff.devices import choose_device
from seqff.features import FeatureStore
from seqff.files import check_folder, claim_folder, whole_folder
from seqff.probes.array import interval_of, probe_array
from seqff.probes.labelled_splits import Groups, ProbeConfig
from seqff.probes.labels import Labels, labels_by_video
from seqff.probes.metadata import facts_of, majority_accuracy
from seqff.probes.results import MARKER, ArrayResult, Difference, LayerResult, ProbeResult, write_result
from seqff.probes.task import BASELINES, PIXELS, Task, make_task

PROTOCOL = "v1"


@overload
def probe(
    features: str | os.PathLike[str] | FeatureStore,
    *,
    labels: Labels,
    columns: None = None,
    groups: Groups = None,
    splits: str | os.PathLike[str] | None = None,
    out: str | os.PathLike[str] | None,
    folds: int | None = None,
    split_frames: str | None = None,
    seed: int = 0,
    device: str = "auto",
    allow_leak: bool = False,
    overwrite: bool = False,
    progress: bool = True,
) -> ProbeResult: ...


@overload
def probe(
    features: str | os.PathLike[str] | FeatureStore,
    *,
    labels: Labels,
    columns: Sequence[str],
    groups: Groups = None,
    splits: str | os.PathLike[str] | None = None,
    out: str | os.PathLike[str] | None,
    folds: int | None = None,
    split_frames: str | None = None,
    seed: int = 0,
    device: str = "auto",
    allow_leak: bool = False,
    overwrite: bool = False,
    progress: bool = True,
) -> dict[str, ProbeResult]: ...


def probe(
    features: str | os.PathLike[str] | FeatureStore,
    *,
    labels: Labels,
    columns: Sequence[str] | None = None,
    groups: Groups = None,
    splits: str | os.PathLike[str] | None = None,
    out: str | os.PathLike[str] | None,
    folds: int | None = None,
    split_frames: str | None = None,
    seed: int = 0,
    device: str = "auto",
    allow_leak: bool = False,
    overwrite: bool = False,
    progress: bool = True,
) -> ProbeResult | dict[str, ProbeResult]:
    """Measure how well a linear classifier reads labels off each layer, by protocol v1 (design: evaluation.md).

    Every array of the store is probed on the same splits by whole videos and groups; lambda is chosen inside each
    training part; each video is tested once (by official splits, as often as they test it). Beside it stand the same
    probe with all layers at one width, and nearest neighbours for every k. Stores with a row a frame or clip are probed
    row by row, still split by video and with the video as the unit of the intervals.

    Args:
        features: a feature store or its folder.
        labels: "folder" (first folder of each video's path), "video" (each video is a class, for `split_frames`), a
            CSV file `video,label`, a CSV file `video,start_seconds,stop_seconds,label` (for stores with a row a frame
            or clip: a row has the label of the segment its first frame is in, and is left out where it is in none), a
            mapping or pandas Series from video to label, or (videos,) values in the order of the store's `videos`.
        columns: label columns of the CSV file, one result each; None takes the column `label` and gives its result.
        groups: "folder" (innermost folder), a CSV file `video,group`, a regular expression for the file name, or a
            mapping; None makes each video its own group.
        splits: a CSV file of official splits, `video,split` or `video,split1,split2,...`, that say train, test or
            unused; None makes folds by group.
        out: folder for results.json, results.csv and predictions.csv (a folder a column if `columns` is given); None
            writes nothing.
        folds: None leaves one group out for up to 20 groups, and makes 5 folds for more.
        split_frames: "every:18" splits frames inside videos: of each video every 18th frame trains, all others test.
            For features with a row a frame, where each video is a thing to be recognized; the result says so.
        seed: of the folds, the inner splits, the projection and the bootstrap; the same seed gives the same numbers.
        device: "auto", "cpu" or "cuda": where matrices of more than 4 million values are worked on.
        allow_leak: let groups="frame" deal frames at random, to show what that does to the score.
        overwrite: replace a probe that is there.
        progress: show a bar where stderr is a terminal.

    Raises:
        LabelError: labels, groups or splits do not fit the videos, or frames are to be dealt at random.
        RunError: no such store, features that are not finite, or `out` exists.
        ValueError: a wrong `folds`, `columns`, `split_frames` or `device`.
    """
    target = choose_device(device)
    if columns is not None and (len(columns) == 0 or len(set(columns)) < len(columns)):
        raise ValueError(f"columns is {list(columns)}; name one label column or more, each once")
    folder = None if out is None else Path(out)
    homes = [None if folder is None else folder / column for column in columns] if columns is not None else [folder]
    for home in homes:
        if home is not None:
            check_folder(home, marker=MARKER, overwrite=overwrite)
    store = features if isinstance(features, FeatureStore) else FeatureStore.open(features)
    sources = {name: ((store, name),) for name in store.names}
    classes = labels_by_video([video.path for video in store.videos], labels)
    results = []
    for column, home in zip(["label"] if columns is None else columns, homes, strict=True):
        rules = ProbeConfig(classes, column, groups, splits, folds, seed, allow_leak, split_frames)
        task = make_task([store], rules, sources)
        result = run_task(task, device=target, progress=progress)
        results.append(result if home is None else keep(result, home, overwrite=overwrite))
    return results[0] if columns is None else dict(zip(columns, results, strict=True))


def run_task(task: Task, *, device: torch.device, progress: bool) -> ProbeResult:
    """Probe every array of a task."""
    names = list(task.sources)
    bar = tqdm(total=len(names) * len(task.folds), desc="probe", unit="fit", disable=None if progress else True)
    with bar:
        found = {name: probe_array(task, name, device=device, bar=bar) for name in names}
    layers, pixels = _pair(task, found)
    facts = {"protocol": PROTOCOL, **facts_of(task, found)}
    video, folds = task.splits.video[task.tested], [fold.name for fold in task.folds]
    rows = tuple(
        (task.paths[place], str(label), task.splits.groups[place], folds[fold])
        for place, label, fold in zip(video, task.splits.label[task.tested], task.tested_fold, strict=True)
    )
    return ProbeResult(layers, pixels, majority_accuracy(task), facts, rows)


def keep(result: ProbeResult, out: Path, *, overwrite: bool) -> ProbeResult:
    """Write a result into a folder of its own and return it with its path."""
    claim_folder(out, marker=MARKER, overwrite=overwrite)
    with whole_folder(out):
        write_result(result, out)
    return replace(result, path=out)


def _pair(task: Task, found: Mapping[str, ArrayResult]) -> tuple[tuple[LayerResult, ...], ArrayResult | None]:
    """Put each layer beside the same layer of the baselines."""
    truth = task.label[task.tested]
    layers = []
    for name, trained in found.items():
        baseline, _, layer = name.partition("/")
        if name == PIXELS or (baseline in BASELINES and layer in found):
            continue
        untrained = found.get(f"untrained/{name}")
        difference = None
        if untrained is not None:
            gain = (trained.predicted == truth).astype(np.float64) - (untrained.predicted == truth)
            difference = Difference(trained.accuracy - untrained.accuracy, interval_of(task, gain))
        others = {other: found[f"{other}/{name}"] for other in BASELINES[1:] if f"{other}/{name}" in found}
        layers.append(LayerResult(trained, untrained, difference, others))
    return tuple(layers), found.get(PIXELS)
