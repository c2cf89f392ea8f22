"""Learn online from frames as they arrive, as a robot would, and use the features meanwhile; memory is constant.

Run it as is (generated frames; a few seconds), or with your own source and a folder for the run:
    python examples/streaming.py rtsp://camera/stream runs/live     # an address, a pipe, a file, or a camera's number
To only train, use: seqff train --stream rtsp://camera/stream --out runs/live --steps 0
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import seqff
from seqff.config import EncoderConfig, LiveConfig, PairsConfig, TrainConfig
from seqff.online import open_live
from seqff.pairs.synthetic import ClipSettings, digits, moving_object

CONFIG = TrainConfig(
    pairs=PairsConfig(size_px=32, gap=2, clip_frames=3, far=20, videos_per_batch=8),
    encoder=EncoderConfig(widths=(8, 16), kernels=(5, 3), strides=(2, 1), pools=(1, 2)),
    live=LiveConfig(new_frames=24, reservoir_frames=2048),
)


def made_up(frames: int) -> Iterator[tuple[float, np.ndarray]]:
    """Yield (seconds, frame) of moving digits, 25 frames per second."""
    settings = ClipSettings(size_px=48, frames=100, object_px=24)
    pictures = digits()[0]
    for number in range(frames):
        if number % settings.frames == 0:
            clip = iter(moving_object(pictures[number], settings, np.random.default_rng(number)))
        yield number / 25, next(clip)


def camera(source: str) -> Iterator[tuple[float, np.ndarray]]:
    """Yield (seconds, frame) of a source."""
    with open_live(int(source) if source.isdigit() else source) as stream:
        for frame in stream:
            yield frame.time_seconds, frame.image


def main() -> None:
    """Learn, and occasionally print the distance between the features of the current and the first frame, by layer."""
    given = sys.argv[1:]
    frames = camera(given[0]) if given else made_up(1500)
    out = Path(given[1]) if len(given) > 1 else Path(tempfile.mkdtemp(prefix="seqff-example-")) / "run"
    first: np.ndarray | None = None
    with seqff.stream_learner(out=out, config=CONFIG) as learner:
        for number, (seconds, frame) in enumerate(frames):
            learner.observe(frame, time=seconds)
            first = frame if first is None else first
            if number % 300 == 299:
                now, then = learner.features(frame), learner.features(first)
                distances = {n: np.linalg.norm(now[n] - then[n]) / np.linalg.norm(then[n]) for n in now}
                text = ", ".join(f"{name} {distance:.2f}" for name, distance in distances.items())
                print(f"{seconds:.0f} s, {learner.step} steps, distance from the first frame: {text}")
        learner.save()
    print(f"the run is in {out}: seqff extract, probe and report use it like any other")


if __name__ == "__main__":
    main()
