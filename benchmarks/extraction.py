"""Overlap of decoding and encoding in extraction, and memory for an hour of video.

    python -m benchmarks.extraction [FOLDER] [--frames 20000] [--minutes 60] [--json extraction.json]

FOLDER contains the clips (default: generated clips); they are repeated until there are enough frames. Bare decoding
(every video opened and read in batches by `seqff.open_video`), the bare forward pass (transform and encoders on
prepared batches of the same sizes) and `seqff.extract` to disk (all layers, fp32, including opening, pooling, sums over
time, writing and merging) alternate in one process, each with the same number of threads. Values are median wall
seconds over the repeats, with the range of the ratio. The threshold is 0.90 of the slower of the two, which needs two
idle cores: on busy cores, the printed CPU seconds show what extraction adds to the sum of both.

Memory is the growth of resident memory while a video of that many minutes is extracted with one row per frame: the peak
    after the first tenth of the time, minus the peak within it.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import threading
from collections.abc import Callable
from dataclasses import replace
from itertools import cycle
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch

import seqff
from benchmarks.measuring import arguments, memory_mb, seconds_of, take_turns, write
from benchmarks.reading_clips import make_clips
from seqff.config import EncoderConfig
from seqff.nets import Encoder, build_encoder, load_encoder, save_encoder
from seqff.transform import FrameTransform, fit_transform
from seqff.video import Manifest, open_video, scan

BAR = 0.90
BASELINES: dict[str, tuple[str, ...]] = {"trained net": (), "trained, untrained, pixels": ("untrained", "pixels")}


def looped(folder: Path, frames: int, work: Path) -> Manifest:
    """Return a manifest of the clips of a folder, repeated as different videos."""
    clips = scan(folder, out=work / "clips.json", progress=False)
    (work / "loops").mkdir()
    entries, missing = [], frames
    for number, entry in enumerate(cycle(clips.usable)):
        loop = f"{number // len(clips.usable):04}"
        if not (work / "loops" / loop).exists():
            (work / "loops" / loop).symlink_to(clips.root, target_is_directory=True)
        path, content = f"{loop}/{entry.path}", f"{loop}-{entry.content_hash}"
        entries.append(replace(entry, path=path, content_hash=content, duplicate_of=""))
        missing -= entry.frames
        if missing <= 0:
            break
    manifest = Manifest(work / "loops", tuple(entries))
    manifest.save(work / "loops.json")
    return manifest


def decode(manifest: Manifest, transform: FrameTransform, batch: int) -> None:
    """Read every video in batches."""
    for entry in manifest:
        size = transform.decode_size(entry.height, entry.width)
        with open_video(manifest.path(entry), size=size, entry=entry) as reader:
            for start in range(0, entry.frames, batch):
                reader.at(range(start, min(start + batch, entry.frames)))


def make_forward(manifest: Manifest, encoders: list[Encoder], batch: int, device: torch.device) -> Callable[[], None]:
    """Return a function that runs the same number of frames of each size, from memory, through the encoders."""
    transform = encoders[0].transform
    ready: list[tuple[np.ndarray, int]] = []
    known: dict[tuple[int, int], np.ndarray] = {}
    for entry in manifest:
        size = transform.decode_size(entry.height, entry.width)
        if size not in known:
            with open_video(manifest.path(entry), size=size, entry=entry) as reader:
                known[size] = reader.at(range(min(batch, entry.frames)))
        ready.append((known[size], entry.frames))

    def forward() -> None:
        with torch.inference_mode():
            for frames, count in ready:
                for start in range(0, count, batch):
                    x = transform(torch.from_numpy(frames[: count - start]).to(device))
                    for encoder in encoders:
                        encoder(x)
        if device.type == "cuda":
            torch.cuda.synchronize()

    return forward


def speed(manifest: Manifest, run: Path, work: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Return the ratio for extraction with and without baselines."""
    device, frames = torch.device(options.device), sum(entry.frames for entry in manifest)
    trained, untrained = (load_encoder(run, untrained=first).to(device) for first in (False, True))
    found: dict[str, Any] = {"frames": frames, "videos": len(manifest), "threads": options.threads}
    for label, baselines in BASELINES.items():
        encoders = [trained, untrained] if "untrained" in baselines else [trained]

        def extract(baselines: tuple[str, ...] = baselines) -> None:
            shutil.rmtree(work / "store", ignore_errors=True)
            seqff.extract(
                run, work / "loops.json", out=work / "store", baselines=baselines, batch_frames=options.batch,
                workers=options.workers, device=options.device, progress=False,
            )  # fmt: skip

        ways: dict[str, Callable[[], Any]] = {
            "decoding": lambda: decode(manifest, trained.transform, options.batch),
            "forward": make_forward(manifest, encoders, options.batch, device),
            "extraction": extract,
        }
        seconds = take_turns({name: lambda _, way=way: seconds_of(way) for name, way in ways.items()}, options.repeats)
        rounds = list(zip(*seconds.values(), strict=True))
        ratios = [max(decoding[0], forward[0]) / whole[0] for decoding, forward, whole in rounds]
        wall = {name: statistics.median(w for w, _ in times) for name, times in seconds.items()}
        cpu = {name: statistics.median(c for _, c in times) for name, times in seconds.items()}
        found[label] = {
            "wall_seconds": wall,
            "cpu_seconds": cpu,
            "ratio": max(wall["decoding"], wall["forward"]) / wall["extraction"],
            "range": [min(ratios), max(ratios)],
            "cpu_added": cpu["extraction"] / (cpu["decoding"] + cpu["forward"]) - 1,
        }
        print(row(label, found[label], frames))
    return found


def row(label: str, result: dict[str, Any], frames: int) -> str:
    """Return a line of the table."""
    rates = ", ".join(f"{name} {frames / seconds:.0f}/s" for name, seconds in result["wall_seconds"].items())
    low, high = result["range"]
    met = "yes" if result["ratio"] >= BAR else "NO"
    ratio = f"ratio {result['ratio']:.3f} ({low:.3f}-{high:.3f}), >= {BAR:.2f}: {met}"
    return f"{label}: {rates}; {ratio}; CPU seconds {100 * result['cpu_added']:+.1f} %"


def write_hour(path: Path, minutes: float) -> None:
    """Write a video of a drifting texture, 120 x 160 px at 25 frames per second."""
    texture = np.random.default_rng(0).integers(0, 255, (30, 80, 3), dtype=np.uint8).repeat(4, 0).repeat(4, 1)
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("mpeg4", rate=25)
        stream.height, stream.width, stream.pix_fmt = 120, 160, "yuv420p"
        for number in range(round(minutes * 60 * 25)):
            left = abs(number % 320 - 160)
            image = np.ascontiguousarray(texture[:, left : left + 160])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))


def memory(run: Path, work: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Measure resident memory while one long video is extracted."""
    (work / "long").mkdir()
    write_hour(work / "long/long.mp4", options.minutes)
    manifest = scan(work / "long", out=work / "long.json", progress=False)
    resident: list[float] = []
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.1):
            resident.append(memory_mb())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        store = seqff.extract(
            run, work / "long.json", out=work / "rows", per="frame", device=options.device, progress=False
        )
    finally:
        done.set()
        watcher.join()
    first = len(resident) // 10
    growth = max(resident[first:]) - max(resident[:first])
    frames, size = manifest.entries[0].frames, sum(file.stat().st_size for file in store.path.rglob("*.npy")) / 1e6
    print(
        f"memory: {frames} frames, {size:.0f} MB of rows; {max(resident):.0f} MB at most, {growth:+.1f} MB since 10 %"
    )
    return {"frames": frames, "rows_mb": size, "most_mb": max(resident), "growth_mb": growth}


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__)
    parser.add_argument("folder", nargs="?", type=Path, help="folder of clips")
    parser.add_argument("--frames", type=int, default=20000, help="frames of the speed part, 0 = skip it")
    parser.add_argument("--minutes", type=float, default=60, help="minutes of the memory part, 0 = skip it")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1, help="torch's threads")
    parser.add_argument("--workers", type=int, default=1, help="decoding threads of extraction; bare decoding has 1")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        clips = options.folder or work / "made"
        if not options.folder:
            clips.mkdir()
            make_clips(clips, (320, 640, 1280), 500)
        manifest = looped(clips.resolve(), options.frames, work)
        transform = fit_transform(64, [(entry.height, entry.width) for entry in manifest])
        for untrained in (True, False):
            save_encoder(build_encoder(EncoderConfig(), transform, seed=int(untrained)), work, untrained=untrained)
        if options.frames:
            found["speed"] = speed(manifest, work, work, options)
        if options.minutes:
            found["memory"] = memory(work, work, options)
    write(options.json, found)


if __name__ == "__main__":
    main()
