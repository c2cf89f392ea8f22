"""Short runs of narrow nets, for tests of their output and of interrupted runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from seqff.config import EncoderConfig, ObjectiveConfig, PairsConfig, TrainConfig
from seqff.train import train

PAIRS = PairsConfig(
    size_px=16, gap=1, far=6, videos_per_batch=3, clips_per_video=2, clip_frames=3, batches_per_visit=2, buffer_videos=6
)
CONFIG = TrainConfig(
    steps=40,
    checkpoint_every=5,
    log_every=10,
    precision="fp32",
    pairs=PAIRS,
    encoder=EncoderConfig(widths=(4, 6), kernels=(5, 3), strides=(2, 1), pools=(1, 1)),
    objective=ObjectiveConfig(head_out=4, grid=(2,)),
)


WATCHED = TrainConfig(
    steps=50,
    checkpoint_every=50,
    log_every=10,
    precision="fp32",
    pairs=PairsConfig(
        size_px=32,
        gap=1,
        far=6,
        videos_per_batch=4,
        clips_per_video=2,
        clip_frames=3,
        batches_per_visit=2,
        buffer_videos=8,
    ),
    encoder=EncoderConfig(widths=(8, 16, 32), kernels=(7, 3, 3), strides=(2, 1, 1), pools=(1, 2, 2)),
    objective=ObjectiveConfig(terms=("temporal_hinge",), head_out=16, grid=(1, 1, 2)),
)
"""Settings of a run that is long and wide enough to show the behavior of layers."""


def weights(run: Path) -> bytes:
    """Return the bytes of the trained weights on disk."""
    return (run / "encoder.safetensors").read_bytes()


def resume(manifest: Path, run: Path, config: TrainConfig) -> bool:
    """Start or resume a run."""
    return train(manifest, out=run, config=config, resume=True, progress=False).path.exists()


def metrics(run: Path) -> list[dict[str, Any]]:
    """Return the lines of metrics.jsonl, without times."""
    found = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name != "seconds"} for line in found]
