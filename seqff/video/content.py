"""Analyze the content of videos: shot cuts, repeated frames, empty pictures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqff.video.entry import VideoEntry, pack
from seqff.video.levels import DECLARED, Levels, Samples, levels_of, to_uint8, widened

STILL = 0.05
"""Two frames are the same if their gray thumbnails have a mean difference below this (of 255)."""
CUT = 12.0
CUT_FACTOR = 4.0
"""A shot cut changes more than CUT levels, and CUT_FACTOR times as much as is usual around it."""
AROUND = 6
"""Number of frames before and after a change that it is compared with."""
# A video is nearly black if hardly any point exceeds _BLACK (of 255), nearly constant if hardly any point is outside a
# range of _CONSTANT levels, and still if no point of a coarse grid changes by _UNMOVED levels. Hardly any: _SHARE %.
_BLACK, _CONSTANT, _UNMOVED, _SHARE = 20, 8, 6, 1.0
_SIDE = 64


class Change:
    """Measures, on a coarse grid, how much each frame differs from the previous one."""

    def __init__(self) -> None:
        self._before: NDArray[np.float32] | None = None

    def __call__(self, frame: Samples) -> float:
        """Return the mean absolute difference in gray levels, of 255 or 65535; 0 for the first frame and new sizes."""
        down, right = max(1, frame.shape[0] // _SIDE), max(1, frame.shape[1] // _SIDE)
        gray = frame[::down, ::right].mean(axis=2, dtype=np.float32)
        before, self._before = self._before, gray
        return 0.0 if before is None or before.shape != gray.shape else float(np.abs(gray - before).mean())


def shot_cuts(change: NDArray[np.float64]) -> list[int]:
    """Find each n with a cut between frames n and n + 1.

    Args:
        change: (frames,), mean absolute difference of each frame to the previous one, in gray levels of 255.
    """
    cuts = []
    for index in np.flatnonzero(change > CUT).tolist():
        around = np.concatenate([change[max(1, index - AROUND) : index], change[index + 1 : index + 1 + AROUND]])
        if is_cut(float(change[index]), around):
            cuts.append(index - 1)
    return cuts


def is_cut(change: float, around: NDArray[np.float64]) -> bool:
    """Whether a change is a shot cut, given the changes of the surrounding frames."""
    return change > CUT and (not len(around) or change > CUT_FACTOR * float(np.median(around)))


def still_pairs(change: NDArray[np.float64]) -> list[int]:
    """Find each n for which frames n and n + 1 are the same; see `shot_cuts` for the argument."""
    still: list[int] = np.flatnonzero(change[1:] < STILL).tolist()
    return still


def emptiness(brightest: NDArray[np.uint8], darkest: NDArray[np.uint8]) -> Iterator[str]:
    """Yield a remark if a video shows almost nothing, from the maximum and minimum of each point, (H, W, C)."""
    moves = brightest - darkest
    if moves.mean() > max(_BLACK, _CONSTANT) + 255 * 2 * _SHARE / 100:
        return  # none of these apply, so sorting is unnecessary
    high = np.percentile(brightest, 100 - _SHARE, axis=(0, 1))
    span = int((high - np.percentile(darkest, _SHARE, axis=(0, 1))).max())
    if high.max() < _BLACK:
        yield f"nearly black: 99 % of it is never brighter than {int(high.max())} of 255"
    elif span < _CONSTANT:
        yield f"nearly constant: 98 % of it stays within {span} of 255 levels"
    elif moves.max() < _UNMOVED:
        yield f"hardly changes: no point moves by more than {int(moves.max())} of 255 levels"


class ContentStatistics:
    """Depth, size, transparency and change of a sequence of pictures.

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

    def add(self, samples: Samples, transparent: bool) -> None:
        """Add a picture, (H, W, channels)."""
        height, width = samples.shape[:2]
        self.sizes.append((height, width))
        self._transparent |= transparent
        rows, columns = (((np.arange(_SIDE) + 0.5) * side / _SIDE).astype(int) for side in (height, width))
        points: Samples = samples[rows[:, None], columns]
        self._brightest = points if self._brightest is None else np.maximum(self._brightest, points)
        self._darkest = points if self._darkest is None else np.minimum(self._darkest, points)
        self._changes.append(self._measure(samples))
        if samples.dtype == np.uint16:
            self._span = widened(self._span, samples)

    def described(self, entry: VideoEntry, **more: Any) -> VideoEntry:
        """Return the entry with the results, and with further fields."""
        height, width = self.sizes[0]
        levels = levels_of(self._span or DECLARED)
        change = np.asarray(self._changes) * (1.0 if self._span is None else 255 / (levels[1] or 2**16 - 1))
        return replace(
            entry,
            frames=len(self.sizes),
            key_runs=pack(range(len(self.sizes))),
            cut_runs=pack(shot_cuts(change)),
            still_runs=pack(still_pairs(change)),
            height=height,
            width=width,
            stored_size=(height, width),
            bits=8 if self._span is None else 16,
            samples=self._span or DECLARED,
            levels=levels,
            alpha=self._transparent,
            **more,
        )

    def remarks(self) -> Iterator[str]:
        """Yield remarks about unusual pictures."""
        if len(set(self.sizes)) > 1:
            yield "images of several sizes; shown at the size of the first"
        if self._transparent:
            yield "transparent parts, composed on black"
        if self._brightest is not None and self._darkest is not None:
            levels = levels_of(self._span or DECLARED)
            yield from emptiness(to_uint8(self._brightest, levels), to_uint8(self._darkest, levels))
