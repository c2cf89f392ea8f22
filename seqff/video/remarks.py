"""What a scan says about the pixels of a sound video, beside its measures: nothing is changed in silence."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from seqff.video.crop import WHOLE
from seqff.video.decode_pass import DecodePass
from seqff.video.shape import believed, is_absurd

_BLACK = 20
"""A video with hardly a point above this grey level (of 255) is nearly black."""
_CONSTANT = 8
"""A video with hardly a point outside so few grey levels is nearly constant."""
_STILL = 6
"""A video in which no point of a coarse grid moves by so many grey levels shows one picture."""
_SHARE = 1.0  # per cent of the points that count for nothing


def remarks(seen: DecodePass) -> Iterator[str]:
    """Yields what is done with the pixels of a video, and what is odd about them; a few words each."""
    shape = seen.sample_aspect_ratio
    if believed(shape) != 1:
        yield f"pixels of {shape.numerator}:{shape.denominator} made square"
    elif is_absurd(shape):
        yield f"pixels of {shape.numerator}:{shape.denominator} are not believed, and taken for square"
    if seen.crop != WHOLE:
        left, top, right, bottom = seen.crop
        yield f"cropped by {left}, {top}, {right}, {bottom} px (left, top, right, bottom), as the container says"
    if seen.transparent:
        yield "transparent parts, composed on black"
    if seen.hidden_alpha:
        yield "transparency that FFmpeg's decoder leaves out; shown as opaque"
    if seen.interlaced:
        yield f"interlaced ({seen.interlaced} of {len(seen.pts)} frames): a frame holds two moments, line by line"
    if seen.video_streams > 1:
        yield f"{seen.video_streams} video streams; that of {seen.stored_size[1]}x{seen.stored_size[0]} px is read"
    yield from dull(seen.brightest, seen.darkest)


def dull(brightest: NDArray[np.uint8], darkest: NDArray[np.uint8]) -> Iterator[str]:
    """Yields that a video shows next to nothing, if it does.

    Args:
        brightest: uint8 (height, width, colors), each point at its brightest over all frames.
        darkest: the same at its darkest.
    """
    moves = brightest - darkest
    if moves.mean() > max(_BLACK, _CONSTANT) + 255 * 2 * _SHARE / 100:
        return  # none of these, and there is no need to sort all points
    high = np.percentile(brightest, 100 - _SHARE, axis=(0, 1))
    span = int((high - np.percentile(darkest, _SHARE, axis=(0, 1))).max())
    if high.max() < _BLACK:
        yield f"nearly black: 99 % of it is never brighter than {int(high.max())} of 255"
    elif span < _CONSTANT:
        yield f"nearly constant: 98 % of it stays within {span} of 255 levels"
    elif moves.max() < _STILL:
        yield f"hardly changes: no point moves by more than {int(moves.max())} of 255 levels"
