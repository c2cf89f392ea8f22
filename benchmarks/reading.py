"""How fast seqff reads video, beside ffmpeg, bare decord, torchcodec and code that opens a video for every pair.

    python benchmarks/reading.py [FOLDER] [--json reading.json]

FOLDER holds the clips; without it clips are made with PyAV. Every ratio is of medians over repeats in which all ways
take turns; CPU seconds of this process with its threads, and of ffmpeg with its start taken off; wall seconds for
workers. Rows whose tool is not there say so. Run it on an idle machine.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # so that it runs in a checkout, too

import numpy as np
import torch

from seqff.config import PairsConfig
from seqff.pairs import PairStream
from seqff.transform import FrameTransform
from seqff.video import Manifest, VideoEntry, fill_cache, open_cached, open_video, scan

SIZE = (112, 112)
TRANSFORM = FrameTransform(*SIZE)
VISITS = PairsConfig(
    gap=1, stretches=4, stretch_frames=17, uses=1, videos_per_batch=8, buffer_videos=8,
    crop=1.0, flip=False, jitter=0.0, skip_cuts=False,
)  # fmt: skip
SECTIONS = ("whole", "pairs", "cache", "workers", "memory")
OPENINGS = 24  # pairs read with an opening each


@dataclass(frozen=True)
class Row:
    """One line of the table: seqff against a peer; `bar` is the ratio it must reach (">=") or keep below ("<=")."""

    what: str
    clip: str
    seqff: str
    peer: str
    ratio: float | None
    bar: str = ""
    note: str = ""

    @property
    def met(self) -> str:
        """Whether the bar is reached; nothing where there is none."""
        if not self.bar or self.ratio is None:
            return ""
        sign, limit = self.bar.split()
        return "yes" if (self.ratio >= float(limit) if sign == ">=" else self.ratio <= float(limit)) else "NO"


Task = Callable[[int], float]  # takes the number of the repeat, returns a cost per frame or pair


def cpu_seconds(who: int = resource.RUSAGE_SELF) -> float:
    """CPU seconds used so far."""
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime


def per_unit(work: Callable[[int], int], repeat: int) -> float:
    """CPU seconds a unit of some work, which returns how many it did."""
    before = cpu_seconds()
    units = work(repeat)
    return (cpu_seconds() - before) / units


def whole_seqff(path: Path, entry: VideoEntry, size: tuple[int, int], repeat: int) -> int:
    """Reads a whole video."""
    with open_video(path, size=size, entry=entry) as video:
        return sum(1 for _ in video)


def whole_decord(path: Path, size: tuple[int, int], repeat: int) -> int:
    """Reads a whole video with nothing but decord."""
    import decord

    video = decord.VideoReader(str(path), ctx=decord.cpu(0), height=size[0], width=size[1], num_threads=1)
    return sum(video.next().asnumpy() is not None for _ in range(len(video)))


def whole_torchcodec(path: Path, size: tuple[int, int], repeat: int) -> int:
    """Reads a whole video with nothing but torchcodec."""
    return sum(1 for _ in torchcodec_decoder(path, size))


def torchcodec_decoder(path: Path, size: tuple[int, int]) -> Any:
    """Opens a video with torchcodec, frames resized in its decoder."""
    from torchcodec.decoders import VideoDecoder
    from torchcodec.transforms import Resize

    return VideoDecoder(str(path), dimension_order="NHWC", num_ffmpeg_threads=1, transforms=[Resize(list(size))])


def run_ffmpeg(arguments: Iterable[str], repeat: int) -> float:
    """CPU seconds of one run of ffmpeg."""
    before = cpu_seconds(resource.RUSAGE_CHILDREN)
    command = ["ffmpeg", "-nostdin", "-v", "error", *arguments]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return cpu_seconds(resource.RUSAGE_CHILDREN) - before


def open_per_pair(path: Path, frames: int, size: tuple[int, int], repeat: int) -> int:
    """Opens the video for every pair and a far frame, as data sets often do."""
    import decord

    random = np.random.default_rng(repeat)
    for _ in range(OPENINGS):
        video = decord.VideoReader(str(path), ctx=decord.cpu(0), height=size[0], width=size[1], num_threads=1)
        n, far = (int(index) for index in random.integers(0, frames - 1, 2))
        video.get_batch([n, n + 1]).asnumpy()
        video.get_batch([far]).asnumpy()
    return OPENINGS


def pairs_torchcodec(path: Path, frames: int, size: tuple[int, int], repeat: int) -> int:
    """Opens a video and asks for 32 random pairs in one call."""
    starts = np.sort(np.random.default_rng(repeat).integers(0, frames - 1, 32))
    torchcodec_decoder(path, size).get_frames_at(indices=np.stack([starts, starts + 1], axis=1).ravel().tolist())
    return 32


def pairs_stream(stream: PairStream, rounds: int, repeat: int) -> int:
    """Takes rounds of batches from the stream of training pairs; returns pairs (n, n + 1)."""
    count = stream.plan.batches_per_round * rounds
    return sum(count_pairs(batch) for batch in islice(stream.batches(repeat * count), count))


def count_pairs(batch: Any) -> int:
    """Counts the rows of a batch that are followed by the next frame of the same video."""
    return int(((batch.time.diff() == 1) & (batch.video.diff() == 0)).sum())


def collated(manifest: Manifest, cache: str, folder: Path, repeat: int) -> int:
    """Visits every video (4 stretches of 17 frames) and collates the uint8 frames into one tensor."""
    random, bags = np.random.default_rng(repeat), []
    for _ in range(1 if cache == "none" else 8):  # else too short to measure
        for entry in manifest:
            starts = np.linspace(0, entry.frames - 18, 5)[:4] + random.integers(0, max(1, (entry.frames - 68) // 4))
            indices = np.unique(np.minimum(starts.astype(int)[:, None] + np.arange(17), entry.frames - 1))
            size = TRANSFORM.decode_size(entry.height, entry.width)
            with open_cached(manifest.path(entry), entry, size=size, cache=cache, folder=folder) as video:
                bags.append((torch.from_numpy(video.at(indices)), indices))
        torch.cat([frames for frames, _ in bags[-len(manifest) :]])
    return sum(int((np.diff(indices) == 1).sum()) for _, indices in bags)


def wall_of_stream(manifest: Manifest, workers: int, repeat: int) -> float:
    """Wall seconds a pair, once the workers have started."""
    stream = PairStream(manifest, TRANSFORM, VISITS, seed=repeat, workers=workers)
    batches, count = stream.batches(), 4 * stream.plan.batches_per_round
    list(islice(batches, stream.plan.batches_per_round))
    before = time.perf_counter()
    pairs = sum(count_pairs(batch) for batch in islice(batches, count))
    return (time.perf_counter() - before) / pairs


def memory_drift(manifest: Manifest, visits: int) -> float:
    """Megabytes the process has grown by between the first tenth of the visits and the last."""
    config = replace(VISITS, stretches=1, stretch_frames=2)
    stream = PairStream(manifest, TRANSFORM, config, seed=0)
    seen = []
    for _ in islice(stream.batches(), visits // VISITS.videos_per_batch):
        resident = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
        seen.append(resident / 1e6)
    return max(seen[-max(1, len(seen) // 10) :]) - max(seen[: max(1, len(seen) // 10)])


def variants(manifest: Manifest, entry: VideoEntry, folder: Path, count: int = 8) -> Manifest:
    """Copies an mp4 so that the copies count as different videos: with an empty box at the end."""
    folder.mkdir(parents=True, exist_ok=True)
    entries = []
    for number in range(count):
        path = folder / f"{number}.mp4"
        path.write_bytes(manifest.path(entry).read_bytes() + b"\0\0\0\x08free" * number)
        found = path.stat()
        same = {"bytes": found.st_size, "mtime_ns": found.st_mtime_ns, "content_hash": f"{entry.content_hash}{number}"}
        entries.append(replace(entry, path=path.name, duplicate_of="", **same))
    return Manifest(folder, tuple(entries))


def make_clips(folder: Path, widths: Iterable[int], frames: int) -> None:
    """Writes H.264 clips of a drifting texture with some noise, key frames every 12 and 250 frames."""
    import av

    for width in widths:
        height = {320: 240, 640: 480, 1280: 720}.get(width, width * 3 // 4)
        random = np.random.default_rng(width)
        coarse = random.integers(0, 256, (height // 8 + 40, width // 8 + 40, 3)).astype(np.uint8)
        texture = coarse.repeat(8, axis=0).repeat(8, axis=1)
        for gop in (12, 250):
            with av.open(str(folder / f"h264_{width}_g{gop}.mp4"), "w") as container:
                options = {"preset": "veryfast", "x264-params": f"keyint={gop}:min-keyint={gop}:scenecut=0"}
                stream: Any = container.add_stream("libx264", rate=25, options=options)
                stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
                stream.codec_context.max_b_frames, stream.codec_context.thread_count = 2, 1
                for number in range(frames):
                    down, right = (int(150 + 149 * f(number / 25)) for f in (np.sin, np.cos))
                    image = texture[down : down + height, right : right + width] // 2
                    image = image + random.integers(0, 16, (height, 1, 1), dtype=np.uint8)
                    container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
                container.mux(stream.encode(None))


def gop_of(entry: VideoEntry) -> float:
    """Frames a key frame."""
    return entry.frames / max(1, len(entry.key_frames))


def interleaved(tasks: dict[tuple[str, ...], Task], repeats: int) -> dict[tuple[str, ...], float]:
    """Runs all tasks in turn, several times, once more before to warm up; returns the median of each."""
    found: dict[tuple[str, ...], list[float]] = {key: [] for key in tasks}
    for repeat in range(repeats + (repeats > 1)):
        for key, task in tasks.items():
            cost = task(repeat)
            if repeat or repeats == 1:
                found[key].append(cost)
        print(f"repeat {repeat} of {repeats} done", file=sys.stderr)
    return {key: statistics.median(costs) for key, costs in found.items()}


def speed_tasks(manifest: Manifest, sections: set[str], tools: set[str], made: Path) -> dict[tuple[str, ...], Task]:
    """Everything that is measured in CPU seconds; keys are (section, clip, way)."""
    tasks: dict[tuple[str, ...], Task] = {}
    if "whole" in sections:
        if "ffmpeg" in tools:
            tasks["whole", "", "start"] = partial(run_ffmpeg, ["-version"])
        for entry in manifest.usable:
            path, key = manifest.path(entry), ("whole", entry.path)
            tasks[(*key, "seqff")] = partial(per_unit, partial(whole_seqff, path, entry, SIZE))
            if "decord" in tools and entry.reader == "decord":
                tasks[(*key, "decord")] = partial(per_unit, partial(whole_decord, path, SIZE))
            if "torchcodec" in tools:
                tasks[(*key, "torchcodec")] = partial(per_unit, partial(whole_torchcodec, path, SIZE))
            if "ffmpeg" in tools:
                tasks[(*key, "ffmpeg")] = partial(run_ffmpeg, ["-threads", "1", "-i", str(path), "-f", "null", "-"])
    for entry in pair_clips(manifest):
        path, copies = manifest.path(entry), variants(manifest, entry, made / entry.path)
        size, folder = TRANSFORM.decode_size(entry.height, entry.width), made / "cache"
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
                config = replace(VISITS, cache=cache, cache_folder=str(folder))
                stream = PairStream(copies, TRANSFORM, config, seed=0)
                tasks[(*key, f"{cache} batches")] = partial(per_unit, partial(pairs_stream, stream, 1))
    return tasks


def pair_clips(manifest: Manifest) -> list[VideoEntry]:
    """The smallest H.264 mp4 files with the shortest and the longest groups of pictures."""
    clips = [e for e in manifest.usable if e.codec == "h264" and e.path.endswith(".mp4") and e.frames > 20]
    small = sorted((e for e in clips if e.width == min(c.width for c in clips)), key=gop_of)
    return small if len(small) < 2 else [small[0], small[-1]]


def speed_rows(manifest: Manifest, cost: dict[tuple[str, ...], float]) -> Iterator[Row]:
    """Makes rows of what was measured."""
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
    """Workers, by the wall clock, and memory."""
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
    """Looks which peers are there; a row for each that is not."""
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
    """The rows in Markdown."""
    lines = ["| what | clip | seqff | peer | ratio | bar | met |", "|---|---|---|---|---|---|---|"]
    for row in rows:
        ratio = row.note or f"{row.ratio:.2f}"
        lines.append(f"| {row.what} | {row.clip} | {row.seqff} | {row.peer} | {ratio} | {row.bar} | {row.met} |")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Measures, prints the table; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, help="of clips; without it they are made")
    parser.add_argument("--json", type=Path, help="write the rows here, too")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--sections", nargs="+", choices=SECTIONS, default=SECTIONS)
    parser.add_argument("--visits", type=int, default=3000, help="for the memory")
    parser.add_argument(
        "--widths", nargs="+", type=int, default=(320, 640, 1280), help="of the clips that are made, px"
    )
    parser.add_argument("--frames", type=int, default=500, help="of the clips that are made")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    sections, (tools, rows) = set(options.sections), find_tools()
    with tempfile.TemporaryDirectory(prefix="seqff-reading-") as made:
        folder = options.folder or Path(made, "clips")
        if options.folder is None:
            folder.mkdir()
            make_clips(folder, options.widths, options.frames)
        manifest = scan(folder, out=Path(made, "manifest.json"), workers=1)
        tasks = speed_tasks(manifest, sections, tools, Path(made))
        rows = [*speed_rows(manifest, interleaved(tasks, options.repeats)), *rows]
        rows = [*other_rows(manifest, sections, options.repeats, options.visits, Path(made)), *rows]
    print(table(rows))
    if options.json:
        machine = {"machine": platform.machine(), "python": platform.python_version(), "torch": torch.__version__}
        content = {**machine, "rows": [{**asdict(row), "met": row.met} for row in rows]}
        options.json.write_text(json.dumps(content, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
