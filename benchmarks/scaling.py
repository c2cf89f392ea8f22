"""Speedup of training in two processes.

    python -m benchmarks.scaling [--videos FOLDER] [--steps 120] [--json scaling.json]    # 5 minutes on two idle cores

One process, two data-parallel and two layer-parallel processes alternate. Each is the public command, including
decoding, with one thread per process. Frames per second are those of all processes together, from the end of the
warm-up to the last step; values are medians over the repeats, and ratios are within a turn. Without --videos, clips of
moving digits are generated.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.measuring import arguments, command, take_turns, write
from seqff.config import PairsConfig, TrainConfig
from seqff.config_io import dump_yaml, to_dict
from seqff.pairs.synthetic import ClipSettings, write_digit_clips
from seqff.video import scan

TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
WAYS: dict[str, tuple[list[str], list[str], int]] = {  # launcher, flags, replicas
    "one": ([], [], 1),
    "data": (TORCHRUN, [], 2),
    "layers": (TORCHRUN, ["--stages", "2"], 1),
}
BARS = {"data": 1.7, "layers": 1.6}
WARM_UP = 20
PAIRS = PairsConfig(buffer_videos=16)
"""A round is one group of videos: every fourth step decodes, so that the cost is even over a few steps."""


def write_clips(folder: Path, count: int = 48) -> Path:
    """Write clips of 32 frames of 64 px."""
    write_digit_clips(folder, clips=count, settings=ClipSettings(size_px=64, frames=32), progress=False)
    return folder


def run(way: str, manifest: Path, settings: Path, folder: Path, turn: int) -> float:
    """Train once and return frames per second."""
    start, flags, replicas = WAYS[way]
    out = folder / f"{way}_{turn}"
    given = ["train", manifest, "--config", settings, *flags, "--out", out, "--no-progress"]
    command([sys.executable, *start, "-m", "seqff", *given])
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    first, last = (next(line for line in lines if line["step"] == step) for step in (WARM_UP, lines[-1]["step"]))
    frames = replicas * last["frames"] * (last["step"] - first["step"])
    return float(frames / (last["seconds"] - first["seconds"]))


def report(found: dict[str, list[float]]) -> tuple[list[dict[str, Any]], str]:
    """Return the ratios to one process, and a table of them."""
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
    """Run the benchmark; return 1 if a threshold is missed."""
    parser = arguments(__doc__)
    parser.add_argument("--videos", type=Path, default=None)
    parser.add_argument("--steps", type=int, default=120, help=f"of each run, {WARM_UP} of them to warm up")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--precision", choices=["auto", "fp32", "bf16"], default="auto")
    options = parser.parse_args(argv)
    steps = max(options.steps, WARM_UP + 4)
    config = TrainConfig(
        steps=steps, log_every=WARM_UP, checkpoint_every=steps, precision=options.precision, pairs=PAIRS
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        videos = options.videos or write_clips(folder / "clips")
        manifest, settings = folder / "manifest.json", folder / "settings.yaml"
        scan(videos, out=manifest, progress=False)
        settings.write_text(dump_yaml(to_dict(config)))
        found = take_turns({way: partial(run, way, manifest, settings, folder) for way in WAYS}, options.repeats)
    lines, text = report(found)
    print(text)
    write(options.json, {"steps": steps, "one": found["one"], "measured": lines})
    return int(not all(line["met"] for line in lines))


if __name__ == "__main__":
    sys.exit(main())
