"""Peak memory of a training step by depth, for every trainer, at constant resolution.

    python -m benchmarks.memory [--depths 4 8 16 32] [--json memory.json]    # 5 minutes on one core

Every measurement is a separate process: it warms up on a tiny net (imports, kernels), records its memory, then builds
    the net and takes two steps. The result is the peak memory above that before: weights, gradients, optimizer state,
    the batch and all activations. On the CPU it is resident memory as counted by the kernel (Linux), on CUDA memory
    allocated by torch.

glibc keeps freed tensors as holes in its heap and fills them with smaller ones, so that the same step may take up to
twice as much memory in one process as in another. Therefore all processes run with a fixed mmap threshold, so that
larger tensors are returned at once. --malloc glibc leaves the allocator unchanged.

"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from functools import partial
from typing import Any

import torch

from benchmarks.measuring import ONE_THREAD, arguments, forget_peak, memory_mb, take_turns, write
from seqff.config import EncoderConfig, ObjectiveConfig, OptimConfig, TrainConfig
from seqff.nets import build_encoder
from seqff.pairs import FrameBatch
from seqff.training import LayerLearner, build_learners, build_strategy
from seqff.transform import FrameTransform

TRAINERS: dict[str, dict[str, Any]] = {
    "local": {"trainer": "local"},
    "greedy": {"trainer": "greedy"},
    "end_to_end": {"trainer": "end_to_end"},
    "end_to_end_sum": {"trainer": "end_to_end_sum"},
    "checkpointing": {"trainer": "end_to_end", "activation_checkpointing": True},
}
BARS = {
    "slope of local / of end_to_end": 0.03,
    "peak of local / of end_to_end, deepest": 0.28,
    "peak of local / with checkpointing, deepest": 0.7,
}
MB = 1e6
STEPS = 2  # the second step has optimizer state


def step_all(options: argparse.Namespace, settings: dict[str, Any], *, depth: int, size: int, batch: int) -> int:
    """Build a net, take two steps that train the last layer, and return the size of its state.

    Returns:
        Weights, heads and optimizer state, bytes.
    """
    same = (1,) * depth
    config = TrainConfig(
        steps=STEPS * depth,
        precision=options.precision,
        encoder=EncoderConfig(widths=(options.channels,) * depth, kernels=(3,) * depth, strides=same, pools=same),
        objective=ObjectiveConfig(terms=("temporal_hinge",), head="mlp", grid=(2,)),
        optim=OptimConfig(name="adamw"),
        **settings,
    )
    device = torch.device(options.device)
    encoder = build_encoder(config.encoder, FrameTransform(size, size), seed=0)
    encoder = encoder.to(device, memory_format=torch.channels_last)
    learners = build_learners(encoder, config, seed=0)
    trainer = build_strategy(learners, config)
    rows = torch.arange(batch)
    frames = torch.randn(batch, 3, size, size).contiguous(memory_format=torch.channels_last)
    frame_batch = FrameBatch(frames, rows // 4, rows % 4).to(device)
    relation = frame_batch.relation(gap=1, far=3)
    for step in range(config.steps - STEPS, config.steps):
        trainer.step(step, frame_batch.frames, relation)
    return state_bytes(learners)


def state_bytes(learners: list[LayerLearner]) -> int:
    """Return the bytes of all weights and optimizer states."""
    tensors = [parameter for learner in learners for parameter in learner.parameters]
    for learner in learners:
        tensors += [value for state in learner.optimizer.state.values() for value in state.values()]
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def measure(options: argparse.Namespace, name: str, depth: int) -> dict[str, float]:
    """Measure in this process, which must be new."""
    torch.set_num_threads(1)
    step_all(options, TRAINERS[name], depth=2, size=8, batch=8)
    if options.device == "cpu":
        before = memory_mb()
        forget_peak()
        state = step_all(options, TRAINERS[name], depth=depth, size=options.size, batch=options.batch)
        peak = memory_mb("VmHWM")
    else:
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated() / MB
        state = step_all(options, TRAINERS[name], depth=depth, size=options.size, batch=options.batch)
        peak = torch.cuda.max_memory_allocated() / MB
    return {"peak": peak - before, "state": state / MB}


def in_process(name: str, depth: int, steady: bool, turn: int) -> dict[str, float]:
    """Measure in a new process with the arguments of this one.

    Args:
        name: name of the trainer.
        depth: number of layers.
        steady: make the allocator return larger tensors at once.
        turn: number of the turn, ignored.
    """
    command = [sys.executable, "-m", "benchmarks.memory", *sys.argv[1:], "--one", f"{name}:{depth}"]
    environment = {**os.environ, **ONE_THREAD}
    if steady:
        environment["MALLOC_MMAP_THRESHOLD_"] = "65536"
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{name}, {depth} layers: {done.stderr[-2000:]}")
    return dict(json.loads(done.stdout))


def collect(options: argparse.Namespace) -> dict[str, dict[int, list[dict[str, float]]]]:
    """Measure every trainer at every depth, alternating."""
    steady = options.malloc == "steady"
    ways = {(name, d): partial(in_process, name, d, steady) for d in options.depths for name in TRAINERS}
    found = take_turns(ways, options.repeats)
    return {name: {depth: found[name, depth] for depth in options.depths} for name in TRAINERS}


def summarise(found: dict[str, dict[int, list[dict[str, float]]]]) -> dict[str, Any]:
    """Return medians, slopes from the smallest to the largest depth, and the thresholds."""
    rows: dict[str, Any] = {}
    for name, depths in found.items():
        peaks = {depth: statistics.median(one["peak"] for one in ones) for depth, ones in depths.items()}
        spread = {d: [min(o["peak"] for o in ones), max(o["peak"] for o in ones)] for d, ones in depths.items()}
        first, last = min(peaks), max(peaks)
        rows[name] = {
            "peak_mb": peaks,
            "range_mb": spread,
            "state_mb": {depth: ones[0]["state"] for depth, ones in depths.items()},
            "slope_mb_per_layer": (peaks[last] - peaks[first]) / (last - first),
        }
    deepest = max(rows["local"]["peak_mb"])
    peak = {name: row["peak_mb"][deepest] for name, row in rows.items()}
    slope = {name: row["slope_mb_per_layer"] for name, row in rows.items()}
    ratios = (
        slope["local"] / slope["end_to_end"],
        peak["local"] / peak["end_to_end"],
        peak["local"] / peak["checkpointing"],
    )
    bars = {text: {"found": ratio, "at_most": BARS[text]} for text, ratio in zip(BARS, ratios, strict=True)}
    return {"trainers": rows, "bars": bars}


def table(summary: dict[str, Any]) -> str:
    """Return a Markdown table with one row per trainer, then one line per threshold."""
    rows = summary["trainers"]
    depths = list(rows["local"]["peak_mb"])
    lines = [
        "| trainer | " + " | ".join(f"{depth} layers" for depth in depths) + " | MB a layer | of it state |",
        "|---" * (len(depths) + 3) + "|",
    ]
    for name, row in rows.items():
        state = (row["state_mb"][depths[-1]] - row["state_mb"][depths[0]]) / (depths[-1] - depths[0])
        peaks = " | ".join(f"{row['peak_mb'][depth]:.0f} MB" for depth in depths)
        lines.append(f"| {name} | {peaks} | {row['slope_mb_per_layer']:.2f} | {state:.2f} |")
    lines.append("")
    for text, bar in summary["bars"].items():
        verdict = "met" if bar["found"] <= bar["at_most"] else "MISSED"
        lines.append(f"{text}: {bar['found']:.3f}, at most {bar['at_most']}: {verdict}")
    return "\n".join(lines)


def main() -> int:
    """Run the benchmark; return 1 if a threshold is missed."""
    parser = arguments(__doc__)
    parser.add_argument("--depths", type=int, nargs="+", default=[4, 8, 16, 32])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--size", type=int, default=64, help="side of the frames, px")
    parser.add_argument("--channels", type=int, default=32)
    parser.add_argument("--batch", type=int, default=32, help="frames")
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--malloc", choices=["steady", "glibc"], default="steady")
    parser.add_argument("--one", default=None, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        name, depth = options.one.split(":")
        print(json.dumps(measure(options, name, int(depth))))
        return 0
    if len(options.depths) < 2:
        parser.error("--depths: a slope needs two depths at least")
    found = collect(options)
    summary = summarise(found)
    print(table(summary))
    settings = {key: value for key, value in vars(options).items() if key not in ("json", "one")}
    write(options.json, {"settings": settings, **summary, "measurements": found})
    return int(any(bar["found"] > bar["at_most"] for bar in summary["bars"].values()))


if __name__ == "__main__":
    sys.exit(main())
