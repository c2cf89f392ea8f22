"""Streams: is memory constant, and does learning continue, however long the stream and however often it breaks?

An endless source yields small moving pictures. It breaks three times: the connection fails with an error, it ends
    normally, and it fails again and cannot be reopened twice in a row. The benchmark prints the memory of the process,
    the losses, and the monitors of each layer compared with itself untrained.

    python -m benchmarks.endless [--frames 200000]    # 6 minutes on one core

Memory must stay within 50 MB once the reservoir is full; the breaks must be reported.
"""

from __future__ import annotations

import contextlib
import json
import logging
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

import seqff
from benchmarks.measuring import arguments, memory_mb, write
from seqff.config import EncoderConfig, LiveConfig, ObjectiveConfig, PairsConfig, TrainConfig
from seqff.online.statistics import describe
from seqff.pairs.synthetic import ClipSettings, digits, moving_object

ALLOWED_MB = 50.0
SIZE_PX, CLIP = 32, 250
CONFIG = TrainConfig(
    steps=0,
    checkpoint_every=1_000,
    log_every=250,
    monitor_every=1_000,
    pairs=PairsConfig(size_px=SIZE_PX, gap=2, far=25, videos_per_batch=8, clips_per_video=4, clip_frames=3),
    encoder=EncoderConfig(widths=(8, 16, 32), kernels=(5, 3, 3), strides=(2, 1, 1), pools=(1, 2, 1)),
    objective=ObjectiveConfig(head="mlp", head_out=32),
    live=LiveConfig(new_frames=48, reservoir_frames=4096, at_end="retry"),
)


class Source:
    """Endless moving digits: a new digit, path and speed every few seconds; it breaks after some frames.

    Args:
        frames: number of frames after which it ends for good.
        cuts: numbers of frames after which it breaks.
        every: frames between two measurements of the memory.
    """

    __name__ = "moving digits"

    def __init__(self, frames: int, cuts: list[int], every: int) -> None:
        self.frames, self.cuts, self.every = frames, list(cuts), every
        self.given, self.refusals, self.began = 0, 0, time.monotonic()
        self.memory: list[tuple[int, float]] = []
        self.pictures = digits()[0]

    def __call__(self) -> Iterator[np.ndarray]:
        """Connect."""
        if self.refusals:
            self.refusals -= 1
            raise ConnectionRefusedError("connection refused")
        return self._come()

    def _come(self) -> Iterator[np.ndarray]:
        settings = ClipSettings(size_px=SIZE_PX, frames=CLIP, object_px=20)
        while self.given < self.frames:
            number = self.given // CLIP
            for frame in moving_object(
                self.pictures[number % len(self.pictures)], settings, np.random.default_rng(number)
            ):
                yield frame
                self.given += 1
                if self.given % self.every == 0:
                    self._look()
                if self.cuts and self.given >= self.cuts[0]:
                    del self.cuts[0]
                    kind = len(self.cuts) % 3
                    if kind == 1:
                        return
                    self.refusals = 2 if kind == 0 else 0
                    raise ConnectionResetError("connection reset by the sender")
        raise StreamEnded

    def _look(self) -> None:
        self.memory.append((self.given, memory_mb()))
        rate = self.given / (time.monotonic() - self.began)
        print(f"{self.given:>8} frames  {self.memory[-1][1]:7.1f} MB  {rate:6.0f} frames/s", flush=True)


class StreamEnded(Exception):
    """The benchmark is over."""


def main() -> int:
    """Run the benchmark; return 1 if a threshold is missed."""
    parser = arguments(__doc__)
    parser.add_argument("--frames", type=int, default=200_000)
    options = parser.parse_args()
    torch.set_num_threads(1)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    total = options.frames
    source = Source(total, [total // 4, total // 2, 3 * total // 4], max(1, total // 20))
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        with contextlib.suppress(StreamEnded):
            seqff.train(stream=source, out=run, config=CONFIG, progress=False)
        lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        facts = json.loads((run / "stream.json").read_text())
        checkpoints = sorted(path.name for path in (run / "checkpoints").iterdir())
    return report(source, lines, facts, checkpoints, options.json)


def report(source: Source, lines: list[dict], facts: dict, checkpoints: list[str], out: Path | None) -> int:  # type: ignore[type-arg]
    """Print the results, and return 1 if a threshold is missed."""
    looks = [line for line in lines if "layer1/effective_rank" in line]
    print(
        f"\n{'step':>7} {'frames':>8}  " + "  ".join(f"{f'layer {n}: loss, rank (untrained)':<32}" for n in (1, 2, 3))
    )
    for line in looks[:: max(1, len(looks) // 10)]:
        cells = [
            f"{line[f'layer{n}/loss']:.3f}, {line[f'layer{n}/effective_rank']:.1f} "
            f"({line[f'layer{n}/untrained_effective_rank']:.1f})"
            for n in (1, 2, 3)
        ]
        print(f"{line['step']:>7} {line['stream_frames']:>8}  " + "  ".join(f"{cell:<32}" for cell in cells))
    alarms = [text for line in lines for text in line.get("alarms", [])]
    full = [mb for frames, mb in source.memory if frames >= source.frames // 10]  # the reservoir is full by then
    spread = max(full) - min(full)
    print("\n" + "\n".join(describe(facts)))
    print(f"alarms: {alarms or 'none'}; looks at the layers: {len(looks)}; checkpoints kept: {', '.join(checkpoints)}")
    flat = f"memory from a tenth of the way on: {min(full):.1f} to {max(full):.1f} MB, within {spread:.1f} MB"
    print(f"{flat} (at most {ALLOWED_MB:g}): {'met' if spread <= ALLOWED_MB else 'MISSED'}")
    named = facts["connections_lost"] == 3 and facts["frames"] >= source.frames
    print(f"three cuts named, all {facts['frames']} frames seen: {'met' if named else 'MISSED'}")
    write(out, {"memory_mb": source.memory, "facts": facts, "alarms": alarms, "looks": looks})
    return int(spread > ALLOWED_MB or not named or bool(alarms))


if __name__ == "__main__":
    sys.exit(main())
