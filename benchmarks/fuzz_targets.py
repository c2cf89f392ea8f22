"""Everything that seqff does with untrusted files, by kind of input."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

from benchmarks.fuzz_inputs import CONFIG
from seqff.config_io import load_config, load_run_only
from seqff.errors import SeqffError
from seqff.features import FeatureStore, export, extract
from seqff.nets import load_encoder
from seqff.online.live import open_live
from seqff.report.data import read_report_data
from seqff.train import train
from seqff.video import Manifest, VideoEntry, open_video, scan
from seqff.watch import watch

MOST_FRAMES = 200
TIMEOUT_SECONDS = 10.0


def ends(work: Callable[[], object]) -> None:
    """Run something that may raise only seqff's errors."""
    try:
        work()
    except (SeqffError, FileNotFoundError):
        return


def read(path: Path, entry: VideoEntry) -> None:
    """Read some frames of a video, like training and extraction."""
    if entry.usable and entry.height * entry.width <= 2**22:
        with open_video(path, entry=entry, size=(16, 16)) as video:
            video.at([0, entry.frames - 1, entry.frames // 2])


def videos(box: Path) -> None:
    """Scan a folder; read and stream the usable videos."""
    try:
        found = scan(
            box / "in",
            out=box / "out" / "m.json",
            max_bad=1,
            workers=1,
            timeout_seconds=TIMEOUT_SECONDS,
            progress=False,
        )
    except ValueError as error:
        if "no video in" not in str(error):
            raise
        return
    found.table()
    for entry in found.usable:
        ends(lambda entry=entry: read(found.path(entry), entry))  # type: ignore[misc]
        if entry.codec not in ("images", "array") and not entry.shard[0] and entry.height * entry.width <= 2**20:
            ends(lambda entry=entry: stream(found.path(entry)))  # type: ignore[misc]


def stream(path: Path) -> None:
    """Read a video as a stream."""
    with open_live(path, size=(16, 16)) as frames:
        for _ in itertools.islice(frames, MOST_FRAMES):
            pass


def manifests(box: Path) -> None:
    """Load manifests, read their videos and extract features."""
    for file in sorted((box / "in").glob("*.json")):

        def work(file: Path = file) -> None:
            loaded = Manifest.load(file)
            loaded.table()
            for entry in loaded.usable:
                _ = entry.times_seconds, entry.positions, entry.key_frames, entry.shot_cuts, entry.still_pairs
                ends(lambda entry=entry: read(loaded.path(entry), entry))  # type: ignore[misc]

        ends(work)
    file = next(iter(sorted((box / "in").glob("*.json"))), None)
    if file is not None:
        out = box / "out" / "features"
        ends(lambda: extract(box.parent / "seeds" / "run", file, out=out, max_bad=1, progress=False, device="cpu"))


def configs(box: Path) -> None:
    """Load settings."""
    for file in sorted((box / "in").iterdir()):
        ends(lambda file=file: load_config(file))  # type: ignore[misc]
        ends(lambda file=file: load_run_only(file))  # type: ignore[misc]


def runs(box: Path) -> None:
    """Open runs in every way; resume the first."""
    for run in sorted((box / "in").iterdir()):
        ends(lambda run=run: load_encoder(run))  # type: ignore[misc]
        ends(lambda run=run: load_encoder(run, untrained=True))  # type: ignore[misc]
        ends(lambda run=run: read_report_data(run, []))  # type: ignore[misc]
        ends(lambda run=run: list(watch(run, once=True)))  # type: ignore[misc]
    for run in sorted((box / "in").iterdir())[:1]:
        ends(lambda run=run: go_on(run, box.parent / "seeds" / "manifests" / "m.json"))  # type: ignore[misc]


def go_on(run: Path, manifest: Path) -> None:
    """Resume a training."""
    train(manifest, out=run, config=CONFIG, resume=True, progress=False, device="cpu")


def stores(box: Path) -> None:
    """Read and export features."""
    for number, folder in enumerate(sorted((box / "in").iterdir())):

        def work(folder: Path = folder, number: int = number) -> None:
            store = FeatureStore.open(folder)
            _ = store.index, store.videos, store.skipped, store.trained_on, repr(store)
            for name in store.names:
                store.to_numpy(name)
            export(store, out=box / "out" / f"{number}.npz")

        ends(work)


TARGETS: dict[str, Callable[[Path], None]] = {
    "films": videos,
    "pictures": videos,
    "arrays": videos,
    "shards": videos,
    "manifests": manifests,
    "configs": configs,
    "runs": runs,
    "stores": stores,
}
