"""Small pictures of moments, read from the videos if available, and the pages that show them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from tqdm.auto import tqdm

from seqff.errors import SeqffError, VideoError
from seqff.explore.moments import Moment, Timeline
from seqff.features import FeatureStore
from seqff.files import manifest_in, write_atomically
from seqff.report.activations import shown_size
from seqff.report.html import Html, Section, absent
from seqff.report.images import ImageStore
from seqff.report.page import render
from seqff.terminal import counted
from seqff.transform import FrameTransform
from seqff.video import Manifest, open_video, scan

FRAMES_SHOWN = 8
"""Frames shown for a clip or a whole video on a page."""
MOST_BYTES = 4_000_000
"""Limit on the bytes of frames on a page."""
ANY_SHAPE = FrameTransform(96, 128, fit="letterbox")
"""How frames are shown if the store does not contain the encoder's transform."""

Videos = str | os.PathLike[str]


@dataclass
class Pictures:
    """Frames of the moments on a page.

    Args:
        timeline: timeline of the store of the moments.
        images: the frames that could be read.
        why: why there are none; empty if the videos are available.
        failed: by path, why a video could not be read.
    """

    timeline: Timeline
    images: ImageStore
    why: str = ""
    failed: dict[str, str] = field(default_factory=dict)

    def show(self, moment: Moment) -> Html:
        """Return a moment's frames as one picture, which plays if there are several; or why there are none."""
        known = [self.images.number(moment.video, frame) for frame in self.frames(moment)]
        numbers = [number for number in known if number is not None]
        if not numbers:
            return absent("No picture: " + (self.why or self.failed.get(moment.video, "the page would be too large.")))
        if len(numbers) == 1:
            return self.images.show(numbers[0], name=moment.name)
        return self.images.player(numbers, name=moment.name)

    def frames(self, moment: Moment) -> list[int]:
        """Return the numbers of the frames that represent a moment."""
        return self.timeline.frames_of(moment, FRAMES_SHOWN)

    def write_page(self, out: Path, heading: str, parts: Sequence[Section]) -> None:
        """Write a self-contained page."""
        store = self.timeline.store
        summary = f"{len(store)} rows, one a {store.per}, of {counted(len(store.videos), 'video')} in {store.path}"
        content = render(heading, [summary], parts, self.images, heading=heading)
        write_atomically(out, content.encode(errors="backslashreplace"))


def read_pictures(timeline: Timeline, moments: Iterable[Moment], videos: Videos | None, *, progress: bool) -> Pictures:
    """Read the frames of moments as seen by the encoder.

    Args:
        timeline: timeline of the store; its videos are identified by content, wherever they are.
        moments: moments to show.
        videos: location of the videos; None for the manifest of the features' run.
        progress: show a progress bar if stderr is a terminal.
    """
    store = timeline.store
    transform = _transform(store)
    size = shown_size(transform)
    shown = FrameTransform(size[0], size[1], fit=transform.fit)
    pictures = Pictures(timeline, ImageStore(*size))
    wanted: dict[str, list[int]] = {}
    for moment in moments:
        wanted.setdefault(moment.video, []).extend(pictures.frames(moment))
    manifest = _manifest(store, videos, progress=progress)
    if isinstance(manifest, str):
        pictures.why = manifest
        return pictures
    entries = {entry.content_hash: entry for entry in manifest.usable}
    hashes = {video.path: video.content_hash for video in store.videos}
    for video, frames in tqdm(wanted.items(), "frames", unit="video", disable=None if progress else True):
        entry = entries.get(hashes[video])
        if entry is None:
            pictures.failed[video] = f"it is not under {manifest.root}."
            continue
        numbers = [frame for frame in sorted(set(frames)) if frame < entry.frames]
        if pictures.images.bytes > MOST_BYTES:
            break
        try:
            size = shown.decode_size(entry.height, entry.width)
            with open_video(manifest.path(entry), size=size, entry=entry) as reader:
                read = shown.framed(torch.from_numpy(reader.at(numbers))).numpy()
        except (VideoError, OSError) as error:
            pictures.failed[video] = f"{error}."
            continue
        for frame, pixels in zip(numbers, read, strict=True):
            pictures.images.add(video, frame, np.ascontiguousarray(pixels))
    if wanted and len(pictures.failed) == len(wanted):
        cause = next(iter(pictures.failed.values()))
        pictures.why = f"{cause} If the videos have moved, videos (--videos FOLDER) says where they are."
    return pictures


def _transform(store: FeatureStore) -> FrameTransform:
    try:
        return FrameTransform(**store.meta["transform"])
    except (KeyError, TypeError, ValueError):
        return ANY_SHAPE


def _manifest(store: FeatureStore, videos: Videos | None, *, progress: bool) -> Manifest | str:
    """The videos, or why they are unknown."""
    if videos is not None:
        return scan(videos, max_bad=1.0, progress=progress)
    run = (store.meta.get("encoder") or {}).get("run")
    if not run:
        return "the features do not say of which run they are; videos (--videos FOLDER) says where the videos are."
    try:
        return Manifest.load(manifest_in(Path(run)))
    except (SeqffError, OSError) as error:
        return f"{error}; videos (--videos FOLDER) says where the videos are."
