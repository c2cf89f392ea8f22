"""Time of a local training step compared with backpropagation through the same net.

    python -m benchmarks.speed [--nets constant pooled] [--profile] [--layouts] [--json speed.json]    # 10 minutes

Steps of the local trainer, of end-to-end training (loss on the last layer), and of the latter with activation
checkpointing alternate in one process on one thread. Values are median CPU seconds over the repeats; ratios are of
medians, with their range over the repeats. Net, batch, objective and precision are the same; all use channels_last,
which `--layouts` shows to be faster for each. bf16 is skipped if the processor does not support it.

Nets: 8 layers of 3x3 convolutions of one width on 64 px frames, batches of 32:
- constant: stride 2 in the first layer, 32x32 maps from there on;
- pooled: additional max pooling of 2 in the second and third layer, as in the default encoder: 32, 16, then 8x8 maps.
The default encoder is measured with its own settings and batch.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.measuring import arguments, seconds_of, take_turns, write
from seqff.allocator import freed_memory_kept
from seqff.config import EncoderConfig, ObjectiveConfig, OptimConfig, TrainConfig
from seqff.devices import choose_precision
from seqff.nets import build_encoder
from seqff.pairs import relate
from seqff.training import build_learners, build_strategy
from seqff.transform import FrameTransform

LAYERS, BATCH, SIZE = 8, 32, 64
SQUARE = FrameTransform(SIZE, SIZE)
STEPS = 600  # length of the schedule; only a few are taken
POOLS = {"constant": (1,) * LAYERS, "pooled": (1, 2, 2) + (1,) * (LAYERS - 3)}
BARS = {  # smallest ratio to the local step, on the constant net
    ("end_to_end", "fp32"): {64: 1.15, 128: 1.30, 256: 1.40},
    ("end_to_end", "bf16"): {64: 1.10, 128: 1.20, 256: 1.35},
    ("checkpointing", "fp32"): {64: 1.50, 128: 1.65, 256: 1.80},
}
TRAINERS: dict[str, dict[str, Any]] = {
    "local": {"trainer": "local"},
    "end_to_end": {"trainer": "end_to_end"},
    "checkpointing": {"trainer": "end_to_end", "activation_checkpointing": True},
}
PARTS = {  # groups of the profiler's operators; the rest is the head, the loss and autograd itself
    "convolutions": ("convolution",),
    "norm": ("layer_norm",),
    "ReLU, pooling and their way back": ("threshold", "clamp_min", "relu", "pool", "GridMean"),
    "optimizer": ("adamw", "AdamW", "foreach"),
    "copies, casts and fills": ("copy_", "fill_", "zero_", "cat", "contiguous"),
}
Step = Callable[[], None]


def net(name: str, width: int) -> EncoderConfig:
    """Return one of the nets above."""
    strides = (2,) + (1,) * (LAYERS - 1)
    return EncoderConfig(widths=(width,) * LAYERS, kernels=(3,) * LAYERS, strides=strides, pools=POOLS[name])


def forward_flops(config: EncoderConfig, side: int) -> list[int]:
    """Return the multiplications and additions of each layer's convolution for one frame."""
    flops, channels = [], 3
    for width, kernel, stride, pool in zip(config.widths, config.kernels, config.strides, config.pools, strict=True):
        side = (side - 1) // stride + 1
        flops.append(2 * side**2 * kernel**2 * channels * width)
        side, channels = side // pool, width
    return flops


def limit(config: EncoderConfig, side: int) -> float:
    """Return the ratio of end-to-end to local time if a step consisted only of convolutions.

    The forward pass and the gradients of weights and input cost the same. Local learning never needs the last,
        backpropagation needs it in all layers but the first: (3L - 1) / 2L for L equal layers, and closer to 3/2 here,
        because the first layer is the cheapest.
    """
    flops = forward_flops(config, side)
    return (3 * sum(flops) - flops[0]) / (2 * sum(flops))


def build_step(
    config: TrainConfig,
    batch: int,
    layout: torch.memory_format,
    transform: FrameTransform = SQUARE,
    *,
    device: str = "cpu",
) -> Step:
    """Return a training step of a new net on the same noise: groups of four frames are two clips of a video."""
    encoder = build_encoder(config.encoder, transform, seed=0).to(device, memory_format=layout)
    learners = build_learners(encoder, config, seed=0)
    learners[-1].recompute = False  # its backward pass starts at once: recomputing would only slow it down
    learners[-1].loss = partial(learners[-1].loss, detached=True)  # the last layer may use the cheap path, too
    trainer = build_strategy(learners, config)
    rows = torch.arange(batch)
    relation = relate(rows // 4, rows % 4 // 2 * 20 + rows % 2, gap=1, far=8).to(device)
    size = transform.height, transform.width
    frames = torch.randn(batch, 3, *size, generator=torch.Generator().manual_seed(0))
    frames = frames.to(device).contiguous(memory_format=layout)

    def step() -> None:
        trainer.step(0, frames, relation)

    return step


def steps_of(config: TrainConfig, names: list[str], batch: int, layout: torch.memory_format) -> dict[str, Step]:
    """Return a step of each trainer."""
    return {name: build_step(dataclasses.replace(config, **TRAINERS[name]), batch, layout) for name in names}


def measure(steps: dict[str, Step], repeats: int) -> dict[str, list[float]]:
    """Return CPU seconds of each step and repeat, alternating; the first round is a warm-up."""
    ways = {name: lambda _, step=step: seconds_of(step)[1] for name, step in steps.items()}
    return take_turns(ways, repeats, warm_up=True)


def ratio(of: list[float], to: list[float]) -> tuple[float, float, float]:
    """Return the ratio of the medians, and the smallest and largest of single repeats."""
    single = [a / b for a, b in zip(of, to, strict=True)]
    return statistics.median(of) / statistics.median(to), min(single), max(single)


def compare(config: TrainConfig, name: str, batch: int, repeats: int) -> dict[str, Any]:
    """Measure one line of the table."""
    seconds = measure(steps_of(config, list(TRAINERS), batch, torch.channels_last), repeats)
    width = config.encoder.widths[0]
    line: dict[str, Any] = {"net": name, "width": width, "precision": config.precision, "batch": batch}
    line["limit"] = limit(config.encoder, SIZE)
    line["seconds"] = {trainer: statistics.median(found) for trainer, found in seconds.items()}
    line["frames_per_cpu_second"] = {trainer: batch / found for trainer, found in line["seconds"].items()}
    for twin in ("end_to_end", "checkpointing"):
        bar = BARS.get((twin, config.precision), {}).get(width) if name == "constant" else None
        found, least, greatest = ratio(seconds[twin], seconds["local"])
        line[twin] = {
            "ratio": found,
            "range": [least, greatest],
            "bar": bar,
            "met": None if bar is None else found >= bar,
        }
    return line


def layouts(config: TrainConfig, batch: int, repeats: int) -> dict[str, float]:
    """Return contiguous / channels_last CPU seconds for each trainer: above 1 if channels_last is faster."""
    known = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}
    steps = {
        f"{name}, {text}": step
        for text, layout in known.items()
        for name, step in steps_of(config, ["local", "end_to_end"], batch, layout).items()
    }
    seconds = measure(steps, repeats)
    return {
        name: ratio(seconds[f"{name}, contiguous"], seconds[f"{name}, channels_last"])[0]
        for name in ("local", "end_to_end")
    }


def where(step: Step) -> dict[str, float]:
    """Return the shares of a step's time by group of operators (the profiler's clock: wall time of this thread)."""
    step()
    with profile(activities=[ProfilerActivity.CPU]) as found:
        step()
    shares: dict[str, float] = defaultdict(float)
    for event in found.key_averages():
        part = next((part for part, keys in PARTS.items() if any(key in event.key for key in keys)), "all the rest")
        shares[part] += event.self_cpu_time_total
    total = sum(shares.values())
    return {part: time / total for part, time in sorted(shares.items(), key=lambda item: -item[1])}


def cell(found: dict[str, Any]) -> str:
    """Format a ratio, its range and its threshold."""
    bar = "" if found["bar"] is None else f", bar {found['bar']:.2f} {'met' if found['met'] else 'MISSED'}"
    return f"{found['ratio']:.2f} ({found['range'][0]:.2f} to {found['range'][1]:.2f}){bar}"


def show(line: dict[str, Any]) -> str:
    """Return the line in Markdown."""
    ms = " | ".join(f"{1000 * seconds:.0f}" for seconds in line["seconds"].values())
    return (
        f"| {line['net']} {line['width']} | {line['precision']} | {ms} | {cell(line['end_to_end'])} | "
        f"{line['limit']:.2f} | {cell(line['checkpointing'])} | {line['frames_per_cpu_second']['local']:.0f} |"
    )


COLUMNS = (
    *("net, channels", "precision", "local, ms", "end-to-end, ms", "with checkpointing, ms"),
    *("end-to-end / local", "its limit", "with checkpointing / local", "local, frames/s"),
)
HEADER = f"| {' | '.join(COLUMNS)} |\n{'|---' * len(COLUMNS)}|"


def nets_of(options: argparse.Namespace) -> list[tuple[str, TrainConfig, int]]:
    """Return the nets to measure by name, with settings and batch size; the default encoder last."""
    made = [
        (
            name,
            TrainConfig(
                encoder=net(name, width),
                objective=ObjectiveConfig(terms=("temporal_hinge",), head="mlp", grid=(2,)),
                optim=OptimConfig(name="adamw"),
            ),
            BATCH,
        )
        for name in options.nets
        for width in options.widths
    ]
    default, pairs = TrainConfig(), TrainConfig().pairs
    frames = pairs.videos_per_batch * pairs.clips_per_video * pairs.clip_length
    return [*made, *([] if options.no_default else [("default", default, frames)])]


def main(argv: list[str] | None = None) -> int:
    """Run the benchmark; return 1 if a threshold is missed."""
    parser = arguments(__doc__)
    parser.add_argument("--widths", type=int, nargs="+", default=[64, 128, 256])
    parser.add_argument("--nets", nargs="*", choices=list(POOLS), default=list(POOLS))
    parser.add_argument("--precisions", nargs="+", choices=["fp32", "bf16"], default=["fp32", "bf16"])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--no-default", action="store_true", help="skip the default encoder")
    parser.add_argument("--layouts", action="store_true", help="also compare memory layouts")
    parser.add_argument("--profile", action="store_true", help="also show where the time goes")
    options = parser.parse_args(argv)
    torch.set_num_threads(1)
    if "bf16" in options.precisions and choose_precision("auto", torch.device("cpu")) is not torch.bfloat16:
        print("bf16 is skipped: this processor has no AVX512-BF16, and emulation is not comparable\n")
        options.precisions.remove("bf16")
    print(HEADER)
    with freed_memory_kept():  # like trainings
        lines = [measured(options, *place) for place in places(options)]
    tell_more(lines)
    write(options.json, {"repeats": options.repeats, "lines": lines})
    return int(any(line[twin]["met"] is False for line in lines for twin in ("end_to_end", "checkpointing")))


def places(options: argparse.Namespace) -> Iterator[tuple[str, TrainConfig, int]]:
    """Yield the nets in every precision: name, settings, frames per batch."""
    for name, config, batch in nets_of(options):
        for precision in options.precisions:
            yield name, dataclasses.replace(config, precision=precision, steps=STEPS), batch


def measured(options: argparse.Namespace, name: str, config: TrainConfig, batch: int) -> dict[str, Any]:
    """Measure a net and print its line."""
    line = compare(config, name, batch, options.repeats)
    print(show(line), flush=True)
    if options.layouts:
        line["contiguous_over_channels_last"] = layouts(config, batch, options.repeats)
    if options.profile:
        steps = steps_of(config, ["local", "end_to_end"], batch, torch.channels_last)
        line["where"] = {trainer: where(step) for trainer, step in steps.items()}
    return line


def tell_more(lines: list[dict[str, Any]]) -> None:
    """Print the speedup of bf16, and further requested results."""
    print()
    slow = {(line["net"], line["width"]): line["seconds"]["local"] for line in lines if line["precision"] == "fp32"}
    for line in lines:
        place = (line["net"], line["width"])
        what = f"{line['net']} {line['width']} {line['precision']}"
        if line["precision"] == "bf16" and place in slow:
            print(f"{what}, local: {slow[place] / line['seconds']['local']:.2f} times as fast as fp32")
        for trainer, found in line.get("contiguous_over_channels_last", {}).items():
            print(f"{what}, {trainer}: contiguous / channels_last {found:.2f}")
        for trainer, shares in line.get("where", {}).items():
            print(f"{what}, {trainer}: " + ", ".join(f"{part} {100 * share:.1f} %" for part, share in shares.items()))


if __name__ == "__main__":
    sys.exit(main())
