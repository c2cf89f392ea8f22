"""Frames of moments as small pictures, read from the videos where these are at hand; and the pages that show them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from tqdm.auto import tqdm

from seqff.errors import SeqffError, VideoError
from seqff.features import FeatureStore
from seqff.files import write_atomically
from seqff.report.activations import shown_size
from seqff.report.html import Html, Section, absent
from seqff.report.images import ImageStore
from seqff.report.page import render
from seqff.transform import FrameTransform
from seqff.video import Manifest, open_video, scan

MOST_BYTES = 4_000_000
"""Frames are added to a page as long as they take no more."""
ANY_SHAPE = FrameTransform(96, 128, fit="letterbox")
"""How frames are shown where the store does not say what its encoder saw."""

Videos = str | os.PathLike[str]


@dataclass
class Pictures:
    """Frames of a page.

    Args:
        images: those that could be read.
        why: why there are none; empty where the videos are at hand.
        failed: by path, why a video could not be read.
    """

    images: ImageStore
    why: str = ""
    failed: dict[str, str] = field(default_factory=dict)

    def show(self, video: str, frames: Sequence[int], name: str) -> Html:
        """Return frames of a video as one picture, which plays them where they are several; or say why not."""
        known = [self.images.number(video, frame) for frame in frames]
        numbers = [number for number in known if number is not None]
        if not numbers:
            return absent("No picture: " + (self.why or self.failed.get(video, "the page would be too large.")))
        return self.images.show(numbers[0], name=name) if len(numbers) == 1 else self.images.player(numbers, name=name)


def read_pictures(
    store: FeatureStore, wanted: Mapping[str, Sequence[int]], videos: Videos | None, *, progress: bool
) -> Pictures:
    """Read frames as the encoder sees them.

    Args:
        store: whose videos they are of; videos are known by their content, wherever they lie now.
        wanted: by path of a video, the numbers of the frames.
        videos: where the videos lie; None for the manifest of the run that the features are of.
        progress: show a progress bar (on a terminal).
    """
    transform = _transform(store)
    size = shown_size(transform)
    shown = FrameTransform(size[0], size[1], fit=transform.fit)
    pictures = Pictures(ImageStore(*size))
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


def write_page(out: Path, heading: str, summary: Sequence[str], parts: Sequence[Section], pictures: Pictures) -> None:
    """Write a page that needs nothing from outside."""
    content = render(heading, summary, parts, pictures.images, heading=heading)
    write_atomically(out, content.encode(errors="backslashreplace"))


def _transform(store: FeatureStore) -> FrameTransform:
    try:
        return FrameTransform(**store.meta["transform"])
    except (KeyError, TypeError, ValueError):
        return ANY_SHAPE


def _manifest(store: FeatureStore, videos: Videos | None, *, progress: bool) -> Manifest | str:
    """The videos, or why they are not known."""
    if videos is not None:
        return scan(videos, max_bad=1.0, progress=progress)
    run = (store.meta.get("encoder") or {}).get("run")
    if not run:
        return "the features do not say of which run they are; videos (--videos FOLDER) says where the videos are."
    try:
        return Manifest.load(Path(run) / "manifest.json")
    except (SeqffError, OSError) as error:
        return f"{error}; videos (--videos FOLDER) says where the videos are."
