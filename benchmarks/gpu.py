"""Training steps on a CUDA device: frames per second, local compared with end to end, memory, and transfer.

    python -m benchmarks.gpu [--repeats 5] [--json gpu.json]    # 2 minutes

Without a CUDA device it measures nothing. Steps of the default net on 64 px and of a ResNet-18 on 112 px, local and end
to end, alternate; values are median wall seconds until the device is done. A step that synchronizes with the device is
an error (torch's sync debug mode). Memory is the peak allocation of a step above that before it.
"""

from __future__ import annotations

import dataclasses
import statistics
import sys
import time
from typing import Any

import torch

from benchmarks.measuring import arguments, take_turns, write
from benchmarks.speed import Step, build_step
from seqff.config import EncoderConfig, TrainConfig
from seqff.transform import FrameTransform

STEPS = 20
NETS = {"default, 64 px": (EncoderConfig(), 64), "ResNet-18, 112 px": (EncoderConfig(name="resnet18"), 112)}


def measured(step: Step, turn: int) -> tuple[float, float]:
    """Return the mean seconds and peak bytes of a few steps."""
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    torch.cuda.synchronize()
    began = time.perf_counter()
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(STEPS):
            step()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    torch.cuda.synchronize()
    return (time.perf_counter() - began) / STEPS, torch.cuda.max_memory_allocated() - before


def main(argv: list[str] | None = None) -> int:
    """Measure and print the table."""
    parser = arguments(__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args(argv)
    if not torch.cuda.is_available():
        print("not run: torch finds no CUDA device, so nothing was measured")
        return 0
    print(f"{torch.cuda.get_device_name()}\n")
    print("| net | frames a step | local, frames/s | end to end / local, time | local, MB | end to end, MB |")
    print("|---|---|---|---|---|---|")
    lines = [line(name, options.repeats) for name in NETS]
    write(options.json, {"device": torch.cuda.get_device_name(), "lines": lines})
    return 0


def line(name: str, repeats: int) -> dict[str, Any]:
    """Measure a net and print its line."""
    (encoder, side), pairs = NETS[name], TrainConfig().pairs
    rows = pairs.videos_per_batch * pairs.clips_per_video * pairs.clip_length
    ways = {}
    for trainer in ("local", "end_to_end"):
        config = dataclasses.replace(TrainConfig(), steps=600, encoder=encoder, trainer=trainer)  # type: ignore[arg-type]
        step = build_step(config, rows, torch.channels_last, FrameTransform(side, side), device="cuda")
        step()  # one-time initialization
        ways[trainer] = lambda turn, step=step: measured(step, turn)
    found = take_turns(ways, repeats, warm_up=True)
    seconds = {trainer: statistics.median(one for one, _ in turns) for trainer, turns in found.items()}
    megabytes = {trainer: max(most for _, most in turns) / 1e6 for trainer, turns in found.items()}
    rate, ratio = rows / seconds["local"], seconds["end_to_end"] / seconds["local"]
    memory = " | ".join(f"{megabytes[trainer]:.0f}" for trainer in ways)
    print(f"| {name} | {rows} | {rate:.0f} | {ratio:.2f} | {memory} |", flush=True)
    return {"net": name, "rows": rows, "seconds": seconds, "megabytes": megabytes}


if __name__ == "__main__":
    sys.exit(main())
