"""A folder of clips with hostile names, one of them broken, and all results up to a report."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from helpers.clips import SETTINGS
from seqff.pairs.synthetic import digits, moving_object, write_clip

HOSTILE_FILE = "<script>window.hacked=1<.mp4"
HOSTILE_FOLDER = '"><img src=x onerror=alert(1)>'
HOSTILE_LABEL = "</script><script>window.hacked=2</script>"
ODD_FILE = os.fsdecode(b"not utf-8 \xe9, a line\nbreak and \x1b[31mred.mp4")
BROKEN = "broken &amp; <b>not a video.mp4"
STEPS = 4


@dataclass(frozen=True)
class Made:
    """Folders of videos, run and probe, the manifest, and the report."""

    videos: Path
    manifest: Path
    run: Path
    probe: Path
    page: Path


def write_videos(folder: Path) -> list[tuple[str, str]]:
    """Write ten clips of moving digits in two folders and one file that is not a video; return (video, label) pairs."""
    images, labels = digits()
    videos = []
    for number in range(10):
        name = {0: HOSTILE_FILE, 3: ODD_FILE}.get(number, f"clip {number}.mp4")
        path = folder / ("plain" if number % 2 else HOSTILE_FOLDER) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        image = images[np.flatnonzero(labels == number % 2)[number]]
        write_clip(path, moving_object(image, SETTINGS, np.random.default_rng(number)))
        videos.append((str(path.relative_to(folder)), "plain" if number % 2 else HOSTILE_LABEL))
    (folder / BROKEN).write_bytes(b"nothing of the sort")
    return videos
