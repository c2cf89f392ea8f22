"""Cost of a large set without decoding: time and memory of a manifest, a plan, a scan, an extraction, a probe.

    python -m benchmarks.many [--counts 1000 100000 1000000] [--only QUESTION ...] [--json many.json]

The videos are synthetic entries, as written by scans, of empty files. Every question runs in a separate process:

write       the manifest, as a table
open        it, and find the usable videos
plan        the pair stream with the default settings, and the first round without decoding
worker      additional memory of a decoding process after its visits of the first round
cached      a scan of a folder in which nothing has changed
changed     the same when one file has
resume      a scan that was killed after it had found all
extract     the list of pending videos and the tables of the store, with one row per video
labels      the probe's rows with their labels from a CSV file, five folds

Values are wall and CPU seconds and peak memory above that of importing seqff (MB). With --json, results already in the
file are not measured again.
"""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measuring import ONE_THREAD, arguments, forget_peak, memory_mb, seconds_of, write
from seqff.config import PairsConfig
from seqff.features.describe import Columns
from seqff.features.job import Job, Shard, index_of, videos_to_do
from seqff.features.parts import Parts
from seqff.features.sampling import RowMaker, Sampling
from seqff.features.store import FeatureStore, StoredVideo, write_store, write_tables
from seqff.pairs import PairStream
from seqff.probes.data import ProbeConfig, read_data
from seqff.transform import FrameTransform
from seqff.video import Manifest, VideoEntry, scan
from seqff.video.journal import Journal
from seqff.video.rows import write_table

COUNTS = (1_000, 100_000, 1_000_000)
CLASSES = 400
TIME_NS = 1_700_000_000_000_000_000


def entry(number: int, count: int) -> VideoEntry:
    """Return a plausible entry: every fourth video has cuts, every hundredth is a copy."""
    own = number if number % 100 or not number else number - 1
    frames = 150 + own * 7919 % 300
    return VideoEntry(
        path=f"class{number * CLASSES // count:03d}/video{number:07d}.mp4",
        mtime_ns=TIME_NS,
        content_hash=f"{own * 2654435761 % 2**64:032x}",
        status="ok",
        frames=frames,
        height=240,
        width=320,
        fps=25.0,
        codec="h264",
        container="mov,mp4,m4a,3gp,3g2,mj2",
        reader="decord",
        access="random",
        pyav_access="random",
        time_base=(1, 12800),
        pts_runs=((0, 1), (512, frames - 1)),
        key_runs=((0, 1), (12, 11)),
        cut_runs=((60, 2),) if number % 4 == 0 else (),
        stored_size=(240, 320),
    )


class Set:
    """A set of synthetic videos in a folder; intermediate results are created on demand."""

    def __init__(self, folder: Path, count: int) -> None:
        self.folder, self.count = folder, count
        self.root, self.table = folder / "videos", folder / "m.sqlite"

    def entries(self) -> Iterator[VideoEntry]:
        """The videos, in order."""
        return (entry(number, self.count) for number in range(self.count))

    def manifest(self) -> Manifest:
        """The manifest, written if necessary."""
        if not self.table.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            write_table(self.table, Manifest(self.root, ()).head(), self.entries())
        return Manifest.load(self.table)

    def files(self) -> None:
        """Write empty files."""
        if self.root.exists():
            return
        for number in range(CLASSES):
            (self.root / f"class{number:03d}").mkdir(parents=True)
        for video in self.entries():
            path = self.root / video.path
            path.touch()
            os.utime(path, ns=(TIME_NS, TIME_NS))

    def stream(self) -> PairStream:
        """A stream of pairs with the default settings."""
        return PairStream(self.manifest(), FrameTransform(64, 80), PairsConfig(), seed=0)

    def store(self) -> FeatureStore:
        """Features with one row per video, and labels.csv."""
        place = self.folder / "store"
        if not place.exists():
            videos = [StoredVideo(video.path, video.content_hash, video.frames) for video in self.entries()]
            write_store(place, {"layer1": np.zeros((self.count, 4), np.float32)}, videos=videos)
            lines = "".join(f"{video.path},{video.path[:8]}\n" for video in self.entries())
            (self.folder / "labels.csv").write_text(f"video,label\n{lines}")
        return FeatureStore.open(place)


def visits(dataset: Any) -> None:
    """Make all visits of the first round, without decoding."""
    for slot in range(dataset.plan.videos_per_round):
        visit = dataset.plan.visit(0, slot)
        _ = dataset.entries[visit.video].best
    dataset.plan.deal(0)


def ask_open(made: Set) -> Callable[[], object]:
    made.manifest()
    return lambda: len(Manifest.load(made.table).usable)


def ask_write(made: Set) -> Callable[[], object]:
    made.table.unlink(missing_ok=True)
    return made.manifest


def ask_plan(made: Set) -> Callable[[], object]:
    made.manifest()
    return lambda: visits(made.stream().dataset)


def ask_worker(made: Set) -> Callable[[], object]:
    sent = made.folder / "dataset.pickle"
    if not sent.exists():
        sent.write_bytes(pickle.dumps(made.stream().dataset))
        os.execv(sys.executable, [sys.executable, "-m", "benchmarks.many", *sys.argv[1:]])  # as a new process
    return lambda: visits(pickle.loads(sent.read_bytes()))


def ask_cached(made: Set) -> Callable[[], object]:
    made.files()
    made.manifest()
    return lambda: scan(made.root, out=made.table, progress=False)


def ask_changed(made: Set) -> Callable[[], object]:
    work = ask_cached(made)
    os.utime(made.root / entry(made.count // 2, made.count).path)
    return work


def ask_resume(made: Set) -> Callable[[], object]:
    made.files()
    out = made.folder / "resumed.sqlite"
    out.unlink(missing_ok=True)
    journal, todo = Journal(out, made.root, fresh=True), made.entries()
    while block := list(islice(todo, 10_000)):
        with journal.changing() as table:
            table.add(block)
    journal.close()
    return lambda: scan(made.root, out=out, progress=False)


def ask_extract(made: Set) -> Callable[[], object]:
    made.manifest()

    def work() -> None:
        manifest, sampling = Manifest.load(made.table), Sampling()
        rows = RowMaker({"layer1": Columns(0, 1, 1, (1, 1))}, sampling, "fp32")
        job = Job(manifest, None, sampling, rows, Parts(made.folder / "parts", 1, rows.dtype), Shard(), 1, 0.0)  # type: ignore[arg-type]
        todo = videos_to_do(job, {})
        job.row_counts(todo)
        index = index_of(manifest.usable, sampling)
        write_tables(made.folder, (StoredVideo(e.path, e.content_hash, e.frames) for e in manifest.usable), index, {})

    return work


def ask_labels(made: Set) -> Callable[[], object]:
    config = ProbeConfig(labels=made.folder / "labels.csv", folds=5)
    made.store()
    return lambda: read_data([FeatureStore.open(made.folder / "store")], config, {})


ASKED = {name.removeprefix("ask_"): ask for name, ask in list(globals().items()) if name.startswith("ask_")}
QUESTIONS = ("write", "open", "plan", "worker", "cached", "changed", "resume", "extract", "labels")


def answer(question: str, made: Set) -> dict[str, float]:
    """Prepare a question and measure it in this process."""
    work = ASKED[question](made)
    before = memory_mb()
    forget_peak()
    wall, cpu = seconds_of(work)
    return {
        "seconds": wall,
        "cpu_seconds": cpu,
        "peak_mb": memory_mb("VmHWM") - before,
        "held_mb": memory_mb() - before,
    }


def main(argv: list[str] | None = None) -> int:
    """Measure the requested questions that have no result yet."""
    parser = arguments(__doc__)
    parser.add_argument("--counts", type=int, nargs="+", default=COUNTS)
    parser.add_argument("--only", nargs="+", choices=QUESTIONS, default=QUESTIONS)
    parser.add_argument("--folder", type=Path, default=None, help="folder to keep intermediate results in")
    parser.add_argument("--inside", action="store_true", help="answer in this process")
    options = parser.parse_args(argv)
    if options.inside:
        print(json.dumps(answer(options.only[0], Set(options.folder, options.counts[0]))))
        return 0
    there = json.loads(options.json.read_text())["found"] if options.json and options.json.exists() else {}
    print(f"{'question':10}{'videos':>10}{'seconds':>10}{'CPU s':>10}{'peak MB':>10}{'held MB':>10}")
    with tempfile.TemporaryDirectory() as folder:
        for count in options.counts:
            place = (options.folder or Path(folder)) / str(count)
            place.mkdir(parents=True, exist_ok=True)
            for question in options.only:
                key = f"{question} {count}"
                if key not in there:
                    words = [
                        "-m",
                        "benchmarks.many",
                        "--inside",
                        "--folder",
                        place,
                        "--only",
                        question,
                        "--counts",
                        count,
                    ]
                    said = subprocess.run(
                        [sys.executable, *map(str, words)],
                        stdout=subprocess.PIPE, env={**os.environ, **ONE_THREAD}, check=True, text=True,
                    ).stdout  # fmt: skip
                    there[key] = json.loads(said.splitlines()[-1])
                    write(options.json, {"found": there})
                values = "".join(
                    f"{there[key][name]:>10.1f}" for name in ("seconds", "cpu_seconds", "peak_mb", "held_mb")
                )
                print(f"{question:10}{count:>10}{values}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
