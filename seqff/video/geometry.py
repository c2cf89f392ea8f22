"""Which part of a stored frame is shown, and in which shape: the container's crop, and pixels that are not square."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

Crop = tuple[int, int, int, int]
"""Px that are hidden at the (left, top, right, bottom)."""
WHOLE: Crop = (0, 0, 0, 0)
_SQUARE = Fraction(1, 100)  # as near to square is: encoders round sizes, and players show no difference
_MOST_OBLONG = 8  # more is a damaged header
Orientation = tuple[int, int, int, int]
"""A display matrix in signs (a, b, c, d): x' = a x + c y, y' = b x + d y."""
UPRIGHT: Orientation = (1, 0, 0, 1)


def pixel_aspect(stream: Any) -> Fraction:
    """Returns width to height of a pixel of a PyAV video stream: the container's word, else the codec's, else 1."""
    aspect = stream.sample_aspect_ratio or stream.codec_context.sample_aspect_ratio
    return Fraction(aspect) if aspect and aspect > 0 else Fraction(1)


def plausible_aspect(aspect: Fraction) -> Fraction:
    """Returns the aspect of a pixel, or 1 where it is nearly square or absurd."""
    return Fraction(1) if abs(aspect - 1) <= _SQUARE or is_absurd(aspect) else aspect


def is_absurd(aspect: Fraction) -> bool:
    """Whether pixels are so oblong that the header must be wrong."""
    return not Fraction(1, _MOST_OBLONG) <= aspect <= _MOST_OBLONG


def display_size(stored: tuple[int, int], aspect: Fraction, crop: Crop = WHOLE) -> tuple[int, int]:
    """Returns the (height, width) px at which a stored frame is shown with square pixels, its height kept."""
    left, top, right, bottom = crop
    return stored[0] - top - bottom, max(1, round((stored[1] - left - right) * aspect))
