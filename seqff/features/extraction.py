"""Whole videos through the encoder: features of every layer, of the untrained encoder and of the pixels."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Literal

from seqff.claim import Claim
from seqff.devices import choose_device
from seqff.features.filling import Job, fill
from seqff.features.finishing import finish
from seqff.features.parts import Parts
from seqff.features.pooling import STATISTICS, Grid
from seqff.features.rows import RowMaker
from seqff.features.sampling import Sampling
from seqff.features.settings import BASELINES, SETTINGS, agree, agree_on_videos, prepare, sampling_settings, trained_on
from seqff.features.sharing import Share
from seqff.features.store import META, FeatureStore
from seqff.files import check_folder, claim_folder
from seqff.video import scan

logger = logging.getLogger(__name__)


def extract(
    run: str | os.PathLike[str],
    videos: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    out: str | os.PathLike[str],
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

    Each video is decoded once, in batches, by another thread than the one that computes, and each batch goes through
    the trained encoder, the same encoder before training, and the pixel baseline. Maps are averaged over a grid x grid
    of cells. A row a video or a clip holds their mean, standard deviation and mean |difference| over its frames side
    by side (3 * C * grid * grid numbers), a row a frame the cells alone. Pixels are the frame as the encoder sees it
    on 8 x 8 cells (192 numbers a frame, 576 a video). Memory does not grow with the length of a video.

    Several processes may share the work (`rank`, `world_size`, or torchrun): each does every world_size-th video, and
    the last to finish joins the store, which is the same as that of one process. They share `out` and go on with what
    is there.

    Args:
        run: folder of a training run.
        videos: a folder, a file, a list of files, or a manifest, as `scan` takes it.
        out: folder for the store.
        per: a row per "video", per "clip" (window of frames) or per "frame".
        grid: cells along each side; 1 averages over the whole map, "full" keeps the map.
        every: take every n-th frame.
        every_seconds: instead, take the first frame in each interval of so many seconds; 0 = `every` counts.
        clip_frames: frames (of those taken) in a clip. A video with fewer is one clip.
        clip_stride: frames (of those taken) from the start of a clip to the next; 0 = `clip_frames`.
        statistics: over the frames of a video or a clip: any of "mean", "std" and "mean_abs_difference".
        dtype: how features are stored, "fp32" or "fp16"; they are computed in float32 (sums over time in float64).
        baselines: any of "untrained" and "pixels".
        batch_frames: frames that go through the encoders together; bounds the memory.
        workers: threads that decode; more than 1 helps where the encoder is faster than one decoder.
        rank: of this process among those that share the work, from 0; None = torchrun's, or all the work.
        world_size: how many share it.
        device: "auto", "cpu" or "cuda".
        resume: go on where an extraction with the same settings was stopped; finished videos are not done again.
        overwrite: replace a store that is there.
        max_bad: largest share of videos that may be skipped because they cannot be read.
        progress: show bars where stderr is a terminal.

    Returns:
        The store. Skipped videos stand in its `skipped` and in skipped.csv. Where other processes still have videos
        to do it is not `finished`, and can be read once the last of them is.

    Raises:
        RunError: `out` exists, the run cannot be read, a resumed extraction had other settings, a value does not fit
            into fp16, or too many videos failed.
        SeqffError, FileNotFoundError, ValueError: from `scan`, or a wrong argument.
    """
    sampling = Sampling(per, every, every_seconds, clip_frames, clip_stride, tuple(statistics), batch_frames)
    share, folder = Share.of(rank, world_size), Path(out)
    resume = _resumes(share, workers, resume=resume, overwrite=overwrite)
    with Claim(folder, shared=share.world_size > 1, wait=partial(_wait_for, folder) if resume else None):
        check_folder(folder, marker=SETTINGS, overwrite=overwrite, resume=resume)
        describer, settings = prepare(Path(run), baselines, grid, share.device(choose_device(device)))
        rows = RowMaker(describer.columns, sampling, dtype)
        settings |= {**sampling_settings(sampling), "dtype": dtype}
        manifest = scan(videos, max_bad=max_bad, progress=progress)  # before anything is written
        claim_folder(folder, marker=SETTINGS, overwrite=overwrite, resume=resume)
        agree(folder, settings)
        agree_on_videos(folder, manifest)
        store = FeatureStore(folder)
        parts = Parts(folder / "parts", rows.width, rows.dtype)
        job = Job(manifest, describer, sampling, rows, parts, share, workers, max_bad)
        if not store.finished:
            fill(job, stop_if=folder / META, progress=progress)
            with share.alone(folder / SETTINGS):
                finish(job, store, {**settings, "trained_on": trained_on(Path(run))})
        if store.finished:
            parts.remove()
        return store


def _wait_for(folder: Path, holder: str) -> None:
    logger.warning("%s is in use by %s: waiting until that has ended", folder, holder)


def _resumes(share: Share, workers: int, *, resume: bool, overwrite: bool) -> bool:
    """Check the arguments; processes that share a folder always go on with what is there."""
    if workers < 1:
        raise ValueError(f"workers is {workers}; it must be 1 or more")
    if share.world_size > 1 and overwrite:
        raise ValueError("overwrite would delete what other ranks have done; delete the folder before they start")
    return resume or share.world_size > 1
