"""Convert decoded PyAV frames to upright RGB arrays: 8 bits, opaque, cropped, square pixels, scaled, rotated."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import cache
from typing import Any, TypeVar, cast

import av
import av.filter
import numpy as np
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from seqff.video.levels import DECLARED, Levels, deep, in_eight_bits, samples_of
from seqff.video.reader import Frames

Crop = tuple[int, int, int, int]
"""Px hidden at the (left, top, right, bottom)."""
WHOLE: Crop = (0, 0, 0, 0)
Orientation = tuple[int, int, int, int]
"""The signs (a, b, c, d) of a display matrix: x' = a x + c y, y' = b x + d y."""
UPRIGHT: Orientation = (1, 0, 0, 1)
_SQUARE = Fraction(1, 100)  # tolerance for square pixels: encoders round sizes, and players ignore the difference
_MOST_OBLONG = 8  # larger aspect ratios indicate a damaged header
_MATRIX, _KINDS = 6, 64  # FFmpeg's type of side data for the display matrix, and an upper limit of types
_Sample = TypeVar("_Sample", np.uint8, np.uint16)


class ToRgb:
    """Converts PyAV frames to upright RGB of one size.

    Keeps one scaler for all frames: setting one up per frame, as `frame.reformat` does, costs more than the scaling.
    Frames are downscaled by area averaging, which neither aliases nor rings and costs half of a bicubic filter.

    Args:
        height: height after rotation, px.
        width: width after rotation, px.
        orientation, levels, crop: see `VideoEntry`.

    Attributes:
        levels: may be changed between frames.
        transparent: whether any frame had transparent parts.
    """

    def __init__(
        self, height: int, width: int, orientation: Orientation, levels: Levels = DECLARED, crop: Crop = WHOLE
    ) -> None:
        self.levels, self.transparent = levels, False
        self._crop, self._turn = crop, orientation
        self._height, self._width = (width, height) if orientation[1] else (height, width)
        self._scaler, self._converter = VideoReformatter(), VideoReformatter()

    def __call__(self, frame: Any) -> Frames:
        """Return uint8 (height, width, 3), contiguous; a view of memory that is not used elsewhere."""
        pixels = frame.format.name
        if self.levels != DECLARED and deep(pixels):
            frame = self._shallow(frame)
        elif has_alpha(pixels):
            frame = self._opaque(frame)
        if self._crop != WHOLE:
            frame = self._cropped(frame)
        shrinks = self._width <= frame.width and self._height <= frame.height
        how: dict[str, Any] = {"interpolation": "AREA" if shrinks else "BICUBIC", **_one_thread()}
        image = cast(Frames, self._scaler.reformat(frame, self._width, self._height, "rgb24", **how).to_ndarray())
        return image if self._turn == UPRIGHT else _turned(image, self._turn)

    def _shallow(self, frame: Any) -> Any:
        """Convert a deep frame to 8 bits, opaque."""
        how, samples = deep(frame.format.name), samples_of(frame)
        assert how is not None
        colors = 3 if how.channels > 2 else 1
        image = in_eight_bits(samples[:, :, :colors], self.levels)
        if how.channels > colors:
            image = self._composed(image, samples[:, :, colors:], 2**how.bits - 1)
        return _as_frame(image)

    def _opaque(self, frame: Any) -> Any:
        image = self._converted(frame, "rgba")
        if image[:, :, 3].min() == 255:
            return frame
        return _as_frame(self._composed(image[:, :, :3], image[:, :, 3:], 255))

    def _composed(self, image: Frames, alpha: NDArray[np.integer[Any]], opaque: int) -> Frames:
        if int(alpha.min()) < opaque:
            self.transparent = True
            return on_black(image, alpha, opaque)
        return image

    def _cropped(self, frame: Any) -> Any:
        left, top, right, bottom = self._crop
        image = self._converted(frame, "rgb24")
        return _as_frame(image[top : image.shape[0] - bottom, left : image.shape[1] - right])

    def _converted(self, frame: Any, pixels: str) -> Frames:
        return cast(Frames, self._converter.reformat(frame, format=pixels, **_one_thread()).to_ndarray())


@cache
def _one_thread() -> dict[str, Any]:
    """Scale in one thread: by default PyAV uses every core, at three times the cost. Old releases lack the option."""
    return {"threads": 1} if "threads=" in (VideoReformatter.reformat.__doc__ or "") else {}


@cache
def has_alpha(pixels: str) -> bool:
    """Whether a pixel format, by FFmpeg's name, supports transparency; palettes do."""
    kind = av.VideoFormat(pixels)
    return bool(kind.has_palette) or any(component.is_alpha for component in kind.components)


@cache
def declared_bits(pixels: str) -> int:
    """Bits per sample that a pixel format declares, by FFmpeg's name; 8 for palettes."""
    kind = av.VideoFormat(pixels)
    return 8 if kind.has_palette else max(component.bits for component in kind.components)


def on_black(image: NDArray[_Sample], alpha: NDArray[np.integer[Any]], opaque: int) -> NDArray[_Sample]:
    """Composite a picture (H, W, 1 or 3), with straight alpha (H, W, 1) from 0 to `opaque`, on black."""
    composed = (image * alpha.astype(np.uint32) + opaque // 2) // opaque
    return composed.astype(image.dtype)


def _as_frame(image: Frames) -> Any:
    gray = image.shape[2] == 1
    plain = np.ascontiguousarray(image[:, :, 0] if gray else image)
    return av.VideoFrame.from_ndarray(plain, format="gray" if gray else "rgb24")


def _turned(image: Frames, orientation: Orientation) -> Frames:
    """Rotate and mirror an image (H, W, 3) by the display matrix; the result is contiguous."""
    a, b, c, d = orientation
    if b:
        image = image.swapaxes(0, 1)
        right, down = c, b
    else:
        right, down = a, d
    return np.ascontiguousarray(image[:: down or 1, :: right or 1])


def orientation_of(frame: Any) -> Orientation:
    """Read the display matrix of a PyAV frame."""
    matrix = _display_matrix(frame)
    if not matrix.any():
        return UPRIGHT
    a, b, c, d = np.rint(matrix / np.abs(matrix).max()).astype(int).tolist()
    return (a, b, c, d) if abs(a * d - b * c) == 1 else UPRIGHT


def _display_matrix(frame: Any) -> NDArray[np.float64]:
    """Return the four rotation entries of the matrix; zeros if a frame has none."""
    # PyAV wraps all side data of a frame at once. It fails on unknown types, and frees the metadata of some (the name
    # of a color profile) twice. So FFmpeg removes everything but the matrix first.
    having_one = _filtered(frame, [f"mode=select:type={_MATRIX}"])
    if having_one is None:
        return np.zeros(4)
    stripped: Any = _filtered(having_one, [f"mode=delete:type={kind}" for kind in range(_KINDS) if kind != _MATRIX])
    (data,) = stripped.side_data
    return np.frombuffer(bytes(data), dtype=np.int32)[[0, 1, 3, 4]].astype(np.float64)


def _filtered(frame: Any, filters: Sequence[str]) -> Any | None:
    """Filter a frame's side data; None if no frame passes."""
    graph = av.filter.Graph()
    last = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format.name, time_base=Fraction(1))
    for node in [*(graph.add("sidedata", how) for how in filters), graph.add("buffersink")]:
        last.link_to(node)
        last = node
    graph.configure()
    graph.push(frame)
    try:
        return graph.pull()
    except (av.BlockingIOError, av.EOFError):
        return None


def pixel_aspect(stream: Any) -> Fraction:
    """Return the width to height ratio of a stream's pixels: from the container, else the codec, else 1."""
    aspect = stream.sample_aspect_ratio or stream.codec_context.sample_aspect_ratio
    return Fraction(aspect) if aspect and aspect > 0 else Fraction(1)


def plausible_aspect(aspect: Fraction) -> Fraction:
    """Return the aspect ratio of a pixel, or 1 if it is nearly square or absurd."""
    return Fraction(1) if abs(aspect - 1) <= _SQUARE or is_absurd(aspect) else aspect


def is_absurd(aspect: Fraction) -> bool:
    """Whether the aspect ratio of a pixel is so extreme that the header must be wrong."""
    return not Fraction(1, _MOST_OBLONG) <= aspect <= _MOST_OBLONG


def display_size(stored: tuple[int, int], aspect: Fraction, crop: Crop = WHOLE) -> tuple[int, int]:
    """Return the (height, width) px of a stored frame when shown with square pixels; the height is kept."""
    left, top, right, bottom = crop
    return stored[0] - top - bottom, max(1, round((stored[1] - left - right) * aspect))
