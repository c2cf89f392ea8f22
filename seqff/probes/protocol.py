"""Protocol v1: turn a feature store into accuracies per layer, with confidence intervals and baselines."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, overload

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm.auto import tqdm

from seqff.devices import choose_device
from seqff.features import FeatureStore
from seqff.files import check_folder, claim_folder, whole_folder
from seqff.probes.bootstrap import accuracy_interval
from seqff.probes.data import BASELINES, PIXELS, Groups, ProbeConfig, ProbeData, read_data
from seqff.probes.heads import Heads, head_of
from seqff.probes.knn import NEIGHBORS, KNNProbe
from seqff.probes.labels import Labels, labels_by_video
from seqff.probes.linear import LinearProbe
from seqff.probes.metadata import EXTRACTION, majority_accuracy, metadata_of
from seqff.probes.preprocessing import BLOCK_VALUES, Array
from seqff.probes.results import MARKER, ArrayResult, Difference, LayerResult, Matched, ProbeResult, write_result

PROTOCOL = "v1"
BAR = "{desc}: {percentage:3.0f}%|{bar}| {elapsed}, {remaining} left"
Codes = NDArray[np.int64]
"""Class numbers."""


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
    """Measure how well a linear classifier predicts labels from each layer, by protocol v1 (docs/probes.md).

    Every array of the store is probed on the same folds, which are split by whole videos and groups. Lambda is chosen
    inside each training part, and each video is tested once (with official splits, as often as they test it). The
    result also has the same probe with all layers projected to one width, and nearest neighbors for every k. Stores
    with one row per frame or clip are probed row by row; splits and intervals are still by video.

    Args:
        features: a feature store or its folder.
        labels: "folder" (first folder of each video's path), "video" (each video is a class, for `split_frames`), a
            CSV file `video,label`, a CSV file `video,start_seconds,stop_seconds,label` (for stores with one row per
            frame or clip: a row has the label of the segment that contains its first frame, and is left out if there is
            none), a mapping or pandas Series from video to label, or (videos,) values in the order of `store.videos`.
        columns: label columns of the CSV file; returns one result per column. None returns the result of `label`.
        groups: "folder" (innermost folder), a CSV file `video,group`, a regular expression for the file name, or a
            mapping; None makes each video its own group.
        splits: a CSV file of official splits, `video,split` or `video,split1,split2,...`, whose values are train, test
            or unused; None makes folds by group.
        out: folder for results.json, results.csv, predictions.csv and heads.safetensors (the classifier of each trained
            layer, refitted on all rows, for `classify`); one subfolder per column if `columns` is given. None writes
            nothing.
        folds: number of folds; None leaves one group out for up to 20 groups, and makes 5 folds for more.
        split_frames: "every:18" splits frames inside videos: every 18th frame of a video trains, all others test. For
            features with one row per frame, where each video is an object to be recognized; the result says so.
        seed: seed of the folds, the inner splits, the projection and the bootstrap; equal seeds give equal results.
        device: "auto", "cpu" or "cuda": the device for matrices of more than 4 million values.
        allow_leak: let groups="frame" assign frames to folds at random, to show how that inflates the score.
        overwrite: replace an existing probe.
        progress: show a progress bar if stderr is a terminal.

    Raises:
        LabelError: labels, groups or splits do not fit the videos, or frames would be assigned to folds at random.
        RunError: the store does not exist, features are not finite, or `out` exists.
        ValueError: an invalid `folds`, `columns`, `split_frames` or `device`.
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
        config = ProbeConfig(classes, column, groups, splits, folds, seed, allow_leak, split_frames)
        data = read_data([store], config, sources)
        result = probe_all(data, device=target, progress=progress)
        if home is not None:
            result = keep(result, home, overwrite=overwrite)
            with whole_folder(home):
                _fit_heads(data, result, device=target, progress=progress).save(home)
        results.append(result)
    return results[0] if columns is None else dict(zip(columns, results, strict=True))


def probe_all(data: ProbeData, *, device: torch.device, progress: bool) -> ProbeResult:
    """Probe every array on every fold."""
    names, narrowest = list(data.sources), data.narrowest
    work = {name: data.width(name) + (narrowest if data.width(name) > narrowest else 0) for name in names}
    total = len(data.folds) * sum(work.values())
    bar = tqdm(total=total, desc="probe", bar_format=BAR, disable=None if progress else True)
    with bar:
        found = {name: _probe_array(data, name, device=device, bar=bar) for name in names}
    layers, pixels = _pair(data, found)
    metadata = {"protocol": PROTOCOL, **metadata_of(data, found)}
    video, folds = data.video[data.tested], [fold.name for fold in data.folds]
    rows = tuple(
        (data.paths[place], str(label), data.groups[place], folds[fold])
        for place, label, fold in zip(video, data.name[data.tested], data.tested_fold, strict=True)
    )
    return ProbeResult(layers, pixels, majority_accuracy(data), metadata, rows)


def keep(result: ProbeResult, out: Path, *, overwrite: bool) -> ProbeResult:
    """Write a result into its own folder and return it with its path."""
    claim_folder(out, marker=MARKER, overwrite=overwrite)
    with whole_folder(out):
        write_result(result, out)
    return replace(result, path=out)


def _probe_array(data: ProbeData, name: str, *, device: torch.device, bar: tqdm[Any]) -> ArrayResult:
    """Run every fold of an array: the linear probe at both widths, and nearest neighbors."""
    started, held = time.perf_counter(), None
    features: NDArray[np.float32] = np.zeros((0, 0), dtype=np.float32)
    probes: list[LinearProbe] = []
    linear: list[Codes] = []
    matched: list[Codes] = []
    knn: dict[int, list[Codes]] = {k: [] for k in NEIGHBORS}
    for number, fold in enumerate(data.folds):
        if data.source(name, number) != held:
            held = data.source(name, number)
            features = data.read(held)
        train, test = (_placed(features[part], device) for part in (fold.train, fold.test))
        labels = data.label[fold.train]
        fitted, predicted = _linear(data, train, test, number, None, bar)
        probes.append(fitted)
        linear.append(predicted)
        if train.shape[1] > data.narrowest:
            matched.append(_linear(data, train, test, number, data.narrowest, bar)[1])
        if possible := [k for k in NEIGHBORS if k <= len(labels)]:
            voters = KNNProbe().fit(train, labels)
            for k, votes in zip(possible, voters.votes(test, possible), strict=True):
                knn[k].append(voters.classes_[votes.argmax(dim=1).cpu().numpy()])
    return _summarize(data, name, probes, linear, matched, knn, time.perf_counter() - started)


def _placed(rows: NDArray[np.float32], device: torch.device) -> Array:
    """Move large matrices to the GPU, if the device is one."""
    return torch.from_numpy(rows).to(device) if device.type == "cuda" and rows.size > BLOCK_VALUES else rows


def _linear(
    data: ProbeData, train: Array, test: Array, number: int, width: int | None, bar: tqdm[Any]
) -> tuple[LinearProbe, Codes]:
    """Train on a fold and predict its test rows."""
    fold, seed = data.folds[number], data.config.seed
    share, done = (width or train.shape[1]) / (len(data.lambdas) + 1), bar.n
    # Every array uses the same inner splits, so that layers differ only by their features.
    rng = np.random.default_rng([seed, 1, number])
    probe = LinearProbe(data.lambdas, width=width, width_seed=seed, random_state=rng)
    probe.fit(train, data.label[fold.train], data.unit[fold.train], tried=lambda: bar.update(share))
    predicted: Codes = probe.predict(test).astype(np.int64)
    bar.update(done + (width or train.shape[1]) - bar.n)
    return probe, predicted


def _summarize(
    data: ProbeData,
    name: str,
    probes: Sequence[LinearProbe],
    linear: Sequence[Codes],
    matched: Sequence[Codes],
    knn: Mapping[int, Sequence[Codes]],
    seconds: float,
) -> ArrayResult:
    """Combine the predictions of all folds."""
    truth, folds = data.label[data.tested], len(data.folds)

    def hits(parts: Sequence[Codes]) -> NDArray[np.bool_]:
        return np.equal(np.concatenate(parts)[data.order], truth)

    right, narrow = hits(linear), None
    if matched:
        at_width = hits(matched)
        narrow = Matched(data.narrowest, float(at_width.mean()), _interval(data, at_width))
    choices = [probe.choice_ for probe in probes]
    return ArrayResult(
        name=name,
        width=data.width(name),
        accuracy=float(right.mean()),
        interval=_interval(data, right),
        mean_class_accuracy=float(np.mean([right[truth == number].mean() for number in np.unique(truth)])),
        fold_accuracies=tuple(float(right[data.tested_fold == number].mean()) for number in range(folds)),
        matched=narrow,
        knn={k: float(hits(parts).mean()) if len(parts) == folds else None for k, parts in knn.items()},
        lambdas=tuple(probe.lambda_ for probe in probes),
        lambda_losses=tuple(() if choice is None else choice.losses for choice in choices),
        lambda_scores=tuple(() if choice is None else choice.scores for choice in choices),
        lambda_at_edge=sum(choice is not None and choice.at_edge for choice in choices),
        constant_features=max(probe.scaling_.constant for probe in probes),
        unconverged=sum(not probe.converged_ for probe in probes),
        seconds=round(seconds, 3),
        predicted=np.concatenate(linear)[data.order],
    )


def _fit_heads(data: ProbeData, result: ProbeResult, *, device: torch.device, progress: bool) -> Heads:
    """Refit the linear probe of each trained layer on all rows, with the median lambda of the folds."""
    store, heads = data.stores[0], {}
    trained = {layer.trained.name: layer.trained for layer in result.layers if "/" not in layer.trained.name}
    for name, found in tqdm(trained.items(), "heads", unit="layer", disable=None if progress else True):
        middle = len(found.lambdas) // 2  # for an even number, the stronger of the two in the middle
        fitted = LinearProbe([sorted(found.lambdas)[middle]])
        heads[name] = head_of(fitted.fit(_placed(data.read((store, name)), device), data.label))
    accuracy = {name: found.accuracy for name, found in trained.items()}
    extraction = {key: store.meta[key] for key in EXTRACTION if key in store.meta}
    videos = frozenset(data.hashes[place] for place in np.unique(data.video))
    return Heads(heads, data.classes, accuracy, extraction, dict(store.meta.get("encoder") or {}), videos)


def _interval(data: ProbeData, values: NDArray[np.bool_] | NDArray[np.float64]) -> tuple[float, float]:
    """95 % interval, over videos, of the mean of one value per prediction."""
    return accuracy_interval(data.by_video(values), data.by_video(np.ones(len(data.tested))), seed=data.config.seed)


def _pair(data: ProbeData, found: Mapping[str, ArrayResult]) -> tuple[tuple[LayerResult, ...], ArrayResult | None]:
    """Pair each layer with the same layer of the baselines."""
    truth = data.label[data.tested]
    layers = []
    for name, trained in found.items():
        baseline, _, layer = name.partition("/")
        if name == PIXELS or (baseline in BASELINES and layer in found):
            continue
        untrained = found.get(f"untrained/{name}")
        difference = None
        if untrained is not None:
            gain = (trained.predicted == truth).astype(np.float64) - (untrained.predicted == truth)
            difference = Difference(trained.accuracy - untrained.accuracy, _interval(data, gain))
        others = {other: found[f"{other}/{name}"] for other in BASELINES[1:] if f"{other}/{name}" in found}
        layers.append(LayerResult(trained, untrained, difference, others))
    return tuple(layers), found.get(PIXELS)
