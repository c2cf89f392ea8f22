"""Pictures of 9 to 16 bits a sample: how much of that is used, and how it becomes 8 bits."""

from __future__ import annotations

import re
from functools import cache
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from seqff.video.reader import Frames

Samples = NDArray[np.uint8] | NDArray[np.uint16]
"""A picture at the depth of its file, (H, W, channels)."""
Levels = tuple[int, int]
"""The samples that are shown as 0 and 255."""
DECLARED: Levels = (0, 0)
"""Levels of a picture that is shown by what its pixel format declares."""
USED = "used"
_WAYS = (USED, "declared", "range")
_DEPTHS = (8, 10, 12, 14, 16)  # what sensors give
_PIXELS = re.compile(r"(gray|ya|gbrap|gbrp|rgba|bgra|rgb|bgr)(9|10|12|14|16|48|64)(le|be)")
_ORDER = {"gbrp": (2, 0, 1), "gbrap": (2, 0, 1, 3), "bgr": (2, 1, 0), "bgra": (2, 1, 0, 3)}


class DeepFormat(NamedTuple):
    """How the frames of a deep pixel format lie in memory."""

    bits: int  # of a sample, as declared
    channels: int
    order: tuple[int, ...]  # where red, green, blue and alpha lie
    planar: bool  # each channel in a plane of its own
    dtype: str


@cache
def deep(pixels: str) -> DeepFormat | None:
    """Say how gray and RGB frames of 9 to 16 bits are stored, by FFmpeg's name; None for all others.

    YUV is none of them: cameras that write it use the depth it declares.
    """
    match = _PIXELS.fullmatch(pixels)
    if match is None:
        return None
    kind, channels = match[1], {"gray": 1, "ya": 2, "gbrap": 4, "rgba": 4, "bgra": 4}.get(match[1], 3)
    order = _ORDER.get(kind, tuple(range(channels)))
    return DeepFormat(min(int(match[2]), 16), channels, order, kind[0] == "g", "<u2" if match[3] == "le" else ">u2")


def samples_of(frame: Any) -> NDArray[np.uint16]:
    """Return the samples of a PyAV frame of a deep format, uint16 (height, width, channels), as RGB, RGBA, Y or YA."""
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
    """Return the least and the greatest sample of a picture (H, W, channels), alpha aside, and of those before it."""
    if samples.ndim == 3 and samples.shape[2] in (2, 4):
        samples = samples[:, :, :-1]
    low, high = int(samples.min()), int(samples.max())
    return (low, high) if known is None else (min(known[0], low), max(known[1], high))


def levels_of(samples: Levels, bits: int = 16, how: str = USED) -> Levels:
    """Choose the levels of a video.

    Args:
        samples: its least and greatest sample; (0, 0) of one of 8 bits, which stays as it is.
        bits: that the pixel format declares.
        how: "used": by the depth that is used, so that 12 bits in 16 are as bright as 12 bits. "declared": by what the
            pixel format declares. "range": from the least to the greatest sample. Or the two levels, as in "0-4095".

    Raises:
        ValueError: `how` is none of these.
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
    """Levels of a stream, of which only what came is known: by the depth that is used so far."""

    def __init__(self) -> None:
        self._span: Levels | None = None

    def __call__(self, samples: Samples, bits: int = 16) -> Levels:
        """Return the levels of a picture and those after it, until a deeper one comes; none of one of 8 bits."""
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
    """Return a picture in 8 bits: deep ones at these levels, by 16 bits where there are none."""
    if samples.dtype == np.uint8:
        return cast(Frames, samples)
    return in_eight_bits(samples.astype(np.uint16, copy=False), (0, 2**16 - 1) if levels == DECLARED else levels)


def in_eight_bits(samples: NDArray[np.uint16], levels: Levels) -> Frames:
    """Show samples, uint16 of any shape, at these levels as uint8; alpha is for the caller to take off."""
    return _table(levels)[samples]
