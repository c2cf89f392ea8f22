"""Helpers for tests of streams: settings for few frames, and frames that show their numbers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from helpers.painted import paint
from seqff.config import EncoderConfig, LiveConfig, ObjectiveConfig, PairsConfig, TrainConfig

SIZE = (32, 32)


def stream_config(*, far: int = 6, live: dict[str, Any] | None = None, **changes: Any) -> TrainConfig:
    """Return settings of two narrow layers: batches of 12 clips of 2 frames, a step every 8 frames."""
    pairs = PairsConfig(
        size_px=16, gap=1, far=far, videos_per_batch=3, clips_per_video=4, clip_frames=2,
        crop=1.0, flip=False, brightness=0.0, color_jitter=0.0,
    )  # fmt: skip
    given = {"new_frames": 8, "reservoir_frames": 96, **(live or {})}
    settings: dict[str, Any] = {
        "steps": 0,
        "precision": "fp32",
        "log_every": 1,
        "pairs": pairs,
        "encoder": EncoderConfig(widths=(4, 6), kernels=(5, 3), strides=(2, 1), pools=(1, 1)),
        "objective": ObjectiveConfig(head_out=4, grid=(2,)),
        "live": LiveConfig(**given),
    }
    return TrainConfig(**settings | changes)


def noise(number: int) -> np.ndarray:
    """Return a frame, uint8 (32, 32, 3), determined by its number."""
    return np.random.default_rng(number).integers(0, 256, (*SIZE, 3), dtype=np.uint8)


def numbered(start: int, stop: int) -> Iterator[np.ndarray]:
    """Yield frames that show their numbers (see `painted`)."""
    return (paint(number, SIZE) for number in range(start, stop))
