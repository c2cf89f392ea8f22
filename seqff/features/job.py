"""The work of one extraction process: it processes its shard of the videos, and the last process merges the store.

Several processes may share a store. meta.json is written last; until then, every step can be repeated.
"""

from __future__ import annotations

import logging
import os
from array import array as numbers
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm.auto import tqdm

from seqff.allocator import freed_memory_kept
from seqff.errors import RunError, VideoError
from seqff.features.decoding import Batch, decode_videos
from seqff.features.describe import Columns, FrameDescriber
from seqff.features.parts import Parts
from seqff.features.sampling import RowMaker, Sampling
from seqff.features.settings import SETTINGS
from seqff.features.store import FeatureIndex, FeatureStore, StoredVideo, write_meta, write_tables
from seqff.locks import exclusive
from seqff.video import Manifest, VideoEntry
from seqff.video.rows import Entries, chosen, column

logger = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass(frozen=True)
class Shard:
    """The share of one process: its rank, from 0, among `world_size`."""

    rank: int = 0
    world_size: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.rank < self.world_size:
            raise ValueError(f"rank is {self.rank} of {self.world_size}; it must be 0 to {self.world_size - 1}")

    @classmethod
    def of(cls, rank: int | None, world_size: int | None) -> Shard:
        """The given shard; without arguments, that of torchrun's RANK and WORLD_SIZE, else everything.

        Raises:
            ValueError: only one of the two was given, or the rank is out of range.
        """
        if (rank is None) != (world_size is None):
            raise ValueError(f"rank is {rank} and world_size {world_size}; give both or neither")
        if rank is not None and world_size is not None:
            return cls(rank, world_size)
        try:
            return cls(int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1)))
        except ValueError as error:
            raise ValueError(f"RANK or WORLD_SIZE in the environment: {error}") from error

    def part(self, items: Sequence[T]) -> Sequence[T]:
        """Every world_size-th item, starting at the rank-th."""
        return items[self.rank :: self.world_size]

    def device(self, device: torch.device) -> torch.device:
        """Choose the CUDA device of a process started by torchrun, by its local rank."""
        local = os.environ.get("LOCAL_RANK", "")
        if device.type != "cuda" or device.index is not None or not local.isdigit():
            return device
        return torch.device("cuda", int(local) % torch.cuda.device_count())

    def alone(self, file: Path) -> AbstractContextManager[object]:
        """Context of a lock on a file that all processes share; it is released if a process is killed."""
        return exclusive(file) if self.world_size > 1 else nullcontext()


@dataclass(frozen=True)
class Job:
    """An extraction: its videos, how frames and rows are computed, and where finished videos are kept.

    Args:
        shard: the videos that this process handles.
        workers: number of decoding threads.
        max_bad: largest share of videos that may be skipped.
    """

    manifest: Manifest
    describer: FrameDescriber
    sampling: Sampling
    rows: RowMaker
    parts: Parts
    shard: Shard
    workers: int
    max_bad: float

    def row_counts(self, entries: Sequence[VideoEntry]) -> NDArray[np.int64]:
        """Number of rows of each video, (n,) int64."""
        taken = self.sampling.counts(entries).tolist()
        return np.fromiter((len(self.sampling.windows(count)[0]) for count in taken), dtype=np.int64)


def fill(job: Job, *, stop_if: Path, progress: bool) -> None:
    """Compute a part for every video of this process's shard that has none, and record those that cannot be read.

    `stop_if` is a file that exists once another process has finished the store.

    Raises:
        RunError: more than max_bad of all videos cannot be read.
    """
    failed: dict[str, str] = {}
    bar: tqdm[Any] = tqdm(desc="extract", unit="frame", disable=None if progress else True)
    with bar, freed_memory_kept():
        while todo := videos_to_do(job, failed):
            done = bar.n
            bar.reset(done + int(job.sampling.counts(todo).sum()))  # also updates a notebook's bar
            bar.update(done)
            decoded = decode_videos(job.manifest.root, todo, job.sampling, job.describer.transform, workers=job.workers)
            with closing(decoded):
                for entry, batches in decoded:
                    if stop_if.exists():
                        return
                    try:
                        _describe(job, entry, _counted(batches, bar))
                    except (VideoError, FileNotFoundError) as error:
                        failed[entry.path] = str(error)
                        logger.warning("skipped %s", error)
                        stop_above(job, failed)
    with job.shard.alone(stop_if.with_name(SETTINGS)):  # the process that merges the store deletes partial files
        if not stop_if.exists():
            job.parts.note_failed(job.shard.rank, failed)


def stop_above(job: Job, failed: Mapping[str, str]) -> None:
    """Raise RunError if more videos have failed than allowed."""
    bad, total = len(failed) + len(job.manifest.bad), len(job.manifest)
    if bad > job.max_bad * total:
        causes = "; ".join(list(failed.values())[:3])
        raise RunError(
            f"{bad} of {total} videos cannot be read, more than max_bad {job.max_bad:g} allows: {causes}. "
            "Mend or remove them, or raise max_bad (--max-bad), and resume"
        )


def videos_to_do(job: Job, failed: Mapping[str, str]) -> Entries:
    """One pending video per content hash; another copy if one could not be read."""
    usable = job.manifest.usable
    contents, first, content = np.unique(column(usable, "content_hash"), return_index=True, return_inverse=True)
    turn = np.empty(len(first), dtype=np.int64)
    turn[np.argsort(first)] = np.arange(len(first))  # rank of each content by its first video
    wanted = ((turn % job.shard.world_size == job.shard.rank) & ~np.isin(contents, job.parts.done()))[content]
    if failed:
        wanted &= np.array([path not in failed for path in column(usable, "path")], dtype=bool)
    places = np.flatnonzero(wanted)
    return chosen(usable, np.sort(places[np.unique(content[places], return_index=True)[1]]))


def _describe(job: Job, entry: VideoEntry, batches: Iterator[Batch]) -> None:
    with job.parts.writing(entry.content_hash, int(job.row_counts((entry,))[0])) as write:
        for rows in job.rows(map(job.describer, batches)):
            write(rows)


def _counted(batches: Iterator[Batch], bar: tqdm[Any]) -> Iterator[Batch]:
    for batch in batches:
        yield batch
        bar.update(len(batch))


def finish(
    job: Job, store: FeatureStore, settings: dict[str, Any], *, columns: Mapping[str, Columns] | None = None
) -> None:
    """Merge the parts into a store, unless other processes still have videos to do, or one has merged it already.

    `settings` go into its meta.json. `columns` locate the store's arrays in the parts, by name; None uses all.

    Raises:
        RunError: no video could be read, or more than max_bad could not.
    """
    if store.finished:
        return
    failed = job.parts.failed()
    usable = job.manifest.usable
    have = np.isin(column(usable, "content_hash"), job.parts.done())
    kept = chosen(usable, have)
    lost = {path: failed.get(path, "") for path in column(chosen(usable, ~have), "path")}
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
    kept: Entries,
    lost: dict[str, str],
    settings: dict[str, Any],
    columns: Mapping[str, Columns],
) -> None:
    folder = store.path
    for stale in folder.rglob("*.partial"):  # left by a process that was killed while writing
        stale.unlink()
    rows = int(job.row_counts(kept).sum())
    contents = [content.decode() for content in column(kept, "content_hash")]
    job.parts.join(contents, rows, columns, folder / "arrays")
    bad = {entry.path: f"{entry.status}: {entry.cause}" for entry in job.manifest.bad}
    skipped = dict(sorted((bad | lost).items()))
    stored = map(StoredVideo, column(kept, "path"), contents, column(kept, "frames").tolist())
    write_tables(folder, stored, index_of(kept, job.sampling), skipped)
    arrays = {
        name: {"width": place.width, "channels": place.channels, "cells": list(place.cells)}
        for name, place in columns.items()
    }
    metadata = {"rows": rows, "arrays": arrays, "skipped": skipped, "manifest_hash": job.manifest.hash}
    write_meta(folder, {**settings, **metadata})


def index_of(entries: Sequence[VideoEntry], sampling: Sampling) -> FeatureIndex:
    """The index of the rows, with videos in the order given."""
    video, frame, frames, times = list[str](), numbers("q"), numbers("q"), numbers("d")
    for entry in entries:
        taken = sampling.frames(entry)
        starts, length = sampling.windows(len(taken))
        first = taken[np.asarray(starts)]
        video += [entry.path] * len(first)
        frame.extend(first.tolist())
        frames.extend([length] * len(first))
        times.extend(entry.times_seconds[first].tolist())
    return FeatureIndex(tuple(video), *(np.array(column) for column in (frame, frames, times)))
