"""Full disks: every command reports the file, the space needed and a remedy in one line, and leaves no partial file."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from helpers.full_disk import left_in, small_disk, small_files
from helpers.small_runs import CONFIG

from seqff.cli import main
from seqff.convert import convert
from seqff.errors import WriteError
from seqff.explore import classify, cluster, search
from seqff.features import FeatureStore, StoredVideo, export, extract, write_store
from seqff.pairs.synthetic import write_clip
from seqff.probes import compare, probe, similarity
from seqff.report import report
from seqff.train import train
from seqff.video import Manifest, pack, scan

SAYS = re.compile(r"cannot be written: .+; it needs [\d.]+ (bytes|kB|MB|GB), .*: (raise it|make room), or choose ")


class Made:
    """The whole way once.

    Args:
        clips: to begin with.
        folder: where everything lies.
    """

    def __init__(self, clips: Path, folder: Path) -> None:
        self.clips, self.run, self.features, self.probe = clips, folder / "run", folder / "features", folder / "probe"
        self.manifest = folder / "m.json"
        scan(clips, out=self.manifest, workers=1, progress=False)
        train(self.manifest, out=self.run, config=CONFIG, progress=False)
        extract(self.run, self.manifest, out=self.features, progress=False)
        probe(self.features, labels="folder", folds=2, out=self.probe, progress=False)
        self.frames = folder / "frames"
        extract(self.run, self.manifest, out=self.frames, per="frame", baselines=(), progress=False)


@pytest.fixture(scope="module")
def made(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Not to be changed."""
    return Made(clips, tmp_path_factory.mktemp("made"))


NOISE = np.random.default_rng(0).integers(0, 255, (9, 64, 64, 3), np.uint8)
DEEDS = {
    "create": lambda made, out: train(made.manifest, out=out / "run", config=CONFIG, progress=False),
    "clip": lambda made, out: write_clip(
        out / "clip.mp4", np.random.default_rng(0).integers(0, 255, (9, 64, 64, 3), np.uint8)
    ),
    "extract": lambda made, out: extract(made.run, made.manifest, out=out / "f", per="frame", progress=False),
    "probe": lambda made, out: probe(made.features, labels="folder", folds=2, out=out / "p", progress=False),
    "report": lambda made, out: report(made.run, [made.probe], out=out / "page.html", progress=False),
    "npz": lambda made, out: export(made.features, out=out / "f.npz"),
    "safetensors": lambda made, out: export(made.features, out=out / "f.safetensors"),
    "scan": lambda made, out: scan(made.clips, out=out / "m.json", workers=1, progress=False),
    "table": lambda made, out: scan(made.clips, out=out / "m.sqlite", workers=1, progress=False),
    "saved": lambda made, out: Manifest.load(made.run / "manifest.sqlite").save(out / "m.sqlite"),
    "similarity": lambda made, out: similarity([made.features], out=out / "s.json"),
    "cluster": lambda made, out: cluster(made.frames, out=out / "c", k=2, progress=False),
    "search": lambda made, out: search(made.features, like="subject0_0.mp4", out=out / "s.html", progress=False),
    "classify": lambda made, out: classify(made.probe, made.manifest, out=out / "c.csv", progress=False),
    "figure": lambda made, out: compare([made.probe, made.probe / "results.json"], names=["a", "b"], out=out / "c.svg"),
    "pack": lambda made, out: pack(made.clips, out=out / "shards", progress=False),
    "convert": lambda made, out: convert(made.run, out=out / "hub"),
    "store": lambda made, out: write_some_store(out / "store"),
}


def write_some_store(path: Path) -> FeatureStore:
    """Features of somebody's own."""
    video = [StoredVideo(f"{number}.mp4", "0" * 32, 1) for number in range(50)]
    return write_store(path, {"layer1": np.zeros((50, 40))}, videos=video)


@pytest.mark.parametrize("deed", DEEDS)
@pytest.mark.parametrize("limit", [0, 60, 700])
def test_where_files_may_not_grow(made: Made, tmp_path: Path, deed: str, limit: int) -> None:
    """Whatever is written first, second or third: the error names the file below the output and the room it needs."""
    with small_files(limit), pytest.raises(WriteError) as caught:
        DEEDS[deed](made, tmp_path / "out")
    text = str(caught.value)
    assert text.startswith(str(tmp_path / "out")), text
    assert "cannot be written: File too large" in text
    left = left_in(tmp_path) if (tmp_path / "out").exists() else []
    half = [name for name in left if name.endswith(".partial") or (tmp_path / name).stat().st_size == limit > 0]
    assert half == []


COMMANDS = ["scan", "train", "extract", "probe", "export", "report"]


@pytest.mark.parametrize(
    ("command", "pages"),
    [(command, pages) for command in COMMANDS for pages in (0, 1)] + [(command, 3) for command in COMMANDS[1:]],
)
def test_a_disk_that_is_full(
    made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str, pages: int
) -> None:
    """With nothing free, a little, or enough for the first files, the command says so, and leaves no half."""
    with small_disk(tmp_path / "disk", "128k") as disk:
        out = disk / {"scan": "m.json", "export": "f.npz", "report": "page.html"}.get(command, "out")
        given = {
            "scan": [made.clips, "--workers", 1],
            "train": [made.manifest, "--config", made.run / "config.yaml", "--optim.name", "adamw"],
            "extract": [made.run, made.manifest, "--per", "frame", "--grid", 4],
            "probe": [made.features, "--labels", "folder", "--folds", "2"],
            "export": [made.features],
            "report": [made.run, made.probe],
        }[command]
        progress = [] if command == "export" else ["--no-progress"]
        (disk / "filler").write_bytes(bytes(128 * 1024 - 4096 * (1 + pages)))
        code = main([command, *map(str, given), "--out", str(out), *progress])
        (line,) = capsys.readouterr().err.splitlines()
        assert code == 1
        assert "No space left on device; it needs " in line
        assert "are free there: make room, or choose a folder on another disk" in line
        assert str(out) in line
        assert not [name for name in left_in(disk) if name.endswith((".partial", ".html", ".npz"))]
