"""Short runs of a net of two thin layers, for tests of what is left when one ends early."""

from __future__ import annotations

from pathlib import Path

from seqff.config import EncoderConfig, ObjectiveConfig, PairsConfig, TrainConfig
from seqff.training import train

PAIRS = PairsConfig(
    size_px=16, gap=1, far=6, videos_per_batch=3, stretches=2, stretch_frames=3, uses=2, buffer_videos=6
)
CONFIG = TrainConfig(
    steps=40,
    checkpoint_every=5,
    log_every=10,
    precision="fp32",
    pairs=PAIRS,
    encoder=EncoderConfig(widths=(4, 6), kernels=(5, 3), strides=(2, 1), pools=(1, 1)),
    objective=ObjectiveConfig(head_width=8, head_out=4, grid=(2,)),
)


def weights(run: Path) -> bytes:
    """The trained weights as they lie on disk."""
    return (run / "encoder.safetensors").read_bytes()


def resume(manifest: Path, run: Path, config: TrainConfig) -> bool:
    """Start or go on."""
    return train(manifest, out=run, config=config, resume=True, progress=False).path.exists()
