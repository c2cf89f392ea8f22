"""The shape of a picture as players show it: pixels that are not square are made square."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from seqff.video.crop import WHOLE, Crop

_SQUARE = Fraction(1, 100)
"""Pixels this near to square are: encoders write such ratios after rounding a size, and players show no difference."""
_MOST = 8
"""Pixels more oblong than this are a damaged header."""


def said_shape(stream: Any) -> Fraction:
    """Returns width to height of a pixel of a PyAV video stream: the container's word, else the codec's, else 1."""
    said = stream.sample_aspect_ratio or stream.codec_context.sample_aspect_ratio
    return Fraction(said) if said and said > 0 else Fraction(1)


def believed(shape: Fraction) -> Fraction:
    """Returns the shape of a pixel, or 1 where it is nearly square or absurd."""
    return Fraction(1) if abs(shape - 1) <= _SQUARE or is_absurd(shape) else shape


def is_absurd(shape: Fraction) -> bool:
    """Whether pixels are so oblong that the header must be wrong."""
    return not Fraction(1, _MOST) <= shape <= _MOST


def display_size(stored: tuple[int, int], shape: Fraction, crop: Crop = WHOLE) -> tuple[int, int]:
    """Returns the (height, width) px at which a stored frame is shown with square pixels, its height kept.

    Args:
        stored: (height, width) px.
        shape: width to height of a pixel.
        crop: px to take off at the (left, top, right, bottom).
    """
    left, top, right, bottom = crop
    return stored[0] - top - bottom, max(1, round((stored[1] - left - right) * shape))
