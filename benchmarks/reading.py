"""Reading speed, compared with ffmpeg, bare decord, torchcodec and code that opens a video for every pair.

    python -m benchmarks.reading [FOLDER] [--json reading.json]    # half an hour on speed_clips

FOLDER contains the clips, which are generated otherwise. Ratios are of medians over repeats in which all variants
alternate. Values are CPU seconds of this process with its threads, and of ffmpeg without its startup, and wall seconds
for workers. Rows of missing tools say so. Run it on an idle machine. To compare the scan with that of another checkout,
use python -m benchmarks.against.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import torch

from benchmarks.measuring import arguments, take_turns, write
from benchmarks.reading_clips import gop_of, make_clips, pair_clips, variants
from benchmarks.reading_ways import (
    SIZE,
    TRANSFORM,
    VISITS,
    collated,
    memory_drift,
    open_per_pair,
    pairs_stream,
    pairs_torchcodec,
    per_unit,
    run_ffmpeg,
    wall_of_stream,
    whole_decord,
    whole_seqff,
    whole_torchcodec,
)
from seqff.allocator import freed_memory_kept
from seqff.pairs import PairStream
from seqff.video import Manifest, fill_cache, scan

SECTIONS = ("whole", "pairs", "cache", "workers", "memory")


@dataclass(frozen=True)
class Row:
    """One line of the table: seqff compared with a peer; `bar` is the ratio to reach (">=") or to stay below ("<=")."""

    what: str
    clip: str
    seqff: str
    peer: str
    ratio: float | None
    bar: str = ""
    note: str = ""

    @property
    def met(self) -> str:
        """Whether the threshold is met; empty if there is none."""
        if not self.bar or self.ratio is None:
            return ""
        sign, limit = self.bar.split()
        return "yes" if (self.ratio >= float(limit) if sign == ">=" else self.ratio <= float(limit)) else "NO"


Task = Callable[[int], float]  # maps the number of the repeat to a cost per frame or pair


def interleaved(tasks: dict[tuple[str, ...], Task], repeats: int) -> dict[tuple[str, ...], float]:
    """Run all tasks alternately, with one warm-up; return the median of each."""
    found = take_turns(tasks, repeats, warm_up=repeats > 1)
    return {key: statistics.median(costs) for key, costs in found.items()}


def speed_tasks(manifest: Manifest, sections: set[str], tools: set[str], made: Path) -> dict[tuple[str, ...], Task]:
    """Return all tasks measured in CPU seconds; keys are (section, clip, variant)."""
    tasks: dict[tuple[str, ...], Task] = {}
    if "whole" in sections:
        if "ffmpeg" in tools:
            tasks["whole", "", "start"] = partial(run_ffmpeg, ["-version"])
        for entry in manifest.usable:
            path, key = manifest.path(entry), ("whole", entry.path)
            tasks[(*key, "seqff")] = partial(per_unit, partial(whole_seqff, path, entry, SIZE))
            if "decord" in tools:
                tasks[(*key, "decord")] = partial(per_unit, partial(whole_decord, path, SIZE))
            if "torchcodec" in tools:
                tasks[(*key, "torchcodec")] = partial(per_unit, partial(whole_torchcodec, path, SIZE))
            if "ffmpeg" in tools:
                tasks[(*key, "ffmpeg")] = partial(run_ffmpeg, ["-threads", "1", "-i", str(path), "-f", "null", "-"])
    for entry in pair_clips(manifest):
        path, copies = manifest.path(entry), variants(manifest, entry, made / entry.path)
        size, folder = TRANSFORM.decode_size(entry.height, entry.width), made / "frames"
        if "pairs" in sections:
            key = ("pairs", entry.path)
            stream = PairStream(copies, TRANSFORM, VISITS, seed=0)
            tasks[(*key, "seqff")] = partial(per_unit, partial(pairs_stream, stream, 1))
            tasks[(*key, "whole")] = partial(per_unit, partial(whole_seqff, path, entry, size))
            if "decord" in tools:
                tasks[(*key, "open")] = partial(per_unit, partial(open_per_pair, path, entry.frames, size))
            if "torchcodec" in tools:
                tasks[(*key, "torchcodec")] = partial(per_unit, partial(pairs_torchcodec, path, entry.frames, size))
        if "cache" in sections:
            key = ("cache", entry.path)
            for cache in ("u8", "jpeg"):
                sizes = lambda e: TRANSFORM.decode_size(e.height, e.width)  # noqa: E731
                fill_cache(copies, size_of=sizes, cache=cache, folder=folder, progress=False, workers=1)
            for cache in ("none", "u8", "jpeg"):
                tasks[(*key, cache)] = partial(per_unit, partial(collated, copies, cache, folder))
                stream = PairStream(copies, TRANSFORM, replace(VISITS, cache=cache), seed=0)
                tasks[(*key, f"{cache} batches")] = partial(per_unit, partial(pairs_stream, stream, 1))
    return tasks


def speed_rows(manifest: Manifest, cost: dict[tuple[str, ...], float]) -> Iterator[Row]:
    """Yield rows of the measurements."""
    entries = {entry.path: entry for entry in manifest}
    for (section, clip, way), own in cost.items():
        entry = entries.get(clip)
        if entry is None:
            continue
        h264 = entry.codec == "h264"
        ours = f"{own * 1e3:.3f} ms"

        def row(what: str, peer: tuple[str, str], ratio: Callable[[float], float], bar: str = "") -> Iterator[Row]:
            other = cost.get((section, clip, peer[0]))  # noqa: B023 - used at once
            if other is not None:
                yield Row(what, clip, ours, f"{peer[1]} {other * 1e3:.3f} ms", ratio(other), bar)  # noqa: B023

        faster = lambda other: other / own  # noqa: E731, B023
        if (section, way) == ("whole", "seqff"):
            if (section, clip, "ffmpeg") in cost:
                net = (cost[section, clip, "ffmpeg"] - cost["whole", "", "start"]) / entry.frames
                bar = f">= {0.65 if entry.width <= 320 else 0.70}" if h264 else ""
                yield Row("whole video, speed", clip, ours, f"ffmpeg null {net * 1e3:.3f} ms", net / own, bar)
            yield from row("whole video, speed", ("decord", "bare decord"), faster, ">= 0.95")
            yield from row("whole video, speed", ("torchcodec", "bare torchcodec"), faster)
        elif (section, way) == ("pairs", "seqff"):
            short = gop_of(entry) <= 24
            yield from row("pairs/s, batches", ("open", "open per pair"), faster, f">= {15 if short else 35}")
            share = f"<= {2.2 if short else 5}"
            yield from row("CPU a pair, batches", ("whole", "whole video, a frame"), lambda other: own / other, share)  # noqa: B023
            yield from row("pairs/s, batches", ("torchcodec", "torchcodec, 32 pairs in a call"), faster)
        elif section == "cache" and way in ("u8", "jpeg"):
            bar = ">= 30" if way == "u8" else ""
            yield from row(f"pairs/s, {way} cache, collated", ("none", "decoding"), faster, bar)
        elif section == "cache" and way in ("u8 batches", "jpeg batches"):
            yield from row(f"pairs/s, {way.split()[0]} cache, float batches", ("none batches", "decoding"), faster)


def other_rows(manifest: Manifest, sections: set[str], repeats: int, visits: int, made: Path) -> Iterator[Row]:
    """Yield rows for workers, by wall time, and memory."""
    clips = pair_clips(manifest)
    if not clips:
        yield Row("workers and memory", "-", "-", "-", None, note="no H.264 mp4 of more than 20 frames in the folder")
        return
    copies = variants(manifest, clips[0], made / "others")
    if "workers" in sections:
        tasks: dict[tuple[str, ...], Task] = {(str(n),): partial(wall_of_stream, copies, n) for n in (0, 2)}
        wall = interleaved(tasks, repeats)
        none, two = (wall[str(n),] for n in (0, 2))
        here = [f"{seconds * 1e3:.3f} ms" for seconds in (two, none)]
        yield Row("pairs/s by the wall, 2 workers", clips[0].path, here[0], f"none {here[1]}", none / two, ">= 1.6")
    if "memory" in sections:
        if not Path("/proc/self/statm").exists():
            yield Row("memory", "-", "-", "-", None, note="no /proc on this system")
            return
        drift = memory_drift(copies, visits)
        yield Row(f"memory, MB over {visits} visits", clips[0].path, f"{drift:+.1f} MB", "-", drift, "<= 50")


def find_tools() -> tuple[set[str], list[Row]]:
    """Return the available peers, and a row for each missing one."""
    tools = {name for name in ("decord", "torchcodec") if importlib.util.find_spec(name)}
    tools |= {"ffmpeg"} if shutil.which("ffmpeg") else set()
    if "torchcodec" in tools:
        try:
            importlib.import_module("torchcodec.transforms")
        except Exception as error:  # its FFmpeg libraries may be missing, or it is too old
            print(f"torchcodec: {error}", file=sys.stderr)
            tools.discard("torchcodec")
    absent = [name for name in ("ffmpeg", "decord", "torchcodec") if name not in tools]
    return tools, [Row(f"all rows with {name}", "-", "-", "-", None, note=f"{name} is not there") for name in absent]


def table(rows: Iterable[Row]) -> str:
    """Return the rows as a Markdown table."""
    lines = ["| what | clip | seqff | peer | ratio | bar | met |", "|---|---|---|---|---|---|---|"]
    for row in rows:
        ratio = row.note or f"{row.ratio:.2f}"
        lines.append(f"| {row.what} | {row.clip} | {row.seqff} | {row.peer} | {ratio} | {row.bar} | {row.met} |")
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> int:
    """Measure and print the table; return the exit code."""
    parser = arguments(__doc__)
    parser.add_argument("folder", nargs="?", type=Path, help="folder of clips; generated if omitted")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--sections", nargs="+", choices=SECTIONS, default=SECTIONS)
    parser.add_argument("--visits", type=int, default=3000, help="for the memory")
    parser.add_argument("--widths", nargs="+", type=int, default=(320, 640, 1280), help="widths of generated clips, px")
    parser.add_argument("--frames", type=int, default=500, help="frames of generated clips")
    options = parser.parse_args(argv)
    torch.set_num_threads(1)
    sections, (tools, rows) = set(options.sections), find_tools()
    with tempfile.TemporaryDirectory(prefix="seqff-reading-") as made, freed_memory_kept():  # like trainings
        os.environ["SEQFF_CACHE"] = made
        folder = options.folder or Path(made, "clips")
        if options.folder is None:
            folder.mkdir()
            make_clips(folder, options.widths, options.frames)
        manifest = scan(folder, out=Path(made, "manifest.json"), workers=1, max_bad=1.0)
        tasks = speed_tasks(manifest, sections, tools, Path(made))
        rows = [*speed_rows(manifest, interleaved(tasks, options.repeats if tasks else 0)), *rows]
        rows = [*other_rows(manifest, sections, options.repeats, options.visits, Path(made)), *rows]
    print(table(rows))
    write(options.json, {"rows": [{**asdict(row), "met": row.met} for row in rows]})
    return 0


if __name__ == "__main__":
    sys.exit(main())
