"""From parts to a store: meta.json comes last, and until it is there all this can be done again."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from seqff.errors import RunError
from seqff.features.describe import Columns
from seqff.features.filling import Job, stop_above
from seqff.features.sampling import Sampling
from seqff.features.store import FeatureIndex, FeatureStore, StoredVideo, write_meta, write_tables
from seqff.video import VideoEntry

logger = logging.getLogger(__name__)


def finish(
    job: Job, store: FeatureStore, settings: dict[str, Any], *, columns: Mapping[str, Columns] | None = None
) -> None:
    """Join the parts to a store, unless other processes still have videos to do, or one has joined it already.

    Args:
        job: the extraction.
        store: to write.
        settings: for its meta.json.
        columns: of the parts, by the names of the store's arrays; None for all.

    Raises:
        RunError: no video could be read, or more than max_bad could not.
    """
    if store.finished:
        return
    failed = job.parts.failed()
    kept = [entry for entry in job.manifest.usable if job.parts.done(entry.content_hash)]
    have = {entry.path for entry in kept}
    lost = {entry.path: failed.get(entry.path, "") for entry in job.manifest.usable if entry.path not in have}
    waiting = [path for path, cause in lost.items() if not cause]
    if waiting:
        logger.info("%d videos are left to other ranks", len(waiting))
        return
    stop_above(job, lost)
    if not kept:
        raise RunError(f"none of the videos under {job.manifest.root} could be read; nothing to store")
    _join(job, store, kept, lost, settings, job.rows.columns if columns is None else columns)


def _join(
    job: Job,
    store: FeatureStore,
    kept: Sequence[VideoEntry],
    lost: dict[str, str],
    settings: dict[str, Any],
    columns: Mapping[str, Columns],
) -> None:
    folder = store.path
    for stale in folder.rglob("*.partial"):  # of a process that was killed while it wrote
        stale.unlink()
    rows = sum(map(job.row_count, kept))
    job.parts.join([entry.content_hash for entry in kept], rows, columns, folder / "arrays")
    bad = {entry.path: f"{entry.status}: {entry.cause}" for entry in job.manifest.bad}
    skipped = dict(sorted((bad | lost).items()))
    stored = [StoredVideo(entry.path, entry.content_hash, entry.frames) for entry in kept]
    write_tables(folder, stored, index_of(kept, job.sampling), skipped)
    arrays = {
        name: {"width": place.width, "channels": place.channels, "cells": list(place.cells)}
        for name, place in columns.items()
    }
    facts = {"rows": rows, "arrays": arrays, "skipped": skipped, "manifest_hash": job.manifest.hash}
    write_meta(folder, {**settings, **facts})


def index_of(entries: Sequence[VideoEntry], sampling: Sampling) -> FeatureIndex:
    """What each row stands for, videos in the order given."""
    video: list[str] = []
    frame, frames, times = [], [], []
    for entry in entries:
        taken = sampling.frames(entry)
        starts, length = sampling.windows(len(taken))
        first = taken[np.asarray(starts)]
        video += [entry.path] * len(first)
        frame.append(first)
        frames.append(np.full(len(first), length, dtype=np.int64))
        times.append(entry.times_seconds[first])
    return FeatureIndex(tuple(video), np.concatenate(frame), np.concatenate(frames), np.concatenate(times))
