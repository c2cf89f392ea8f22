"""What a scan notes of the pictures of a numbered sequence or of a stack, one after another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from seqff.video.entry import VideoEntry
from seqff.video.levels import DECLARED, Levels, joined, levels_of, span
from seqff.video.picture import Samples, shown
from seqff.video.remarks import dull

_POINTS = 16


class PictureFacts:
    """Depth, size, transparency and dullness of pictures.

    Attributes:
        sizes: (height, width) of each picture, px.
    """

    def __init__(self) -> None:
        self.sizes: list[tuple[int, int]] = []
        self._points: list[Samples] = []
        self._span: Levels | None = None
        self._transparent = False

    def note(self, samples: Samples, transparent: bool) -> None:
        """Notes a picture; see `decode_picture`."""
        height, width = samples.shape[:2]
        self.sizes.append((height, width))
        self._transparent |= transparent
        self._points.append(_sampled(samples))
        if samples.dtype == np.uint16:
            self._span = joined(self._span, span(samples))

    @property
    def levels(self) -> Levels:
        """At which deep pictures are shown by default."""
        return levels_of(self._span or DECLARED)

    @property
    def per_level(self) -> float:
        """How much of a grey level of 255 a level of the pictures is."""
        return 1.0 if self._span is None else 255 / (self.levels[1] or 2**16 - 1)

    def described(self, entry: VideoEntry) -> VideoEntry:
        """Returns the entry with what was noted."""
        height, width = self.sizes[0]
        return replace(
            entry,
            frames=len(self.sizes),
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
        yield from dull([shown(points, self.levels) for points in self._points])


def _sampled(samples: Samples) -> Samples:
    """Returns 16 x 16 points of a picture of any size, spread evenly."""
    rows, columns = (((np.arange(_POINTS) + 0.5) * side / _POINTS).astype(int) for side in samples.shape[:2])
    points: Samples = samples[rows[:, None], columns]
    return points
