"""What is done to a decoded PyAV frame before it is scaled: depth to 8 bits, transparency to black, crop."""

from __future__ import annotations

from functools import cache
from typing import Any, TypeVar

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from seqff.video.crop import WHOLE, Crop
from seqff.video.info import Frames
from seqff.video.levels import DECLARED, Levels, deep, in_eight_bits, samples_of

_Sample = TypeVar("_Sample", np.uint8, np.uint16)


@cache
def one_thread() -> dict[str, int]:
    """Left to itself PyAV scales on every core, which costs three times as much; old releases have no such setting."""
    return {"threads": 1} if "threads=" in (VideoReformatter.reformat.__doc__ or "") else {}


@cache
def has_alpha(pixels: str) -> bool:
    """Whether a pixel format has room for transparency, by FFmpeg's name; palettes have."""
    kind = av.VideoFormat(pixels)
    return bool(kind.has_palette) or any(component.is_alpha for component in kind.components)


@cache
def declared_bits(pixels: str) -> int:
    """Bits of a sample, as a pixel format declares them by FFmpeg's name; 8 for palettes."""
    kind = av.VideoFormat(pixels)
    return 8 if kind.has_palette else max(component.bits for component in kind.components)


def on_black(image: NDArray[_Sample], alpha: NDArray[np.integer[Any]], opaque: int) -> NDArray[_Sample]:
    """Composes a picture on black.

    Args:
        image: uint8 or uint16 (H, W, 1 or 3), colors not yet multiplied by alpha.
        alpha: (H, W, 1), 0 to `opaque`.
        opaque: the alpha that hides what is behind.

    Returns:
        The picture, of the type and shape of `image`.
    """
    composed = (image * alpha.astype(np.uint32) + opaque // 2) // opaque
    return composed.astype(image.dtype)


class Plain:
    """Makes frames plain: 8 bits where levels are set, opaque, cropped; most are that already and stay untouched.

    Args:
        levels: of deep pictures; see `VideoEntry`.
        crop: px to take off.

    Attributes:
        levels: may be changed between frames.
        transparent: a frame had transparent parts.
    """

    def __init__(self, levels: Levels = DECLARED, crop: Crop = WHOLE) -> None:
        self.levels, self._crop = levels, crop
        self._convert = VideoReformatter()
        self.transparent = False

    def __call__(self, frame: Any) -> Any:
        """Returns a PyAV frame of the same time, at the size of the stored one less the crop."""
        pixels = frame.format.name
        if self.levels != DECLARED and deep(pixels):
            frame = self._of_deep(frame)
        elif has_alpha(pixels):
            frame = self._opaque(frame)
        return frame if self._crop == WHOLE else self._cropped(frame)

    def _of_deep(self, frame: Any) -> Any:
        how, samples = deep(frame.format.name), samples_of(frame)
        assert how is not None
        colors = 3 if how.channels > 2 else 1
        image = in_eight_bits(samples[:, :, :colors], self.levels)
        if how.channels > colors:
            image = self._composed(image, samples[:, :, colors:], 2**how.bits - 1)
        return _frame(image)

    def _opaque(self, frame: Any) -> Any:
        image = self._as(frame, "rgba")
        if image[:, :, 3].min() == 255:
            return frame
        return _frame(self._composed(image[:, :, :3], image[:, :, 3:], 255))

    def _as(self, frame: Any, pixels: str) -> Frames:
        converted: Any = self._convert.reformat(frame, format=pixels, **one_thread())
        image: Frames = converted.to_ndarray()
        return image

    def _composed(self, image: Frames, alpha: NDArray[np.integer[Any]], opaque: int) -> Frames:
        if int(alpha.min()) < opaque:
            self.transparent = True
            return on_black(image, alpha, opaque)
        return image

    def _cropped(self, frame: Any) -> Any:
        left, top, right, bottom = self._crop
        image = self._as(frame, "rgb24")
        return _frame(image[top : image.shape[0] - bottom, left : image.shape[1] - right])


def _frame(image: Frames) -> Any:
    grey = image.shape[2] == 1
    plain = np.ascontiguousarray(image[:, :, 0] if grey else image)
    return av.VideoFrame.from_ndarray(plain, format="gray" if grey else "rgb24")
