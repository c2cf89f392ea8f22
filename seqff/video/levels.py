"""Images of 9 to 16 bits per sample: the depth in use, and conversion to 8 bits."""

from __future__ import annotations

import re
from functools import cache
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from seqff.video.reader import Frames

Samples = NDArray[np.uint8] | NDArray[np.uint16]
"""An image at its original depth, (H, W, channels)."""
Levels = tuple[int, int]
"""The samples shown as 0 and 255."""
DECLARED: Levels = (0, 0)
"""Levels of an image that is shown as its pixel format declares."""
USED = "used"
_WAYS = (USED, "declared", "range")
_DEPTHS = (8, 10, 12, 14, 16)  # depths of sensors
_PIXELS = re.compile(r"(gray|ya|gbrap|gbrp|rgba|bgra|rgb|bgr)(9|10|12|14|16|48|64)(le|be)")
_ORDER = {"gbrp": (2, 0, 1), "gbrap": (2, 0, 1, 3), "bgr": (2, 1, 0), "bgra": (2, 1, 0, 3)}


class DeepFormat(NamedTuple):
    """Memory layout of frames of a deep pixel format."""

    bits: int  # declared bits per sample
    channels: int
    order: tuple[int, ...]  # positions of red, green, blue and alpha
    planar: bool  # whether each channel is a separate plane
    dtype: str


@cache
def deep(pixels: str) -> DeepFormat | None:
    """Return the layout of gray and RGB frames of 9 to 16 bits, by FFmpeg's name; None for all other formats.

    YUV is not included, because cameras that write it use the full declared depth.
    """
    match = _PIXELS.fullmatch(pixels)
    if match is None:
        return None
    kind, channels = match[1], {"gray": 1, "ya": 2, "gbrap": 4, "rgba": 4, "bgra": 4}.get(match[1], 3)
    order = _ORDER.get(kind, tuple(range(channels)))
    return DeepFormat(min(int(match[2]), 16), channels, order, kind[0] == "g", "<u2" if match[3] == "le" else ">u2")


def samples_of(frame: Any) -> NDArray[np.uint16]:
    """Return the samples of a PyAV frame of a deep format as uint16 (height, width, channels): RGB, RGBA, Y or YA."""
    how = deep(frame.format.name)
    assert how is not None
    inside = 1 if how.planar else how.channels
    planes = []
    for plane in frame.planes:
        rows = np.frombuffer(plane, dtype=how.dtype).reshape(-1, plane.line_size // 2)
        planes.append(rows[: frame.height, : frame.width * inside].reshape(frame.height, frame.width, inside))
    stored = planes[0] if len(planes) == 1 else np.concatenate(planes, axis=2)
    samples: NDArray[np.uint16] = stored[:, :, list(how.order)].astype(np.uint16)
    return samples


def widened(known: Levels | None, samples: Samples) -> Levels:
    """Extend a range of samples by those of an image (H, W, channels), without alpha."""
    if samples.ndim == 3 and samples.shape[2] in (2, 4):
        samples = samples[:, :, :-1]
    low, high = int(samples.min()), int(samples.max())
    return (low, high) if known is None else (min(known[0], low), max(known[1], high))


def levels_of(samples: Levels, bits: int = 16, how: str = USED) -> Levels:
    """Choose the levels of a video.

    Args:
        samples: its minimum and maximum sample; (0, 0) for 8 bits, which need no conversion.
        bits: bits per sample declared by the pixel format.
        how: "used": by the depth in use, so that 12 bits stored in 16 are as bright as 12 bits. "declared": by the
            pixel format. "range": from the minimum to the maximum sample. Or the two levels, as in "0-4095".

    Raises:
        ValueError: another `how`.
    """
    given = re.fullmatch(r"(\d+)-(\d+)", how)
    fixed = (int(given[1]), int(given[2])) if given else DECLARED
    if how not in _WAYS and not fixed[0] < fixed[1] < 2**16:
        raise ValueError(
            f"levels {how!r} are unknown: choose one of {', '.join(_WAYS)}, or two samples that become black and "
            "white, such as 0-4095"
        )
    low, high = samples
    if high == 0 or how == "declared":
        return DECLARED
    if given:
        return fixed
    if how == "range":
        return low, max(high, low + 1)
    used = next(depth for depth in _DEPTHS if high < 2**depth)
    return 0, 2 ** min(used, bits) - 1


class SeenLevels:
    """Levels of a stream, by the depth used so far."""

    def __init__(self) -> None:
        self._span: Levels | None = None

    def __call__(self, samples: Samples, bits: int = 16) -> Levels:
        """Return the levels for an image, given all images so far; none for 8 bits."""
        if samples.dtype == np.uint8:
            return DECLARED
        self._span = widened(self._span, samples)
        return levels_of(self._span, bits)


@cache
def _table(levels: Levels) -> Frames:
    black, white = levels
    shown = (np.arange(2**16, dtype=np.float64) - black) * (255 / (white - black))
    return np.rint(shown).clip(0, 255).astype(np.uint8)


def to_uint8(samples: Samples, levels: Levels) -> Frames:
    """Convert an image to 8 bits: at these levels if it is deep, or from the full 16 bits without levels."""
    if samples.dtype == np.uint8:
        return cast(Frames, samples)
    return in_eight_bits(samples.astype(np.uint16, copy=False), (0, 2**16 - 1) if levels == DECLARED else levels)


def in_eight_bits(samples: NDArray[np.uint16], levels: Levels) -> Frames:
    """Map samples, uint16 of any shape, from these levels to uint8; the caller must remove alpha."""
    return _table(levels)[samples]
