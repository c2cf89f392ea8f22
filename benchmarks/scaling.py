"""How much faster two processes train than one, and what to expect of more.

    python benchmarks/scaling.py [--videos FOLDER] [--steps 120] [--repeats 3] [--json scaling.json]

Needs two idle cores. One process, two with batches of their own (data parallel) and two with layers of their own (layer
parallel) take turns, each by the public command, one thread a process, decoding included; frames a second are those
between the steps after the warm-up and the last, of all processes together; medians over the repeats, ratios of turns
that follow each other. Then the costs of a step's parts are measured, and a model made of them is printed for 1 to 64
processes: a model, not a measurement.

Without --videos it writes clips of moving digits.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # so that it runs in a checkout, too

import numpy as np
import scaling_model
import torch

from seqff.config import PairsConfig, TrainConfig
from seqff.config_io import dump_yaml, to_dict
from seqff.pairs.synthetic import ClipSettings, digits, moving_object, write_clip
from seqff.video import scan

TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
WAYS: dict[str, tuple[list[str], list[str], int]] = {  # what starts it, flags, replicas
    "one": ([], [], 1),
    "data": (TORCHRUN, ["--parallel", "data"], 2),
    "layers": (TORCHRUN, ["--parallel", "layers"], 1),
}
BARS = {"data": 1.7, "layers": 1.6}
WARM_UP = 20
PAIRS = PairsConfig(buffer_videos=16)
"""A round is one group of videos: every fourth step decodes, so that any span of a few steps costs the same."""


def write_clips(folder: Path, count: int = 48) -> Path:
    """Write clips of 32 frames of 64 px."""
    folder.mkdir(parents=True)
    images, settings = digits()[0], ClipSettings(size_px=64, frames=32)
    for number in range(count):
        clip = moving_object(images[number % len(images)], settings, np.random.default_rng(number))
        write_clip(folder / f"clip_{number:03d}.mp4", clip)
    return folder


def run(way: str, manifest: Path, settings: Path, folder: Path) -> float:
    """Train once and return frames a second."""
    start, flags, replicas = WAYS[way]
    command = [sys.executable, *start, "-m", "seqff", "train", str(manifest), "--config", str(settings)]
    one_thread = {**os.environ, **dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")}
    out = folder / way
    given = [*command, *flags, "--out", str(out), "--overwrite", "--no-progress"]
    done = subprocess.run(given, env=one_thread, check=False, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(given)} failed:\n{done.stderr}")
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    first, last = (next(line for line in lines if line["step"] == step) for step in (WARM_UP, lines[-1]["step"]))
    frames = replicas * last["frames"] * (last["step"] - first["step"])
    return float(frames / (last["seconds"] - first["seconds"]))


def take_turns(manifest: Path, settings: Path, folder: Path, repeats: int) -> dict[str, list[float]]:
    """Frames a second of every way, repeat by repeat."""
    found: dict[str, list[float]] = {way: [] for way in WAYS}
    names = list(WAYS)
    for repeat in range(repeats):
        for way in names[repeat % 3 :] + names[: repeat % 3]:
            found[way].append(run(way, manifest, settings, folder))
        print(
            f"turn {repeat + 1}: " + ", ".join(f"{way} {found[way][-1]:.0f}" for way in WAYS) + " frames/s", flush=True
        )
    return found


def report(found: dict[str, list[float]]) -> tuple[list[dict[str, Any]], str]:
    """Ratios to one process, and a table of them."""
    lines, text = [], ["| two processes | frames/s | of one process | range | bar |", "|---|---|---|---|---|"]
    for way, bar in BARS.items():
        ratios = [a / b for a, b in zip(found[way], found["one"], strict=True)]
        ratio = statistics.median(ratios)
        line = {"way": way, "ratio": ratio, "ratios": ratios, "bar": bar, "met": ratio >= bar}
        lines.append({**line, "frames_per_second": statistics.median(found[way])})
        text.append(
            f"| {way} | {lines[-1]['frames_per_second']:.0f} | {ratio:.2f} | {min(ratios):.2f} to {max(ratios):.2f} | "
            f"{bar} {'met' if ratio >= bar else 'MISSED'} |"
        )
    return lines, "\n".join([f"one process: {statistics.median(found['one']):.0f} frames/s", *text])


def main(argv: list[str] | None = None) -> int:
    """Run the benchmark; 1 if a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=Path, default=None)
    parser.add_argument("--steps", type=int, default=120, help=f"of each run, {WARM_UP} of them to warm up")
    parser.add_argument("--repeats", type=int, default=3, help="0 = only the model")
    parser.add_argument("--precision", choices=["auto", "fp32", "bf16"], default="auto")
    parser.add_argument("--json", type=Path, default=None, help="write all figures here")
    arguments = parser.parse_args(argv)
    steps = max(arguments.steps, WARM_UP + 4)
    config = TrainConfig(
        steps=steps, log_every=WARM_UP, checkpoint_every=steps, precision=arguments.precision, pairs=PAIRS
    )
    figures: dict[str, Any] = {"torch": torch.__version__, "processor": platform.processor(), "steps": steps}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        videos = arguments.videos or write_clips(folder / "clips")
        manifest, settings = folder / "manifest.json", folder / "settings.yaml"
        scan(videos, out=manifest, progress=False)
        settings.write_text(dump_yaml(to_dict(dataclasses.replace(config))))
        met = True
        if arguments.repeats:
            found = take_turns(manifest, settings, folder, arguments.repeats)
            figures["measured"], text = report(found)
            met = all(line["met"] for line in figures["measured"])
            print(f"\n{text}\n")
        measured = scaling_model.measure_all(manifest, config)
    print(scaling_model.describe(measured, config))
    print("\nModel (not measured) of frames a second over those of one process, each process with a core of its own:\n")
    print(scaling_model.table(measured))
    if arguments.json:
        arguments.json.write_text(json.dumps({**figures, "model_of": measured.to_dict()}, indent=1) + "\n")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
