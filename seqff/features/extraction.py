"""Whole videos through the encoder: features of every layer, of the untrained encoder and of the pixels."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from tqdm import tqdm

from seqff.devices import choose_device
from seqff.errors import RunError, VideoError
from seqff.features.describe import FrameDescriber
from seqff.features.parts import Parts
from seqff.features.pooling import STATISTICS
from seqff.features.sampling import Sampling, describe_video
from seqff.features.store import META, FeatureIndex, FeatureStore, StoredVideo, write_meta, write_tables
from seqff.files import check_folder, claim_folder, read_json, write_json
from seqff.nets import load_encoder
from seqff.version import __version__
from seqff.video import Manifest, VideoEntry, open_video, scan

logger = logging.getLogger(__name__)

SETTINGS = "settings.json"
BASELINES = ("untrained", "pixels")


@dataclass(frozen=True)
class Job:
    """An extraction: which videos, what each frame becomes, which frames, and where finished videos wait."""

    manifest: Manifest
    describer: FrameDescriber
    sampling: Sampling
    parts: Parts


def extract(
    run: str | os.PathLike[str],
    videos: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    out: str | os.PathLike[str],
    per: Literal["video", "frame"] = "video",
    grid: int = 2,
    every: int = 1,
    baselines: Sequence[str] = BASELINES,
    batch_frames: int = 64,
    device: str = "auto",
    seed: int = 0,
    resume: bool = False,
    overwrite: bool = False,
    max_bad: float = 0.05,
    progress: bool = True,
) -> FeatureStore:
    """Compute the features of every layer for whole videos and store them.

    Each video is decoded once, in batches, and each batch goes through the trained encoder, the same encoder before
    training, and the pixel baseline. Maps are averaged over a grid x grid of cells; a row a video holds their mean,
    standard deviation and mean |difference| over time side by side (3 * C * grid * grid numbers), a row a frame the
    cells alone. Pixels are the frame as the encoder sees it on 8 x 8 cells (192 numbers a frame, 576 a video).

    Args:
        run: folder of a training run.
        videos: a folder, a file, a list of files, or a manifest, as `scan` takes it.
        out: folder for the store.
        per: a row per "video" or per "frame".
        grid: cells along each side; 1 averages over the whole map.
        every: take every n-th frame.
        baselines: any of "untrained" and "pixels".
        batch_frames: frames that go through the encoders together; bounds the memory.
        device: "auto", "cpu" or "cuda".
        seed: taken as by every command; no step of extraction is random.
        resume: go on where an extraction with the same settings was stopped.
        overwrite: replace a store that is there.
        max_bad: largest share of videos that may be skipped because they cannot be read.
        progress: show bars where stderr is a terminal.

    Returns:
        The store. Skipped videos stand in its `skipped` and in skipped.csv.

    Raises:
        RunError: `out` exists, the run cannot be read, a resumed extraction had other settings, or too many videos
            failed.
        SeqffError, FileNotFoundError, ValueError: from `scan`, or a wrong argument.
    """
    del seed
    sampling = Sampling(per, every, batch_frames)
    folder = Path(out)
    check_folder(folder, marker=SETTINGS, overwrite=overwrite, resume=resume)
    describer, settings = _prepare(Path(run), baselines, grid, choose_device(device))
    settings = {**settings, "per": per, "every": every, "batch_frames": batch_frames}
    manifest = scan(videos, max_bad=max_bad, progress=progress)
    claim_folder(folder, marker=SETTINGS, overwrite=overwrite, resume=resume)
    _agree(folder, settings, manifest)
    job = Job(manifest, describer, sampling, Parts(folder / "parts"))
    if not (folder / META).exists():
        failed = _fill(job, max_bad=max_bad, progress=progress)
        _finish(job, folder, failed, {**settings, "trained_on": _trained_on(Path(run))})
    job.parts.remove()
    return FeatureStore.open(folder)


def _prepare(
    run: Path, baselines: Sequence[str], grid: int, device: torch.device
) -> tuple[FrameDescriber, dict[str, Any]]:
    """Load the encoders, and note what the features depend on."""
    unknown = [baseline for baseline in baselines if baseline not in BASELINES]
    if unknown:
        raise ValueError(f"baseline {unknown[0]!r}; choose from {', '.join(BASELINES)}")
    encoders = {"": load_encoder(run)}
    if "untrained" in baselines:
        encoders["untrained/"] = load_encoder(run, untrained=True)
    hashes = {prefix: encoder.hash() for prefix, encoder in encoders.items()}
    describer = FrameDescriber(encoders, pixels="pixels" in baselines, grid=grid, device=device)
    settings = {
        "encoder": {"run": str(run), "hash": hashes[""], "untrained_hash": hashes.get("untrained/")},
        "transform": describer.transform.to_dict(),
        "transform_hash": describer.transform.hash,
        "grid": grid,
        "baselines": [baseline for baseline in BASELINES if baseline in baselines],
        "device": device.type,
        "versions": {"seqff": __version__, "torch": str(torch.__version__), "numpy": np.__version__},
    }
    return describer, settings


def _agree(folder: Path, settings: dict[str, Any], manifest: Manifest) -> None:
    """Write the settings of a new store; make sure that a resumed one has the same, and a finished one the same videos.

    Raises:
        RunError: they differ.
    """
    file = folder / SETTINGS
    if not file.exists():
        write_json(file, settings)
        return
    before = read_json(file)
    before.get("encoder", {})["run"] = settings["encoder"]["run"]  # the run may have moved
    changed = [name for name, value in settings.items() if before.get(name) != value]
    if changed:
        name = changed[0]
        raise RunError(
            f"{folder} was begun with {name} {before.get(name)}, now it is {settings[name]}; resume with the same "
            "settings, or overwrite"
        )
    if (folder / META).exists() and read_json(folder / META).get("manifest_hash") != manifest.hash:
        raise RunError(f"{folder} is finished, but for other videos; give another folder, or overwrite")


def _fill(job: Job, *, max_bad: float, progress: bool) -> dict[str, str]:
    """Describe every video that has no part yet; return the cause for each that cannot be read.

    Raises:
        RunError: they are more than max_bad of all videos.
    """
    failed: dict[str, str] = {}
    bad, total = len(job.manifest.bad), len(job.manifest.entries)
    frames = [len(job.sampling.frames(entry.frames)) for entry in job.manifest.usable]
    with tqdm(total=sum(frames), desc="extract", unit="frame", disable=None if progress else True) as bar:
        for entry, count in zip(job.manifest.usable, frames, strict=True):
            try:
                if not job.parts.done(entry.content_hash):
                    _describe(job, entry)
            except (VideoError, FileNotFoundError) as error:
                failed[entry.path] = str(error)
                logger.warning("skipped %s", error)
                _stop_above(max_bad, failed, bad=bad, total=total)
            bar.update(count)
    return failed


def _describe(job: Job, entry: VideoEntry) -> None:
    size = job.describer.transform.decode_size(entry.height, entry.width)
    shape = (job.sampling.part_rows(entry.frames), job.describer.width)
    with (
        open_video(Path(job.manifest.root) / entry.path, size=size, entry=entry) as reader,
        job.parts.writing(entry.content_hash, shape) as rows,
    ):
        describe_video(reader, job.describer, job.sampling, rows)


def _stop_above(max_bad: float, failed: dict[str, str], *, bad: int, total: int) -> None:
    if len(failed) + bad > max_bad * total:
        causes = "; ".join(list(failed.values())[:3])
        raise RunError(
            f"{len(failed) + bad} of {total} videos cannot be read, more than max_bad {max_bad:g} allows: {causes}. "
            "Mend or remove them, or allow more, and resume"
        )


def _finish(job: Job, folder: Path, failed: dict[str, str], settings: dict[str, Any]) -> None:
    """Join the parts to a store. meta.json comes last: until it is there, all this can be done again."""
    kept = [entry for entry in job.manifest.usable if entry.path not in failed]
    if not kept:
        raise RunError(f"none of the videos under {job.manifest.root} could be read; nothing to store")
    rows = [job.sampling.rows(entry.frames) for entry in kept]
    statistics = STATISTICS if job.sampling.per == "video" else ()
    stacked = max(len(statistics), 1)
    hashes = [entry.content_hash for entry in kept]
    job.parts.join(hashes, rows, job.describer.columns, folder / "arrays", stacked=stacked)
    skipped = {entry.path: f"{entry.status}: {entry.cause}" for entry in job.manifest.bad} | failed
    stored = [StoredVideo(entry.path, entry.content_hash, entry.frames) for entry in kept]
    write_tables(folder, stored, _index(kept, job.sampling), skipped)
    arrays = {
        name: {"width": place.width * stacked, "channels": place.channels, "grid": place.grid}
        for name, place in job.describer.columns.items()
    }
    facts = {"rows": sum(rows), "arrays": arrays, "statistics": list(statistics), "manifest_hash": job.manifest.hash}
    write_meta(folder, {**settings, **facts})


def _index(entries: Sequence[VideoEntry], sampling: Sampling) -> FeatureIndex:
    video: list[str] = []
    frame, frames, times = [], [], []
    for entry in entries:
        taken = np.array(sampling.frames(entry.frames), dtype=np.int64)
        first = taken[:1] if sampling.per == "video" else taken
        video += [entry.path] * len(first)
        frame.append(first)
        frames.append(np.full(len(first), len(taken) if sampling.per == "video" else 1, dtype=np.int64))
        times.append(entry.times_seconds[first])
    return FeatureIndex(tuple(video), np.concatenate(frame), np.concatenate(frames), np.concatenate(times))


def _trained_on(run: Path) -> list[str] | None:
    """Content hashes of the videos in the run's manifest; None where there is no manifest."""
    file = run / "manifest.json"
    return sorted({entry.content_hash for entry in Manifest.load(file).usable}) if file.exists() else None
