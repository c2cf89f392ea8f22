"""From a decoded PyAV frame to an upright RGB array."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any, cast

import av
import av.filter
import numpy as np
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from seqff.video.crop import WHOLE, Crop
from seqff.video.entry import Orientation
from seqff.video.info import Frames
from seqff.video.levels import DECLARED, Levels
from seqff.video.pixels import Plain, one_thread

UPRIGHT: Orientation = (1, 0, 0, 1)


_MATRIX, _KINDS = 6, 64  # FFmpeg's number of the display matrix among side data, and more kinds than it knows


def orientation_of(frame: Any) -> Orientation:
    """Reads the display matrix of a PyAV frame: the signs (a, b, c, d) of x' = a x + c y, y' = b x + d y."""
    matrix = _display_matrix(frame)
    if not matrix.any():
        return UPRIGHT
    a, b, c, d = np.rint(matrix / np.abs(matrix).max()).astype(int).tolist()
    return (a, b, c, d) if abs(a * d - b * c) == 1 else UPRIGHT


def _display_matrix(frame: Any) -> NDArray[np.float64]:
    """Returns the four numbers that turn; zeros of a frame without a matrix.

    PyAV wraps all side data of a frame at once: it fails on kinds that it does not know, and frees the metadata of
    some (a color profile's name) twice. So FFmpeg first takes away all but the matrix.
    """
    having_one = _through(frame, [f"mode=select:type={_MATRIX}"])
    if having_one is None:
        return np.zeros(4)
    stripped: Any = _through(having_one, [f"mode=delete:type={kind}" for kind in range(_KINDS) if kind != _MATRIX])
    (data,) = stripped.side_data
    return np.frombuffer(bytes(data), dtype=np.int32)[[0, 1, 3, 4]].astype(np.float64)


def _through(frame: Any, filters: Sequence[str]) -> Any | None:
    """Returns a frame behind filters of side data; None where they let nothing through."""
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


def upright(image: Frames, orientation: Orientation) -> Frames:
    """Turns and mirrors an image (H, W, ...) as the display matrix says; the result is contiguous."""
    a, b, c, d = orientation
    if b:
        image = image.swapaxes(0, 1)
        right, down = c, b
    else:
        right, down = a, d
    return np.ascontiguousarray(image[:: down or 1, :: right or 1])


class ToRgb:
    """Converts PyAV frames to upright RGB of one size.

    Keeps one scaler for all frames: setting one up for each, as `frame.reformat` does, costs more than the scaling.
    Frames that shrink are averaged over areas, which neither aliases nor rings and costs half of a bicubic filter.

    Args:
        height: px, after turning.
        width: px, after turning.
        orientation: how to turn.
        levels: of deep pictures; see `VideoEntry`.
        crop: px to take off the stored frame.
    """

    def __init__(
        self, height: int, width: int, orientation: Orientation, levels: Levels = DECLARED, crop: Crop = WHOLE
    ) -> None:
        self.plain = Plain(levels, crop)
        self._turn = orientation
        self._height, self._width = (width, height) if orientation[1] else (height, width)
        self._scaler = VideoReformatter()

    def __call__(self, frame: Any) -> Frames:
        """Returns uint8 (height, width, 3), contiguous; a view of memory that nothing else uses."""
        frame = self.plain(frame)
        shrinks = self._width <= frame.width and self._height <= frame.height
        how: dict[str, Any] = {"interpolation": "AREA" if shrinks else "BICUBIC", **one_thread()}
        scaled = self._scaler.reformat(frame, self._width, self._height, "rgb24", **how)
        image = cast(Frames, scaled.to_ndarray())
        return image if self._turn == UPRIGHT else upright(image, self._turn)
