"""Many runs over the same videos: every frame is decoded once, goes through all their encoders, and ends in stores
that are the same as if each run had been extracted by itself."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from seqff.devices import choose_device
from seqff.features.describe import Columns, FrameDescriber
from seqff.features.filling import Job, fill
from seqff.features.finishing import finish
from seqff.features.parts import Parts
from seqff.features.pooling import Grid
from seqff.features.rows import RowMaker
from seqff.features.sampling import Sampling
from seqff.features.settings import SETTINGS, agree, load_encoders, sampling_settings, settings_of, trained_on
from seqff.features.sharing import Share
from seqff.features.store import META, FeatureStore
from seqff.files import claim_folder, read_json, write_json
from seqff.nets import Encoder, load_encoder
from seqff.video import Manifest, scan

MOST_BYTES = 2**29
"""Of weights that are held at a time; runs beyond go through the videos in a further pass."""


@dataclass(frozen=True)
class Wanted:
    """One store: of which run, where, and with which baselines beside the trained encoder (see `extract`)."""

    run: Path
    out: Path
    baselines: tuple[str, ...]


@dataclass(frozen=True)
class _Member:
    """A run of a pass: what is wanted, its encoders by prefix, and the settings of its store."""

    wanted: Wanted
    encoders: dict[str, Encoder]
    settings: dict[str, Any]

    @property
    def bytes(self) -> int:
        return sum(p.numel() * p.element_size() for encoder in self.encoders.values() for p in encoder.parameters())


def extract_together(
    wanted: Sequence[Wanted],
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
    """Do what `extract(run, videos, out=out, baselines=baselines, resume=True)` does, for many runs in one go.

    Args:
        wanted: the stores; those that are finished are left alone.
        videos: a manifest, as `scan` takes it.
        work: folder for what an interrupted extraction goes on from; deleted at the end.
        per: see `extract`.
        grid: see `extract`.
        every: see `extract`.
        device: "auto", "cpu" or "cuda".
        max_bad: largest share of videos that may be skipped because they cannot be read.
        progress: show bars where stderr is a terminal.

    Returns:
        The stores, in the order wanted.

    Raises:
        SeqffError, ValueError: see `extract`.
    """
    sampling, target = Sampling(per, every), choose_device(device)
    todo = [one for one in wanted if not (one.out / META).exists()]
    manifest = scan(videos, max_bad=max_bad, progress=progress) if todo else None
    for members in _passes(todo, sampling, grid, target):
        assert manifest is not None
        _extract(members, manifest, work, sampling, grid, target, max_bad=max_bad, progress=progress)
    return [FeatureStore.open(one.out) for one in wanted]


def _passes(wanted: Sequence[Wanted], sampling: Sampling, grid: Grid, device: torch.device) -> Iterator[list[_Member]]:
    """Yield runs that see frames of one size, as many at a time as memory is meant to hold."""
    sizes = {one.out: load_encoder(one.run).transform.hash for one in wanted}
    members: list[_Member] = []
    for one in sorted(wanted, key=lambda one: sizes[one.out]):
        encoders = load_encoders(one.run, one.baselines)
        settings = settings_of(one.run, encoders, one.baselines, grid, device)
        member = _Member(one, encoders, {**settings, **sampling_settings(sampling), "dtype": "fp32"})
        fits = not members or sizes[members[0].wanted.out] == sizes[one.out]
        if not fits or sum(other.bytes for other in members) + member.bytes > MOST_BYTES:
            yield members
            members = []
        members.append(member)
    if members:
        yield members


def _extract(
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
    pixels = any("pixels" in member.wanted.baselines for member in members)
    describer = FrameDescriber(encoders, pixels=pixels, grid=grid, device=device)
    rows = RowMaker(describer.columns, sampling, "fp32")
    _begin(work, {"members": [member.settings for member in members], "videos": manifest.hash})
    job = Job(manifest, describer, sampling, rows, Parts(work / "parts", rows.width, rows.dtype), Share(), 1, max_bad)
    fill(job, stop_if=work / META, progress=progress)
    for number, member in enumerate(members):
        out = member.wanted.out
        claim_folder(out, marker=SETTINGS, overwrite=False, resume=True)
        agree(out, member.settings)
        own = _own(rows.columns, f"{number}/", pixels="pixels" in member.wanted.baselines)
        shutil.rmtree(out / "parts", ignore_errors=True)  # of an extraction by itself that was interrupted
        facts = {**member.settings, "trained_on": trained_on(member.wanted.run)}
        finish(job, FeatureStore(out), facts, columns=own)
    shutil.rmtree(work, ignore_errors=True)


def _begin(work: Path, settings: dict[str, Any]) -> None:
    """Go on with what lies in the folder if it is of the same encoders and videos; else begin anew."""
    file = work / SETTINGS
    if not file.exists() or read_json(file) != settings:
        shutil.rmtree(work, ignore_errors=True)
        write_json(file, settings)


def _own(columns: dict[str, Columns], prefix: str, *, pixels: bool) -> dict[str, Columns]:
    """The columns of one run by the names they have in its own store."""
    own = {name.removeprefix(prefix): place for name, place in columns.items() if name.startswith(prefix)}
    return {**own, "pixels": columns["pixels"]} if pixels else own
