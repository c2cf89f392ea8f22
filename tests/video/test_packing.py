"""`seqff pack`: a folder as tar files, read in place with bit-identical results."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest

from seqff.cli import main
from seqff.errors import NoVideoError, RunError
from seqff.video import pack

ODD = "gr\udcfcn/" + "long" * 40 + "/a.b.mp4"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of 1 to 5 kB with the names of videos, and other files beside them."""
    root = tmp_path_factory.mktemp("folder")
    sizes = {
        "walk/b.mp4": 1,
        "walk/a.mp4": 5,
        "walk/a.json": 1,
        "walk/ab.avi": 2,
        "run/c.mkv": 3,
        ODD: 1,
        "walk/z.txt": 1,
    }
    for number, (name, size) in enumerate(sizes.items()):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(bytes([number]) * size * 1000)
    return root


def names_in(shard: Path) -> list[str]:
    """The members, in order."""
    with tarfile.open(shard) as tar:
        return tar.getnames()


def test_files_keep_their_names_and_samples_stay_together(folder: Path, tmp_path: Path) -> None:
    """Sorted by path, what shares a name up to the first dot in one tar file; same files, same bytes."""
    shards = pack(folder, out=tmp_path / "a", shard_mb=0.0278, progress=False)
    assert [shard.name for shard in shards] == ["shard-000000.tar", "shard-000001.tar"]
    assert all(shard.stat().st_size <= 27_800 for shard in shards)
    assert [names_in(shard) for shard in shards] == [
        [ODD, "run/c.mkv"],
        ["walk/a.json", "walk/a.mp4", "walk/ab.avi", "walk/b.mp4"],
    ]
    (tmp_path / "other").mkdir()
    for name in ["walk/b.mp4", "walk/a.json", "walk/ab.avi", "run/c.mkv", "walk/a.mp4", ODD]:
        (tmp_path / "other" / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / "other" / name).write_bytes((folder / name).read_bytes())
    again = pack(tmp_path / "other", out=tmp_path / "b", shard_mb=0.0278, progress=False)
    assert [shard.read_bytes() for shard in again] == [shard.read_bytes() for shard in shards]
    with tarfile.open(shards[0]) as tar:
        file = tar.extractfile(ODD)
        assert file is not None
        assert file.read() == (folder / ODD).read_bytes()


@pytest.mark.skipif(importlib.util.find_spec("webdataset") is None, reason="webdataset is not installed")
def test_webdataset_reads_them(folder: Path, tmp_path: Path) -> None:
    """Its samples are the videos with what lies beside them; in a process of its own, as it leaves files open."""
    (shard,) = pack(folder, out=tmp_path / "a", progress=False)
    code = """
import sys, webdataset
for sample in webdataset.WebDataset(sys.argv[1], shardshuffle=False):
    if sample["__key__"] == "walk/a":
        print(sample["mp4"].hex(), sample["json"].hex())
"""
    done = subprocess.run([sys.executable, "-c", code, str(shard)], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [(folder / name).read_bytes().hex() for name in ("walk/a.mp4", "walk/a.json")]


def test_a_call_that_was_stopped_goes_on(folder: Path, tmp_path: Path) -> None:
    """Finished tar files stay as they are, half ones go; nothing is written over what holds other files."""
    out = tmp_path / "a"
    shards = pack(folder, out=out, shard_mb=0.0278, progress=False)
    whole, before = shards[1].read_bytes(), shards[0].stat().st_mtime_ns
    shards[1].unlink()
    (out / ".shard-000001.tar.77.partial").write_bytes(whole[:999])
    assert pack(folder, out=out, shard_mb=0.0278, progress=False) == shards
    assert (shards[0].stat().st_mtime_ns, shards[1].read_bytes()) == (before, whole)
    assert sorted(out.iterdir()) == shards
    with pytest.raises(RunError, match=r"a holds other things \(shard-000001\.tar\)"):
        pack(folder, out=out, progress=False)
    with pytest.raises(RunError, match=r"shard-000000\.tar holds other files than these"):
        pack(folder, out=out, shard_mb=0.0288, progress=False)
    (out / "notes.txt").write_text("mine")
    with pytest.raises(RunError, match=r"a holds other things \(notes\.txt\)"):
        pack(folder, out=out, shard_mb=0.0278, progress=False)
    assert shards[1].read_bytes() == whole


def test_a_file_that_is_newer_than_its_tar_file_is_not_passed_over(folder: Path, tmp_path: Path) -> None:
    """Changed contents of the same size do not count as packed."""
    (tmp_path / "v").mkdir()
    (tmp_path / "v" / "a.mp4").write_bytes(b"old")
    (shard,) = pack(tmp_path / "v", out=tmp_path / "s", progress=False)
    (tmp_path / "v" / "a.mp4").write_bytes(b"new")
    with pytest.raises(RunError, match="holds other files than these"):
        pack(tmp_path / "v", out=tmp_path / "s", progress=False)
    assert b"old" in shard.read_bytes()


def test_what_is_not_packed_is_said(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Arrays, pictures and tar files, by name; other files by kind; the command prints what there is now."""
    for name in ("a.mp4", "a.json", "b.txt", "s.tar"):
        (tmp_path / "v" / "walk").mkdir(parents=True, exist_ok=True)
        (tmp_path / "v" / "walk" / name).write_bytes(b"content")
    np.save(tmp_path / "v" / "x.npy", np.zeros((3, 8, 8), np.uint8))
    assert main(["pack", str(tmp_path / "v"), "--out", str(tmp_path / "s"), "--json"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out) == {"shards": [str(tmp_path / "s" / "shard-000000.tar")], "bytes": 10240}
    said = caplog.messages[0].split("\n")
    assert said == [
        "not packed, only video files are: 2 (walk/s.tar, x.npy)",
        "skipped: 2 files (1 .json, 1 .txt)",
        "of these, packed beside the video of their name: 1 file",
    ]
    with pytest.raises(NoVideoError, match="no video"):
        pack(tmp_path / "s", out=tmp_path / "t")
    with pytest.raises(ValueError, match="shard_mb must be above 0"):
        pack(folder, out=tmp_path / "t", shard_mb=0)
    with pytest.raises(ValueError, match="only a folder on this machine"):
        pack("s3://bucket/videos", out=tmp_path / "t")
    assert not (tmp_path / "t").exists()
