"""Manifests, run folders and stores are untrusted: checked, bounded, and without access to other files."""

from __future__ import annotations

import csv
import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.extracting import take
from helpers.small_runs import CONFIG, resume

from seqff.config_io import load_config
from seqff.errors import ConfigError, ManifestError, RunError, SeqffError
from seqff.features import FeatureStore
from seqff.files import read_csv, read_json, write_csv
from seqff.metrics import MetricsLog, read_metrics
from seqff.nets import load_encoder
from seqff.report.data import read_report_data
from seqff.train import train
from seqff.video import Manifest, scan
from seqff.watch import watch

LONG = 2**40


@pytest.fixture(scope="module")
def run(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short run; not to be changed."""
    return train(clips, out=tmp_path_factory.mktemp("trained") / "run", config=CONFIG, progress=False).path


@pytest.fixture
def copied(run: Path, tmp_path: Path) -> Path:
    """A copy of the run, to be changed."""
    subprocess.run(["cp", "-r", str(run), str(tmp_path / "run")], check=True)
    return tmp_path / "run"


@pytest.fixture
def bounded() -> Any:
    """Little more memory than the process has: what asks for gigabytes fails."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 3 * 2**29, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


def changed(manifest: Manifest, out: Path, **fields: Any) -> Path:
    """A manifest on disk whose first entry says something else."""
    values = manifest.to_dict()
    values["entries"][0] |= fields
    out.write_text(json.dumps(values))
    return out


@pytest.fixture(scope="module")
def manifest(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """The scan of the clips."""
    return scan(clips, out=tmp_path_factory.mktemp("scan") / "m.json", workers=1, progress=False)


@pytest.mark.parametrize("root", ["clips", "http:/127.0.0.1:9/clips", "http:clips", "concat:clips", "", 5])
def test_the_root_of_a_manifest_is_absolute_or_an_address(manifest: Manifest, tmp_path: Path, root: object) -> None:
    """Only `scheme://` reaches a server; a name that looks like it is a relative path, which a manifest never has."""
    file = tmp_path / "m.json"
    file.write_text(json.dumps(manifest.to_dict() | {"root": root}))
    with pytest.raises(ManifestError):
        Manifest.load(file)


@pytest.mark.parametrize(
    "fields",
    [
        {"content_hash": "../../outside"},
        {"content_hash": "/etc/passwd"},
        {"content_hash": "0" * 31},
        {"content_hash": ""},
        {"content_hash": 5},
        {"path": "../outside.mp4"},
        {"path": "lone\ud800.mp4"},
        {"path": "/etc/passwd"},
        {"path": "a//b.mp4"},
        {"path": "a\0b.mp4"},
        {"path": ["a.mp4"]},
        {"frames": LONG},
        {"frames": -1},
        {"frames": 1e3},
        {"frames": True},
        {"height": 2**20, "width": 2**20},
        {"height": 0},
        {"fps": float("inf")},
        {"fps": -25.0},
        {"time_base": [1, 0]},
        {"time_base": [0, 1]},
        {"time_base": [-1, 25]},
        {"time_base": [1]},
        {"pts_runs": [[1, LONG]]},
        {"pts_runs": [[1, 3]]},
        {"pts_runs": [[10**30, 1]]},
        {"pts_runs": [["a", 1]]},
        {"pts_runs": [[1, 2, 3]]},
        {"pts_runs": [[1, -16]]},
        {"key_runs": [[0, LONG]]},
        {"key_runs": [[99, 1]]},
        {"key_runs": [[-1, 1]]},
        {"cut_runs": [[1, LONG]]},
        {"still_runs": [[0, 10**9]]},
        {"mended_runs": [[1, LONG]]},
        {"orientation": [7, 0, 0, 1]},
        {"crop": [-1, 0, 0, 0]},
        {"status": "fine"},
        {"reader": "http"},
        {"access": "any"},
        {"levels": "used"},
        {"bits": 0},
        {"surprise": 1},
    ],
    ids=str,
)
@pytest.mark.usefixtures("bounded")
def test_manifests_say_only_what_can_be(manifest: Manifest, tmp_path: Path, fields: dict[str, Any]) -> None:
    """An entry that names something outside, or claims what no video bears out, is one line, and takes no memory."""
    path = changed(manifest, tmp_path / "m.json", **fields)
    with pytest.raises(ManifestError, match="damaged") as caught:
        Manifest.load(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        '{"format": 3, "root": "relative", "entries": []}',
        '{"format": 3, "root": "", "entries": []}',
        '{"format": 3, "root": "/x", "entries": {"a": 1}}',
        '{"format": 3, "root": "/x", "entries": ["a"]}',
        '{"format": 3, "root": "/x", "entries": [], "fps": NaN}',
        '{"format": 3, "root": 5, "entries": []}',
        '{"format": [], "root": "/x", "entries": []}',
        "[" * 100_000,
        "[]",
        '"text"',
        "\xff\xfe",
        "1" * 5000,
    ],
    ids=lambda text: text[:40],
)
def test_manifests_of_other_shapes(tmp_path: Path, content: str) -> None:
    """What is no manifest is named as that."""
    (tmp_path / "m.json").write_text(content, encoding="latin-1")
    with pytest.raises(ManifestError, match="damaged"):
        Manifest.load(tmp_path / "m.json")


def test_what_a_scan_writes_is_read_again(manifest: Manifest, tmp_path: Path) -> None:
    """No sound manifest is refused."""
    manifest.save(tmp_path / "m.json")
    assert Manifest.load(tmp_path / "m.json") == manifest


def test_extraction_stays_in_its_folder(run: Path, manifest: Manifest, tmp_path: Path) -> None:
    """A content hash that leads elsewhere neither writes nor reads there."""
    (tmp_path / "out").mkdir()
    (tmp_path / "outside.npy").write_bytes(b"mine")
    path = changed(manifest, tmp_path / "m.json", content_hash="../../outside")
    with pytest.raises(ManifestError):
        take(run, path, tmp_path / "out" / "features")
    assert (tmp_path / "outside.npy").read_bytes() == b"mine"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["m.json", "out", "outside.npy"]


ODD: dict[str, Callable[[Path], object]] = {
    "pipe": lambda path: os.mkfifo(path),
    "zero": lambda path: path.symlink_to("/dev/zero"),
    "link": lambda path: path.symlink_to("/etc/hostname"),
}
READS: dict[str, Callable[[Path], object]] = {
    "report": lambda run: read_report_data(run, []),
    "watch": lambda run: list(watch(run)),
    "load": load_encoder,
}


@pytest.mark.parametrize("kind", ODD)
@pytest.mark.parametrize(
    "name", ["config.yaml", "encoder.json", "encoder.safetensors", "metrics.jsonl", "manifest.sqlite", "manifest.json"]
)
@pytest.mark.parametrize("how", READS)
def test_odd_files_in_a_run_are_refused(copied: Path, name: str, kind: str, how: str) -> None:
    """A pipe, a device or a link in place of a file of a run ends at once, in one line that names it."""
    (copied / name).unlink(missing_ok=True)  # manifest.json is of an older seqff
    ODD[kind](copied / name)
    with pytest.raises(RunError) as caught:
        READS[how](copied)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["state.json", "layer1.safetensors"])
def test_odd_files_in_a_checkpoint_are_refused(copied: Path, manifest: Manifest, tmp_path: Path, name: str) -> None:
    """A run is not gone on with from a checkpoint that holds a pipe."""
    manifest.save(tmp_path / "m.json")
    file = next(copied.glob(f"checkpoints/*/{name}"))
    file.unlink()
    os.mkfifo(file)
    with pytest.raises(RunError, match="pipe"):
        resume(tmp_path / "m.json", copied, CONFIG)


@pytest.fixture(scope="module")
def store(run: Path, clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Features of the clips; not to be changed."""
    return take(run, clips, tmp_path_factory.mktemp("store") / "features").path


@pytest.mark.parametrize("kind", ODD)
@pytest.mark.parametrize("name", ["meta.json", "index.csv", "videos.csv", "arrays/layer1.npy"])
def test_odd_files_in_a_store_are_refused(store: Path, tmp_path: Path, kind: str, name: str) -> None:
    """The same holds for features."""
    subprocess.run(["cp", "-r", str(store), str(tmp_path / "features")], check=True)
    (tmp_path / "features" / name).unlink()
    ODD[kind](tmp_path / "features" / name)
    with pytest.raises(RunError):
        FeatureStore.open(tmp_path / "features")


@pytest.mark.parametrize("change", [
    {"arrays": {"../../outside": {"width": 2}}},
    {"arrays": {"/etc/outside": {"width": 2}}},
    {"arrays": ["layer1"]},
    {"arrays": {"layer1": {"width": -1}}},
    {"rows": "8"},
    {"rows": -8},
    {"per": 7},
], ids=str)  # fmt: skip
def test_stores_name_nothing_outside(store: Path, tmp_path: Path, change: dict[str, Any]) -> None:
    """An array whose name leads out of the store, and figures that are none, are one line."""
    subprocess.run(["cp", "-r", str(store), str(tmp_path / "features")], check=True)
    np.save(tmp_path / "outside.npy", np.zeros((8, 2), np.float32))
    meta = json.loads((store / "meta.json").read_text()) | change
    (tmp_path / "features" / "meta.json").write_text(json.dumps(meta))
    with pytest.raises(RunError, match="damaged"):
        FeatureStore.open(tmp_path / "features")


@pytest.mark.parametrize(
    "text", ["video,frame\na", "x", "", "video,frame,frames,time_seconds\na,b,c,d\n", "\0" * 2**22]
)
def test_tables_of_a_store_that_are_none(store: Path, tmp_path: Path, text: str) -> None:
    """A damaged index is named, and a line without end is not read to its end."""
    subprocess.run(["cp", "-r", str(store), str(tmp_path / "features")], check=True)
    (tmp_path / "features" / "index.csv").write_text(text)
    with pytest.raises(RunError, match=r"index\.csv"):
        _ = FeatureStore.open(tmp_path / "features").index


@pytest.mark.usefixtures("bounded")
@pytest.mark.parametrize("size", [2**34, 2**40])
def test_holes_are_not_read(tmp_path: Path, size: int) -> None:
    """A file of terabytes that takes no room on the disk takes none in memory."""
    for name in ("a.json", "a.csv", "a.yaml", "metrics.jsonl"):
        (tmp_path / name).touch()
        os.truncate(tmp_path / name, size)
    for read in (read_json, read_csv, load_config, Manifest.load, lambda path: load_encoder(path.parent)):
        with pytest.raises(SeqffError):
            read(tmp_path / f"a.{'csv' if read is read_csv else 'json'}")
    assert read_metrics(tmp_path / "metrics.jsonl") == []


@pytest.mark.usefixtures("bounded")
def test_settings_that_multiply(tmp_path: Path) -> None:
    """References that make billions of values out of a few lines are refused; a few are fine."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    (tmp_path / "bomb.yaml").write_text("\n".join(lines))
    (tmp_path / "deep.yaml").write_text("{a: " * 5000)
    (tmp_path / "long.yaml").write_text(f"steps: {'1' * 6000}")
    (tmp_path / "date.yaml").write_text("steps: 2001-99-99")
    for name in ("bomb", "deep", "long", "date"):
        with pytest.raises(ConfigError, match=name):
            load_config(tmp_path / f"{name}.yaml")
    (tmp_path / "few.yaml").write_text("steps: &n 7\nlog_every: *n\n")
    assert (load_config(tmp_path / "few.yaml").steps, load_config(tmp_path / "few.yaml").log_every) == (7, 7)


@pytest.mark.parametrize(
    "line", ['{"step": 1, "layer1/loss": "x"}', '{"step": "1"}', "[1]", '{"step": 1, "alarms": 5}']
)
def test_figures_that_are_none(tmp_path: Path, line: str) -> None:
    """A line of metrics.jsonl that no training writes is named."""
    (tmp_path / "metrics.jsonl").write_text(line + "\n")
    with pytest.raises(RunError, match="not from a training"):
        read_metrics(tmp_path / "metrics.jsonl")


@pytest.mark.parametrize(
    "settings", [{"std": 0.0}, {"std": -1.0}, {"std": float("nan")}, {"std": 1e-320}, {"mean": float("inf")},
                 {"height": 0}, {"height": 10**9}, {"width": 16.5}], ids=str
)  # fmt: skip
def test_transforms_that_no_input_can_have(copied: Path, settings: dict[str, Any]) -> None:
    """An encoder.json with a deviation of zero, or sides that nothing has, is refused when it is loaded."""
    content = json.loads((copied / "encoder.json").read_text())
    content["transform"] |= settings
    (copied / "encoder.json").write_text(json.dumps(content))
    with pytest.raises(RunError, match=r"encoder\.json.*(std|px)"):
        load_encoder(copied)


FORMULAS = ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", " =1", "'=1", "''=1"]


def test_tables_run_nothing(tmp_path: Path) -> None:
    """Names that a program for tables would take for formulas are quoted in it, and the same again when read here."""
    rows = [(text, "walk", -1.5) for text in FORMULAS] + [("a'b.mp4", "-1", 2.0), ("'quoted' name", "+1.5e3", 0.1)]
    write_csv(tmp_path / "a.csv", ("video", "label", "=number"), rows)
    with (tmp_path / "a.csv").open(newline="") as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    assert not [cell for cell in cells if cell.lstrip()[:1] in tuple("=+-@") and not cell.lstrip("+-")[:1].isdigit()]
    assert [row["video"] for row in read_csv(tmp_path / "a.csv")] == [row[0] for row in rows]
    assert [row["label"] for row in read_csv(tmp_path / "a.csv")] == [row[1] for row in rows]
    assert read_csv(tmp_path / "a.csv")[0]["=number"] == "-1.5"


def test_figures_in_a_table_run_nothing(tmp_path: Path) -> None:
    """The table of a training quotes what alarms and layers say."""
    log = MetricsLog(tmp_path, step=0)
    log.write({"step": 1, "layer1/loss": -0.5, "alarms": ["=cmd()"]})
    log.write({"step": 2, "layer1/loss": -0.5, "alarms": ["@x", "y"]})
    text = (tmp_path / "metrics.csv").read_text()
    assert ("'=cmd()" in text, "'@x | y" in text, ",-0.5," in text) == (True, True, True)


def test_weights_are_never_unpickled(copied: Path) -> None:
    """A pickle in place of weights runs nothing."""
    (copied / "marker").unlink(missing_ok=True)

    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return (os.system, (f"touch {copied}/marker",))

    torch.save({"a": Evil()}, copied / "encoder.safetensors")
    with pytest.raises(RunError):
        load_encoder(copied)
    assert not (copied / "marker").exists()


def test_a_cache_that_cannot_be_written(clips: Path, tmp_path: Path) -> None:
    """A scan goes on without its cache and says which setting would mend that."""
    (tmp_path / "file").touch()
    code = "import sys; from seqff.video import scan; print(len(scan(sys.argv[1], workers=1, progress=False)))"
    for place in (tmp_path / "file" / "cache", Path("/proc/nowhere"), Path("/dev/null")):
        done = subprocess.run(
            [sys.executable, "-c", code, str(clips)],
            env={**os.environ, "SEQFF_CACHE": str(place)}, capture_output=True, text=True, check=True,
            cwd=Path(__file__).resolve().parents[1],
        )  # fmt: skip
        assert done.stdout.strip() == "8"
        assert "SEQFF_CACHE" in done.stderr
        assert "Traceback" not in done.stderr
