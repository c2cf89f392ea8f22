"""Overhead of a whole training: frames per CPU second of `seqff.train`, compared with bare steps.

    python -m benchmarks.whole CLIPS [--precision fp32] [--steps 0] [--json whole.json]    # 5 minutes a turn

Bare steps on one batch of noise of the same frame size alternate with whole trainings with the default settings, in one
process on one thread; values are median CPU seconds over the turns. The scan and, in an unmeasured first turn, torch's
late imports are done before. A whole training consists of its batches (decoding, augmentation, relations), its steps
including monitoring, its callbacks (the check without labels, checkpoints, metrics), and the rest: setup and saving.
`--steps 0` uses the default length; fixed costs weigh more in short trainings. `--threads 2` shows the cost of threads
that wait for each other, above all on a busy machine.
"""

from __future__ import annotations

import dataclasses
import importlib
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

import seqff
from benchmarks.measuring import arguments, take_turns, write
from benchmarks.records import machine
from benchmarks.speed import build_step
from seqff.allocator import freed_memory_kept
from seqff.config import TrainConfig
from seqff.config_io import to_dict
from seqff.training import setup
from seqff.training.trainer import Trainer
from seqff.transform import FrameTransform, fit_transform
from seqff.video import Manifest, scan

BARE_STEPS = 20
PARTS = {"LabelFreeCheck": "check without labels", "Checkpointer": "checkpoints"}


def bare(config: TrainConfig, transform: FrameTransform) -> float:
    """Return the CPU seconds of a step of a new net on one batch, averaged over a few."""
    pairs = config.pairs
    frames = pairs.videos_per_batch * pairs.clips_per_video * pairs.clip_length
    with freed_memory_kept():  # as in the training
        step = build_step(config, frames, torch.channels_last, transform)
        step()
        before = time.process_time()
        for _ in range(BARE_STEPS):
            step()
        return (time.process_time() - before) / BARE_STEPS


def whole(videos: Manifest, config: TrainConfig, out: Path, turn: int) -> dict[str, float]:
    """Return the CPU seconds of a whole training, by part."""
    parts: dict[str, float] = defaultdict(float)

    def timed(part: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            before = time.process_time()
            try:
                return work(*given, **named)
            finally:
                parts[part] += time.process_time() - before

        return call

    def assemble(*given: Any, **named: Any) -> tuple[Trainer, Iterator[Any]]:
        trainer, batches = setup.assemble(*given, **named)
        trainer.strategy.step = timed("steps", trainer.strategy.step)  # type: ignore[method-assign]
        for callback in trainer.callbacks:
            part = PARTS.get(type(callback).__name__, "other callbacks")
            for name in ("before_step", "after_step", "on_metrics", "on_checkpoint", "close"):
                setattr(callback, name, timed(part, getattr(callback, name)))
        return trainer, Timed(batches, timed("batches", batches.__next__))

    before = time.process_time()
    with patch.object(importlib.import_module("seqff.train"), "assemble", assemble):
        seqff.train(videos.root, out=out / str(turn), config=to_dict(config), progress=False)
    parts["rest"] = time.process_time() - before - sum(parts.values())
    return parts


@dataclasses.dataclass
class Timed:
    """An iterator over batches that measures the time to make them."""

    batches: Iterator[Any]
    make: Callable[[], Any]

    def __iter__(self) -> Timed:
        return self

    def __next__(self) -> Any:
        return self.make()

    def close(self) -> None:
        """Close the batches."""
        self.batches.close()  # type: ignore[attr-defined]


def main(argv: list[str] | None = None) -> int:
    """Measure and print the table."""
    parser = arguments(__doc__)
    parser.add_argument("clips", type=Path, help="folder of videos")
    parser.add_argument("--precision", choices=["auto", "fp32", "bf16"], default="auto")
    parser.add_argument("--steps", type=int, default=0, help="of the whole training; 0 for the default length")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args(argv)
    torch.set_num_threads(options.threads)
    videos = scan(options.clips, progress=False)
    config = dataclasses.replace(TrainConfig(), precision=options.precision, steps=options.steps)
    config = setup.with_steps(config, videos)
    transform = fit_transform(config.pairs.size_px, [(entry.height, entry.width) for entry in videos.usable])
    with tempfile.TemporaryDirectory(prefix="seqff-whole-") as made:
        whole(videos, dataclasses.replace(config, steps=4), Path(made), -1)  # for torch's late imports
        ways: dict[str, Callable[[int], Any]] = {
            "bare": lambda turn: bare(config, transform),
            "whole": lambda turn: whole(videos, config, Path(made), turn),
        }
        found = take_turns(ways, options.repeats)
    tell(found, config, options)
    return 0


def tell(found: dict[str, list[Any]], config: TrainConfig, options: Any) -> None:
    """Print and write the results."""
    pairs, steps = config.pairs, config.steps
    rows = pairs.videos_per_batch * pairs.clips_per_video * pairs.clip_length
    step = statistics.median(found["bare"])
    parts = {part: statistics.median(one[part] for one in found["whole"]) for part in found["whole"][0]}
    seconds = statistics.median(sum(one.values()) for one in found["whole"])
    print(f"{machine()['processor']}, {options.precision}, {options.threads} threads, {steps} steps of {rows} frames\n")
    print("| part | CPU ms a step | of the whole |\n|---|---|---|")
    for part, spent in sorted(parts.items(), key=lambda one: -one[1]):
        print(f"| {part} | {1000 * spent / steps:.1f} | {spent / seconds:.3f} |")
    rates = {"bare step": rows / step, "whole training": rows * steps / seconds}
    print("\n" + ", ".join(f"{name} {rate:.0f} frames per CPU second" for name, rate in rates.items()))
    print(f"whole training over bare step: {rates['whole training'] / rates['bare step']:.2f}")
    ratio = {"steps": steps, "threads": options.threads, "frames_per_cpu_second": rates}
    write(options.json, {**ratio, "bare_seconds": found["bare"], "whole_seconds": found["whole"]})


if __name__ == "__main__":
    sys.exit(main())
