"""Small folders of videos for tests of the packages above `video`."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from seqff.pairs.synthetic import ClipSettings, digits, moving_object, write_clip

SETTINGS = ClipSettings(size_px=32, frames=16, object_px=20)


def write_clips(folder: Path, *, clips: int = 8, classes: int = 2, settings: ClipSettings = SETTINGS) -> Path:
    """Write FOLDER/class_C/subject_N.mp4 with moving digits, and return the folder."""
    images, labels = digits()
    for number in range(clips):
        image = images[np.flatnonzero(labels == number % classes)[number // classes]]
        path = folder / f"class_{number % classes}" / f"subject{number // classes}_{number}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_clip(path, moving_object(image, settings, np.random.default_rng(number)))
    return folder
