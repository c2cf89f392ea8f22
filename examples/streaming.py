"""Features of a camera or a stream, frame by frame as they come; memory stays the same however long it runs.

Run it as it is (a clip made on the spot and an untrained encoder; a few seconds), or with a run of yours and a source:
    python examples/streaming.py runs/first rtsp://camera/stream     # an address, a pipe, a file, or a camera's number
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

import seqff
from seqff.config import EncoderConfig
from seqff.features import RunningStatistics, spatial_pool
from seqff.nets import build_encoder
from seqff.pairs.synthetic import ClipSettings, digits, moving_object, write_clip
from seqff.transform import FrameTransform
from seqff.video import open_live


def stand_in() -> tuple[seqff.Encoder, str]:
    """Make an encoder and a source, where none are given."""
    clip = Path(tempfile.mkdtemp(prefix="seqff-example-")) / "clip.mp4"
    frames = moving_object(digits()[0][0], ClipSettings(frames=100), np.random.default_rng(0))
    write_clip(clip, frames)
    return build_encoder(EncoderConfig(), FrameTransform(64, 64), seed=0).eval(), str(clip)


@torch.no_grad()
def main() -> None:
    """Watch the source, and print now and then how much each layer sees change."""
    if len(sys.argv) > 2:
        encoder, source = seqff.load(sys.argv[1]), sys.argv[2]
    else:
        encoder, source = stand_in()
    names = [info.name for info in encoder.feature_info]
    statistics = {name: RunningStatistics() for name in names}  # mean, deviation, mean |difference|, of all so far
    size = (encoder.transform.height, encoder.transform.width)
    with open_live(int(source) if source.isdigit() else source, size=size) as stream:
        for frame in stream:
            maps = encoder(encoder.transform(frame.image[None]))
            for name, h in zip(names, maps, strict=True):
                statistics[name].update(spatial_pool(h, 2).numpy())  # (1, channels * 4), this frame's features
            if frame.number % 25 == 24:
                mean, _, moves = zip(*(statistics[name].result() for name in names), strict=True)
                shares = [f"{name} {m.mean() / a.mean():.1%}" for name, a, m in zip(names, mean, moves, strict=True)]
                print(f"{frame.time_seconds:.1f} s, change from frame to frame: {', '.join(shares)}")


if __name__ == "__main__":
    main()
