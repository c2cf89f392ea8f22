"""Extract features of every layer, of the untrained encoder and of the pixels from whole videos.

`extract` serves one run; `extract_many` decodes each video once for the encoders of many runs.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch

from seqff.claim import Claim
from seqff.config import NetworkConfig
from seqff.devices import choose_device
from seqff.features.describe import Columns, FrameDescriber
from seqff.features.job import Job, Shard, fill, finish
from seqff.features.network import asked_for, kept_network, network_encoders
from seqff.features.parts import Parts
from seqff.features.pooling import STATISTICS, Grid
from seqff.features.sampling import RowMaker, Sampling
from seqff.features.settings import (
    BASELINES,
    SETTINGS,
    agree,
    agree_on_videos,
    load_encoders,
    sampling_settings,
    settings_of,
    trained_on,
)
from seqff.features.store import META, FeatureStore
from seqff.files import check_folder, claim_folder, read_json, write_json
from seqff.nets import Encoder, load_encoder
from seqff.video import Manifest, scan

logger = logging.getLogger(__name__)
MOST_BYTES = 2**29
"""Limit on the bytes of weights held at a time; more runs need a further pass over the videos."""


def extract(
    run: str | os.PathLike[str] | None = None,
    videos: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | None = None,
    *,
    out: str | os.PathLike[str],
    encoder: NetworkConfig | Mapping[str, Any] | None = None,
    per: Literal["video", "clip", "frame"] = "video",
    grid: Grid = 2,
    every: int = 1,
    every_seconds: float = 0.0,
    clip_frames: int = 16,
    clip_stride: int = 0,
    statistics: Sequence[str] = STATISTICS,
    dtype: Literal["fp32", "fp16"] = "fp32",
    baselines: Sequence[str] = BASELINES,
    batch_frames: int = 64,
    workers: int = 1,
    rank: int | None = None,
    world_size: int | None = None,
    device: str = "auto",
    resume: bool = False,
    overwrite: bool = False,
    max_bad: float = 0.05,
    progress: bool = True,
) -> FeatureStore:
    """Compute the features of every layer for whole videos and store them.

    Each video is decoded once, in batches, in a background thread. Each batch goes through the trained encoder, the
    same encoder before training, and the pixel baseline. Maps are averaged over a grid x grid of cells. For a video or
    clip, a row concatenates the mean, standard deviation and mean |difference| over its frames (3 * C * grid * grid
    numbers); for a frame, it holds the cells alone. The pixel baseline is the encoder's input frame on 8 x 8 cells (192
    numbers per frame, 576 per video). Memory does not grow with the length of a video.

    Several processes can share the work (`rank`, `world_size`, or torchrun): each processes every world_size-th video,
    and the last to finish merges the store, which equals that of a single process. They share `out`, and always resume.

    Instead of a run, `encoder` can name a network that was not trained by seqff, such as
    `{"name": "resnet18", "weights": FILE}`. The store is the same, with the untrained version of the network as
    baseline, and contains a copy of the network in its folder `encoder`. Without weights, the network itself is
    untrained and has no such baseline.

    Args:
        run: folder of a training run or of a pretrained encoder; None if `encoder` names a network.
        videos: a folder, a file, a list of files, or a manifest, as for `scan`.
        out: folder for the store.
        encoder: the network, as a mapping of settings or a NetworkConfig.
        per: one row per "video", "clip" (window of frames) or "frame".
        grid: cells per side; 1 averages over the whole map, "full" keeps the map.
        every: use every n-th frame.
        every_seconds: instead, use the first frame in each interval of this many seconds; 0 means use `every`.
        clip_frames: number of (sampled) frames in a clip. A shorter video is one clip.
        clip_stride: number of (sampled) frames between the starts of clips; 0 means `clip_frames`.
        statistics: statistics over the frames of a video or clip: any of "mean", "std" and "mean_abs_difference".
        dtype: storage type of features, "fp32" or "fp16"; they are computed in float32 (sums over time in float64).
        baselines: any of "untrained" and "pixels".
        batch_frames: frames per forward pass; bounds the memory.
        workers: number of decoding threads; more than 1 helps if the encoder is faster than one decoder.
        rank: rank of this process among those that share the work, from 0; None uses torchrun's, or does all the work.
        world_size: number of processes that share the work.
        device: "auto", "cpu" or "cuda".
        resume: continue an interrupted extraction with the same settings; finished videos are not repeated.
        overwrite: replace an existing store.
        max_bad: largest share of videos that may be skipped because they cannot be read.
        progress: show progress bars if stderr is a terminal.

    Returns:
        The store. Its `skipped` and skipped.csv list skipped videos. While other processes still have videos to
        process, it is not `finished`; it can be read when the last one has ended.

    Raises:
        RunError: `out` exists, the run cannot be read, a resumed extraction had other settings, a value overflows fp16,
            or too many videos failed.
        SeqffError, FileNotFoundError, ValueError: from `scan`, or an invalid argument.
    """
    sampling = Sampling(per, every, every_seconds, clip_frames, clip_stride, tuple(statistics), batch_frames)
    shard, folder = Shard.of(rank, world_size), Path(out)
    network, source, videos = asked_for(run, videos, encoder, folder)
    resume = _resumes(shard, workers, resume=resume, overwrite=overwrite)
    with Claim(folder, shared=shard.world_size > 1, wait=partial(_wait_for, folder) if resume else None):
        check_folder(folder, marker=SETTINGS, overwrite=overwrite, resume=resume)
        target = shard.device(choose_device(device))
        if network is None:
            encoders, manifest = load_encoders(source, baselines), None
        else:  # the frame size depends on the videos
            manifest = scan(videos, max_bad=max_bad, progress=progress)
            encoders = network_encoders(network, manifest, source, baselines)
        settings = settings_of(source, encoders, baselines, grid, target)
        describer = FrameDescriber(encoders, pixels="pixels" in baselines, grid=grid, device=target)
        rows = RowMaker(describer.columns, sampling, dtype)
        settings |= {**sampling_settings(sampling), "dtype": dtype}
        settings |= {} if network is None else {"network": asdict(network)}
        if manifest is None:
            manifest = scan(videos, max_bad=max_bad, progress=progress)  # before anything is written
        claim_folder(folder, marker=SETTINGS, overwrite=overwrite, resume=resume)
        agree(folder, settings)
        agree_on_videos(folder, manifest)
        if network is not None:
            with shard.alone(folder / SETTINGS):
                encoders = kept_network(encoders, source)  # so that resuming uses exactly the same weights
            describer = FrameDescriber(encoders, pixels="pixels" in baselines, grid=grid, device=target)
        store = FeatureStore(folder)
        parts = Parts(folder / "parts", rows.width, rows.dtype)
        job = Job(manifest, describer, sampling, rows, parts, shard, workers, max_bad)
        if not store.finished:
            fill(job, stop_if=folder / META, progress=progress)
            with shard.alone(folder / SETTINGS):
                untrained = network is not None and not network.weights
                finish(job, store, {**settings, "trained_on": [] if untrained else trained_on(source)})
        if store.finished:
            parts.remove()
        return store


def _wait_for(folder: Path, holder: str) -> None:
    logger.warning("%s is in use by %s: waiting until that has ended", folder, holder)


def _resumes(shard: Shard, workers: int, *, resume: bool, overwrite: bool) -> bool:
    """Check the arguments; returns whether to resume, which processes that share a folder always do."""
    if workers < 1:
        raise ValueError(f"workers is {workers}; it must be 1 or more")
    if shard.world_size > 1 and overwrite:
        raise ValueError("overwrite would delete what other ranks have done; delete the folder before they start")
    return resume or shard.world_size > 1


@dataclass(frozen=True)
class StoreRequest:
    """A store to extract: its run, its folder, and the baselines besides the trained encoder (see `extract`)."""

    run: Path
    out: Path
    baselines: tuple[str, ...]


@dataclass(frozen=True)
class _Member:
    """A run in a pass: its request, its encoders by prefix, and the settings of its store."""

    request: StoreRequest
    encoders: dict[str, Encoder]
    settings: dict[str, Any]

    @property
    def bytes(self) -> int:
        return sum(p.numel() * p.element_size() for encoder in self.encoders.values() for p in encoder.parameters())


def extract_many(
    requests: Sequence[StoreRequest],
    videos: str | os.PathLike[str],
    *,
    work: Path,
    per: Literal["video", "clip", "frame"] = "video",
    grid: Grid = 2,
    every: int = 1,
    device: str = "auto",
    max_bad: float = 0.05,
    progress: bool = True,
) -> list[FeatureStore]:
    """Do the same as `extract(run, videos, out=out, baselines=baselines, resume=True)` for many runs at once.

    Every frame is decoded once and goes through all encoders; the stores equal those of separate extractions. Finished
    ones are left unchanged. `work` is a folder for partial results, from which an interrupted extraction resumes; it is
    deleted at the end. For the other arguments and errors see `extract`.

    Returns:
        The stores, in the order of the requests.
    """
    sampling, target = Sampling(per, every), choose_device(device)
    todo = [one for one in requests if not (one.out / META).exists()]
    manifest = scan(videos, max_bad=max_bad, progress=progress) if todo else None
    for members in _passes(todo, sampling, grid, target):
        assert manifest is not None
        _extract_members(members, manifest, work, sampling, grid, target, max_bad=max_bad, progress=progress)
    return [FeatureStore.open(one.out) for one in requests]


def _passes(
    requests: Sequence[StoreRequest], sampling: Sampling, grid: Grid, device: torch.device
) -> Iterator[list[_Member]]:
    """Yield groups of runs with the same frame size whose weights together stay below the memory limit."""
    sizes = {one.out: load_encoder(one.run).transform.hash for one in requests}
    members: list[_Member] = []
    for one in sorted(requests, key=lambda one: sizes[one.out]):
        encoders = load_encoders(one.run, one.baselines)
        settings = settings_of(one.run, encoders, one.baselines, grid, device)
        member = _Member(one, encoders, {**settings, **sampling_settings(sampling), "dtype": "fp32"})
        fits = not members or sizes[members[0].request.out] == sizes[one.out]
        if not fits or sum(other.bytes for other in members) + member.bytes > MOST_BYTES:
            yield members
            members = []
        members.append(member)
    if members:
        yield members


def _extract_members(
    members: Sequence[_Member],
    manifest: Manifest,
    work: Path,
    sampling: Sampling,
    grid: Grid,
    device: torch.device,
    *,
    max_bad: float,
    progress: bool,
) -> None:
    encoders = {
        f"{number}/{prefix}": encoder
        for number, member in enumerate(members)
        for prefix, encoder in member.encoders.items()
    }
    pixels = any("pixels" in member.request.baselines for member in members)
    describer = FrameDescriber(encoders, pixels=pixels, grid=grid, device=device)
    rows = RowMaker(describer.columns, sampling, "fp32")
    _begin(work, {"members": [member.settings for member in members], "videos": manifest.hash})
    job = Job(manifest, describer, sampling, rows, Parts(work / "parts", rows.width, rows.dtype), Shard(), 1, max_bad)
    fill(job, stop_if=work / META, progress=progress)
    for number, member in enumerate(members):
        out = member.request.out
        claim_folder(out, marker=SETTINGS, overwrite=False, resume=True)
        agree(out, member.settings)
        own = _own(rows.columns, f"{number}/", pixels="pixels" in member.request.baselines)
        shutil.rmtree(out / "parts", ignore_errors=True)  # left by an interrupted `extract`
        metadata = {**member.settings, "trained_on": trained_on(member.request.run)}
        finish(job, FeatureStore(out), metadata, columns=own)
    shutil.rmtree(work, ignore_errors=True)


def _begin(work: Path, settings: dict[str, Any]) -> None:
    """Keep the folder if it belongs to the same encoders and videos; otherwise clear it."""
    file = work / SETTINGS
    if not file.exists() or read_json(file) != settings:
        shutil.rmtree(work, ignore_errors=True)
        write_json(file, settings)


def _own(columns: dict[str, Columns], prefix: str, *, pixels: bool) -> dict[str, Columns]:
    """The columns of one run, under the names in its own store."""
    own = {name.removeprefix(prefix): place for name, place in columns.items() if name.startswith(prefix)}
    return {**own, "pixels": columns["pixels"]} if pixels else own
