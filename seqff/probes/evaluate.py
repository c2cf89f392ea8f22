"""Evaluation on unseen videos: for each fold, train an encoder without the test videos, then extract and probe."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from seqff.claim import Claim
from seqff.config import TrainConfig
from seqff.config_io import Settings, load_settings, to_dict
from seqff.devices import choose_device
from seqff.display import preformatted
from seqff.errors import RunError
from seqff.features import FeatureStore
from seqff.features.extraction import StoreRequest, extract_many
from seqff.files import check_folder, claim_folder, manifest_in, read_json, write_json
from seqff.nets import load_encoder
from seqff.probes.data import Groups, ProbeConfig, Source, read_data, split_data
from seqff.probes.labels import Labels, labels_by_video, read_labels
from seqff.probes.protocol import keep, probe_all
from seqff.probes.results import ProbeResult
from seqff.probes.segments import has_segments
from seqff.probes.tables import seeds_table, summarize_seeds
from seqff.train import train
from seqff.training.supervised import train_supervised
from seqff.video import Manifest, scan
from seqff.video.rows import chosen, column
from seqff.video.table import TABLE

MARKER = "evaluate.json"
TWINS = ("end_to_end", "supervised")
UNSEEN = "unseen"
Twin = Literal["end_to_end", "supervised"]


@dataclass(frozen=True)
class Evaluation:
    """Result of `evaluate`: its folder, one result per seed, and mean and standard deviation over the seeds.

    `summary["seconds"]` is the wall time of each phase in this call; phases finished earlier take none.
    """

    path: Path
    results: Mapping[int, ProbeResult]
    summary: Mapping[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """All fields as JSON values."""
        results = {str(seed): result.to_dict() for seed, result in self.results.items()}
        return {"folder": str(self.path), "summary": dict(self.summary), "seeds": results}

    def table(self) -> str:
        """The result of one seed, or the mean over several."""
        if len(self.results) == 1:
            return next(iter(self.results.values())).table()
        return seeds_table(self.summary)

    def _repr_html_(self) -> str:
        """The table as HTML, for notebooks."""
        return preformatted(self.table())


@dataclass(frozen=True)
class _Plan:
    """Settings shared by every fold of every seed."""

    folder: Path
    manifest: Manifest
    config: ProbeConfig
    tests: tuple[frozenset[str], ...]
    labels: Mapping[str, str]
    train_config: TrainConfig
    twins: tuple[str, ...]
    extraction: dict[str, Any]
    device: str
    max_bad: float
    progress: bool


@contextmanager
def _timed(phase: str, seconds: dict[str, float]) -> Iterator[None]:
    """Add the wall time of a block to that of its phase, rounded to a tenth of a second."""
    began = time.perf_counter()
    yield
    seconds[phase] = round(seconds.get(phase, 0.0) + time.perf_counter() - began, 1)


def evaluate(
    videos: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    out: str | os.PathLike[str],
    labels: Labels = "folder",
    groups: Groups = None,
    splits: str | os.PathLike[str] | None = None,
    folds: int | None = None,
    baselines: Sequence[Twin] = (),
    config: Settings | None = None,
    preset: str = "default",
    seeds: Sequence[int] = (0,),
    per: Literal["video", "clip", "frame"] = "video",
    grid: Literal[1, 2, 4] = 2,
    every: int = 1,
    seed: int = 0,
    device: str = "auto",
    resume: bool = False,
    overwrite: bool = False,
    max_bad: float = 0.05,
    progress: bool = True,
) -> Evaluation:
    """Train, extract and probe fold by fold, so that every encoder is tested on videos it has not seen.

    For each fold, an encoder is trained on the videos of the other folds, features of all videos are extracted, and
    they are probed on the fold's test videos by protocol v1. The predictions of all folds make one result, `unseen`. It
    compares each layer with the untrained layer, raw pixels, the majority class and, on request, two baselines trained
    on the same videos.

    Args:
        videos: a folder, a file, a list of files, or a manifest, as for `scan`.
        out: folder for everything: runs and features of each fold, and one result per seed.
        labels: classes of the videos; see `probe`. Arrays follow the order of the usable videos of the scan.
        groups: groups that a split must not divide; see `probe`.
        splits: a file of official splits; see `probe`.
        folds: number of folds; see `probe`.
        baselines: "end_to_end" (the same objective by backpropagation) and "supervised" (labels of the training
            videos, by backpropagation: an upper bound).
        config: training settings, or only those that differ from the preset; see `seqff.train`.
        preset: name of a published method in `seqff.presets`.
        seeds: training seeds, one result each; `resume` can add more later.
        per: one row per video, clip or frame.
        grid: cells per side that maps are average-pooled to.
        every: use every n-th frame.
        seed: seed of the folds and the bootstrap, the same for all training seeds.
        device: "auto", "cpu" or "cuda".
        resume: continue an interrupted evaluation with the same settings; finished folds are not repeated.
        overwrite: delete the evaluation in `out` first.
        max_bad: largest allowed share of unreadable videos.
        progress: show progress bars if stderr is a terminal.

    Raises:
        SeqffError: the videos, labels or folders cannot be used.
        ValueError: an invalid argument.
    """
    target, config, folder = choose_device(device), load_settings(config, preset), Path(out)
    _check(labels, baselines, seeds)
    with Claim(folder):
        check_folder(folder, marker=MARKER, overwrite=overwrite, resume=resume)
        seconds: dict[str, float] = {}
        with _timed("scan", seconds):
            manifest = scan(videos, max_bad=max_bad, progress=progress)
        paths: list[str] = column(manifest.usable, "path").tolist()
        hashes = [content.decode() for content in column(manifest.usable, "content_hash").tolist()]
        bad: list[str] = column(manifest.bad, "path").tolist()
        labels = labels_by_video(paths, labels)
        asked = ProbeConfig(labels, "label", groups, splits, folds, seed)
        data = split_data(paths, hashes, None, asked, without_features=bad)
        tests = tuple(frozenset(paths[place] for place in fold.test) for fold in data.video_folds)
        extraction = {"per": per, "grid": grid, "every": every}
        names = dict(zip(paths, read_labels(paths, labels, without_features=bad), strict=True))
        settings = {
            "videos": manifest.hash,
            "labels": names,
            "seed": seed,
            "tests": [sorted(test) for test in tests],
            **extraction,
            "config": to_dict(config),
        }
        claim_folder(folder, marker=MARKER, overwrite=overwrite, resume=resume)
        _agree(folder / MARKER, settings)
        twins = tuple(twin for twin in TWINS if twin in baselines)
        plan = _Plan(folder, manifest, asked, tests, names, config, twins, extraction, device, max_bad, progress)
        results = {number: _one_seed(plan, number, target, seconds) for number in seeds}
        summary = {**summarize_seeds([result.to_dict() for result in results.values()]), "seconds": seconds}
        write_json(folder / "summary.json", {"seed_numbers": list(seeds), **summary})
        return Evaluation(folder, results, summary)


def _check(labels: Labels, baselines: Sequence[str], seeds: Sequence[int]) -> None:
    unknown = [name for name in baselines if name not in TWINS]
    if unknown:
        raise ValueError(
            f"baseline {unknown[0]!r}; choose from {', '.join(TWINS)} (untrained and pixels are always there)"
        )
    if not seeds or len(set(seeds)) < len(seeds):
        raise ValueError(f"seeds is {list(seeds)}; give one or more, each once")
    if isinstance(labels, (str, os.PathLike)) and has_segments(labels):
        raise ValueError(f"{labels} labels parts of videos; evaluate takes labels of whole videos, probe takes both")


def _agree(file: Path, settings: dict[str, Any]) -> None:
    """Write the settings of a new evaluation; raises RunError if a resumed one has different settings."""
    if not file.exists():
        write_json(file, settings)
        return
    before = read_json(file)
    changed = [name for name, value in settings.items() if before.get(name) != value]
    if changed:
        raise RunError(
            f"{file.parent} was started with other {', '.join(changed)}; resume with the same, or overwrite it"
        )


def _one_seed(plan: _Plan, seed: int, device: torch.device, seconds: dict[str, float]) -> ProbeResult:
    home = plan.folder / f"seed{seed}"
    names = ("", *plan.twins)
    with _timed("training", seconds):
        runs = [_train_fold(plan, home / f"fold{number}", test, seed) for number, test in enumerate(plan.tests, 1)]
    with _timed("extraction", seconds):
        found = _extract(plan, home, [run for fold in runs for run in fold])
    stores = {name: found[place :: len(names)] for place, name in enumerate(names)}
    with _timed("probes", seconds):
        return _probe(plan, home, stores, device)


def _probe(plan: _Plan, home: Path, stores: Mapping[str, Sequence[FeatureStore]], device: torch.device) -> ProbeResult:
    sources: dict[str, tuple[Source, ...]] = {}
    for baseline, found in stores.items():
        for name in found[0].names:
            lie_in = (store if name in store.names else found[0] for store in found)
            sources[f"{baseline}/{name}" if baseline else name] = tuple((store, name) for store in lie_in)
    data = read_data(stores[""], plan.config, sources)
    tested = [frozenset(data.paths[place] for place in fold.test) for fold in data.video_folds]
    if any(now - then for now, then in zip(tested, plan.tests, strict=True)):
        raise RunError(
            f"{home}: some videos could not be read to their end, and the folds of the others are no longer those that "
            "were trained; scan again with refresh, or remove those videos, and start over"
        )
    result = probe_all(data, device=device, progress=plan.progress)
    if result.metadata["encoder_seen"] != UNSEEN:
        raise RunError(f"{home}: an encoder was trained on videos that it is tested on; start over")
    return keep(result, home / "probe", overwrite=True)


def _train_fold(plan: _Plan, fold: Path, test: frozenset[str], seed: int) -> list[Path]:
    """Train the encoder of a fold and its baselines, unless they exist; returns their folders."""
    options: dict[str, Any] = {"seed": seed, "device": plan.device, "max_bad": plan.max_bad, "progress": plan.progress}
    seen = fold / "videos.json"  # written by older versions
    seen = seen if seen.exists() else seen.with_suffix(TABLE)
    if not seen.exists():
        usable = plan.manifest.usable
        contents = column(usable, "content_hash")
        tested = np.array([path in test for path in column(usable, "path")], dtype=bool)  # copies are added below
        replace(plan.manifest, entries=chosen(usable, ~np.isin(contents, contents[tested]))).save(seen)
    homes = []
    for name in ("", *plan.twins):
        home = fold / name if name else fold
        homes.append(home)
        if (home / "features" / "meta.json").exists():
            continue
        if name == "supervised":
            train_supervised(seen, plan.labels, out=home / "run", config=plan.train_config, **options)
        else:
            config = replace(plan.train_config, trainer="end_to_end") if name else plan.train_config
            train(seen, out=home / "run", config=config, resume=True, **options)
    return homes


def _extract(plan: _Plan, home: Path, folders: Sequence[Path]) -> list[FeatureStore]:
    """Extract missing features; each video is decoded once for the encoders of all folds."""
    manifest = manifest_in(plan.folder)
    if not manifest.exists():
        plan.manifest.save(manifest)
    each, wanted = 1 + len(plan.twins), []
    for number, folder in enumerate(folders):
        beside = ("untrained", "pixels") if number % each == 0 and _needs_its_own(folder, folders[0]) else ()
        wanted.append(StoreRequest(folder / "run", folder / "features", beside))
    options: dict[str, Any] = {"device": plan.device, "max_bad": plan.max_bad, "progress": plan.progress}
    return extract_many(wanted, manifest, work=home / "extraction", **plan.extraction, **options)


def _needs_its_own(folder: Path, first: Path) -> bool:
    """Whether a fold needs its own baselines: the untrained nets of all folds are equal if their frame size is."""
    if folder == first or (folder / "features" / "meta.json").exists():
        return True
    done = (first / "features" / "meta.json").exists()
    known = FeatureStore.open(first / "features").meta["encoder"]["untrained_hash"] if done else None
    known = known or load_encoder(first / "run", untrained=True).hash()
    return bool(known != load_encoder(folder / "run", untrained=True).hash())
