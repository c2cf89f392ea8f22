"""Describing every video that has no part yet."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from seqff.allocator import freed_memory_kept
from seqff.errors import RunError, VideoError
from seqff.features.decoding import Batch, decode_videos
from seqff.features.describe import FrameDescriber
from seqff.features.parts import Parts
from seqff.features.rows import RowMaker
from seqff.features.sampling import Sampling
from seqff.features.settings import SETTINGS
from seqff.features.sharing import Share
from seqff.video import Manifest, VideoEntry

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Job:
    """An extraction.

    Args:
        manifest: of the videos.
        describer: what becomes of a frame.
        sampling: which frames, and what a row is made of.
        rows: makes rows.
        parts: where finished videos wait.
        share: which videos this process does.
        workers: threads that decode.
        max_bad: largest share of videos that may be skipped.
    """

    manifest: Manifest
    describer: FrameDescriber
    sampling: Sampling
    rows: RowMaker
    parts: Parts
    share: Share
    workers: int
    max_bad: float

    def row_count(self, entry: VideoEntry) -> int:
        """Rows of a video."""
        return len(self.sampling.windows(len(self.sampling.frames(entry)))[0])


def fill(job: Job, *, stop_if: Path, progress: bool) -> None:
    """Describe every video of this process's share that has no part yet, and note those that cannot be read.

    Args:
        job: the extraction.
        stop_if: a file that is there once another process has finished the store.
        progress: show a bar.

    Raises:
        RunError: more than max_bad of all videos cannot be read.
    """
    failed: dict[str, str] = {}
    bar: tqdm[Any] = tqdm(desc="extract", unit="frame", disable=None if progress else True)
    with bar, freed_memory_kept():
        while todo := _todo(job, failed):
            bar.total = bar.n + sum(len(job.sampling.frames(entry)) for entry in todo)
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
    with job.share.alone(stop_if.with_name(SETTINGS)):  # whoever joins the store sweeps half-written files away
        if not stop_if.exists():
            job.parts.note_failed(job.share.rank, failed)


def stop_above(job: Job, failed: Mapping[str, str]) -> None:
    """Raise when more videos have failed than allowed.

    Raises:
        RunError: they have.
    """
    bad, total = len(failed) + len(job.manifest.bad), len(job.manifest)
    if bad > job.max_bad * total:
        causes = "; ".join(list(failed.values())[:3])
        raise RunError(
            f"{bad} of {total} videos cannot be read, more than max_bad {job.max_bad:g} allows: {causes}. "
            "Mend or remove them, or allow more, and resume"
        )


def _todo(job: Job, failed: Mapping[str, str]) -> list[VideoEntry]:
    """One video of each content that is to be done; another copy where one cannot be read."""
    copies: dict[str, list[VideoEntry]] = {}
    for entry in job.manifest.usable:
        copies.setdefault(entry.content_hash, []).append(entry)
    mine = [content for content in job.share.part(list(copies)) if not job.parts.done(content)]
    readable = ([entry for entry in copies[content] if entry.path not in failed] for content in mine)
    return [entries[0] for entries in readable if entries]


def _describe(job: Job, entry: VideoEntry, batches: Iterator[Batch]) -> None:
    with job.parts.writing(entry.content_hash, job.row_count(entry)) as write:
        for rows in job.rows(map(job.describer, batches)):
            write(rows)


def _counted(batches: Iterator[Batch], bar: tqdm[Any]) -> Iterator[Batch]:
    for batch in batches:
        yield batch
        bar.update(len(batch))
