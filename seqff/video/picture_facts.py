"""What a scan notes of the pictures of a numbered sequence or of a stack, one after another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from seqff.video.changes import Change, shot_cuts, still_pairs
from seqff.video.entry import VideoEntry
from seqff.video.levels import DECLARED, Levels, joined, levels_of, span
from seqff.video.picture import Samples, shown
from seqff.video.remarks import dull
from seqff.video.runs import pack

_POINTS = 64


class PictureFacts:
    """Depth, size, transparency, change and dullness of pictures.

    Attributes:
        sizes: (height, width) of each picture, px.
    """

    def __init__(self) -> None:
        self.sizes: list[tuple[int, int]] = []
        self._brightest: Samples | None = None
        self._darkest: Samples | None = None
        self._span: Levels | None = None
        self._transparent = False
        self._measure, self._changes = Change(), list[float]()

    def note(self, samples: Samples, transparent: bool) -> None:
        """Notes a picture; see `decode_picture`."""
        height, width = samples.shape[:2]
        self.sizes.append((height, width))
        self._transparent |= transparent
        points = _sampled(samples)
        self._brightest = points if self._brightest is None else np.maximum(self._brightest, points)
        self._darkest = points if self._darkest is None else np.minimum(self._darkest, points)
        self._changes.append(self._measure(samples))
        if samples.dtype == np.uint16:
            self._span = joined(self._span, span(samples))

    @property
    def levels(self) -> Levels:
        """At which deep pictures are shown by default."""
        return levels_of(self._span or DECLARED)

    @property
    def change(self) -> NDArray[np.float64]:
        """Change of each picture to the one before, float64 (pictures,), of 255; see `shot_cuts`."""
        per_level = 1.0 if self._span is None else 255 / (self.levels[1] or 2**16 - 1)
        return np.asarray(self._changes) * per_level

    def described(self, entry: VideoEntry) -> VideoEntry:
        """Returns the entry with what was noted."""
        height, width = self.sizes[0]
        return replace(
            entry,
            frames=len(self.sizes),
            key_runs=pack(range(len(self.sizes))),
            cut_runs=pack(shot_cuts(self.change)),
            still_runs=pack(still_pairs(self.change)),
            height=height,
            width=width,
            stored_size=(height, width),
            bits=8 if self._span is None else 16,
            samples=self._span or DECLARED,
            levels=self.levels,
            alpha=self._transparent,
        )

    def remarks(self) -> Iterator[str]:
        """Yields what is odd about the pictures."""
        if len(set(self.sizes)) > 1:
            yield "images of several sizes; shown at the size of the first"
        if self._transparent:
            yield "transparent parts, composed on black"
        if self._brightest is not None and self._darkest is not None:
            yield from dull(shown(self._brightest, self.levels), shown(self._darkest, self.levels))


def _sampled(samples: Samples) -> Samples:
    """Returns 64 x 64 points of a picture of any size, spread evenly."""
    rows, columns = (((np.arange(_POINTS) + 0.5) * side / _POINTS).astype(int) for side in samples.shape[:2])
    points: Samples = samples[rows[:, None], columns]
    return points
