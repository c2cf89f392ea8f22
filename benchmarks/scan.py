"""Cost of a scan compared with bare decoding: a ratio for long files, milliseconds per file for tiny ones.

    python -m benchmarks.scan CLIPS [--tiny-files 2000] [--json scan.json]    # 5 minutes, two idle cores

`seqff scan` with one decoding process alternates with PyAV decoding every frame in one thread; values are median CPU
seconds of all processes. The scan of two tiny files counts as startup and is subtracted. A scan also makes a thumbnail
of each frame, tests seeking, which decodes a few groups of pictures again, and hashes the file: the shorter a video,
the more these weigh. The last row is the wall time of one decoding process divided by that of two.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import av

from benchmarks.measuring import arguments, command, cpu_seconds, take_turns, write
from benchmarks.reading_clips import make_tiny


def scanned(folder: Path, workers: int, turn: int) -> tuple[float, float]:
    """Return CPU and wall seconds of a scan."""
    with tempfile.TemporaryDirectory() as made:
        words = ["scan", folder, "--workers", workers, "--out", Path(made, "manifest.json")]
        began = time.perf_counter()
        used = command([sys.executable, "-m", "seqff", *words], environment={"PYTHONPATH": str(Path.cwd())})
        return used.cpu_seconds, time.perf_counter() - began


def decoded(folder: Path, turn: int) -> tuple[float, float]:
    """Return CPU and wall seconds of bare decoding."""
    began, before = time.perf_counter(), cpu_seconds()
    for path in sorted(file for file in folder.rglob("*") if file.is_file()):
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            stream.codec_context.thread_count, stream.codec_context.thread_type = 1, "NONE"
            for _ in container.decode(stream):
                pass
    return cpu_seconds() - before, time.perf_counter() - began


def main(argv: list[str] | None = None) -> int:
    """Measure and print the table; return 1 if a threshold is missed."""
    parser = arguments(__doc__)
    parser.add_argument("clips", type=Path, help="folder of long videos")
    parser.add_argument("--tiny-files", type=int, default=2000)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="seqff-scan-") as made:
        few, tiny = Path(made, "few"), Path(made, "tiny")
        make_tiny(few, 2)
        make_tiny(tiny, options.tiny_files)
        ways: dict[str, Callable[[int], tuple[float, float]]] = {
            "start": partial(scanned, few, 1),
            "long": partial(scanned, options.clips, 1),
            "long, bare": partial(decoded, options.clips),
            "tiny": partial(scanned, tiny, 1),
            "tiny, bare": partial(decoded, tiny),
            "two": partial(scanned, options.clips, 2),
        }
        turns = take_turns(ways, options.repeats)
    cpu = {name: statistics.median(one for one, _ in found) for name, found in turns.items()}
    wall = {name: statistics.median(one for _, one in found) for name, found in turns.items()}
    over = 1000 * (cpu["tiny"] - cpu["start"] - cpu["tiny, bare"]) / options.tiny_files
    rows = [
        ("long files: bare decoding over the scan", cpu["long, bare"] / (cpu["long"] - cpu["start"]), 0.8, True),
        ("tiny files: ms a file beyond bare decoding", over, 5.0, False),
        ("one process over two, wall", wall["long"] / wall["two"], 1.8, True),
    ]
    print("| what | found | bar | met |\n|---|---|---|---|")
    missed = False
    for what, found, bar, least in rows:
        met = found >= bar if least else found <= bar
        missed |= not met
        print(f"| {what} | {found:.2f} | {'at least' if least else 'at most'} {bar} | {'yes' if met else 'NO'} |")
    write(options.json, {"cpu_seconds": cpu, "wall_seconds": wall, "rows": rows})
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
