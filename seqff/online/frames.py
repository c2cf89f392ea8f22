"""Frames that somebody hands over: checked, and brought to the size of the encoder's input."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

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
    """Return a frame at the size of the encoder's input: resized, its middle cut out or filled up with bars."""
    image = resized(frame, *transform.decode_size(*frame.shape[:2]))
    return transform.framed(torch.from_numpy(image)[None])[0].numpy()
