"""Frames that somebody hands over: checked, and brought to the size of the encoder's input."""

from __future__ import annotations

from typing import Any

import numpy as np

from seqff.transform import FrameTransform
from seqff.video.images import resized
from seqff.video.info import Frames


def check_frame(frame: Any) -> None:
    """Raise TypeError or ValueError unless this is a frame, uint8 (height, width, 3)."""
    if not isinstance(frame, np.ndarray):
        raise TypeError(f"a frame must be a numpy array, uint8 (height, width, 3), got {type(frame).__name__}")
    if frame.ndim != 3 or frame.shape[2] != 3 or not frame.size or frame.dtype != np.uint8:
        raise ValueError(f"a frame must be uint8 (height, width, 3), RGB, got {frame.dtype} {frame.shape}")


def fit_frame(frame: Frames, transform: FrameTransform) -> Frames:
    """Return a frame at the size of the encoder's input: resized to cover it, its middle cut out."""
    image = resized(frame, *transform.decode_size(*frame.shape[:2]))
    top, left = (image.shape[0] - transform.height) // 2, (image.shape[1] - transform.width) // 2
    return image[top : top + transform.height, left : left + transform.width]
