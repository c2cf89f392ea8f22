"""The scan: its results, what it remembers, and its robustness."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import signal
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers.painted import paint, write_painted

from seqff.cli import main
from seqff.errors import ManifestError
from seqff.video import Manifest, scan
from seqff.video.manifest import FORMAT
from seqff.video.workers import Worker


def quick(videos: object, out: Path, **settings: object) -> Manifest:
    return scan(videos, out=out, **{"workers": 1, "progress": False, **settings})


def test_manifest_survives_saving(manifest: Manifest, tmp_path: Path) -> None:
    """What is loaded equals what was saved, to the last field."""
    manifest.save(tmp_path / "m.json")
    assert Manifest.load(tmp_path / "m.json") == manifest
    assert Manifest.load(tmp_path / "m.json").hash == manifest.hash
    assert "b_frames.mp4" in manifest.table()


def test_a_manifest_in_memory_is_no_path(manifest: Manifest) -> None:
    """Whoever gives what `scan` returned is told to give its file."""
    with pytest.raises(TypeError, match=r"path of a manifest, got a Manifest .*`save`"):
        scan(manifest, progress=False)  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["", "{}", '{"format": 1, "root": "/", "entries": [{"odd": 1}]}', '{"format": 99}'])
def test_a_damaged_manifest_is_named(tmp_path: Path, text: str) -> None:
    """A file that is no manifest is an error that says what to do, never an empty manifest."""
    path = tmp_path / "m.json"
    path.write_text(text)
    with pytest.raises(ManifestError, match=r"m\.json.*scan again"):
        Manifest.load(path)


@pytest.mark.parametrize("ending", [".png", ".jpg", ".bmp", ".tif", ".webp", ".ppm"])
def test_pictures_are_read_in_the_worker(tmp_path: Path, ending: str) -> None:
    """The process that scans reads folders of pictures of every kind, with decord (its own zlib) installed beside."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(3):
        assert cv2.imwrite(str(folder / f"{number:03d}{ending}"), paint(number))
    (entry,) = quick(folder, tmp_path / "m.json")
    assert (entry.status, entry.cause, entry.frames) == ("ok", "", 3)


def test_what_is_found(tmp_path: Path) -> None:
    """Videos in all folders are found, numbered images and frame arrays among them; other files are not."""
    root = tmp_path / "videos"
    (root / "inner").mkdir(parents=True)
    write_painted(root / "inner" / "ünï cödé.MP4", frames=6)
    (root / "images").mkdir()
    for number in range(4):
        cv2.imwrite(str(root / "images" / f"{number:03d}.jpg"), paint(number))
    np.save(root / "frames.npy", np.stack([paint(n) for n in range(5)]))
    np.save(root / "labels.npy", np.arange(5))
    (root / "notes.txt").write_text("no video")
    (root / ".hidden.mp4").write_text("no video")
    (root / "inner" / "loop").symlink_to(root)
    found = quick(root, tmp_path / "m.json")
    assert [(e.path, e.frames, e.status) for e in found] == [
        ("frames.npy", 5, "ok"),
        ("images", 4, "ok"),
        ("inner/ünï cödé.MP4", 6, "ok"),
    ]
    assert quick([root / "frames.npy", str(root / "images")], tmp_path / "two.json").root == root


def test_missing_and_empty(tmp_path: Path) -> None:
    """A path that is not there, a folder without videos and an empty list are errors that name them."""
    with pytest.raises(FileNotFoundError, match="nowhere"):
        quick(tmp_path / "nowhere", tmp_path / "m.json")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        quick([tmp_path / "nowhere"], tmp_path / "m.json")
    with pytest.raises(ValueError, match=r"\.mp4"):
        quick(tmp_path, tmp_path / "m.json")
    with pytest.raises(ValueError, match="empty"):
        quick([], tmp_path / "m.json")


def test_a_second_scan_reads_only_what_changed(tmp_path: Path) -> None:
    """Known files are taken from the manifest; changed, new and vanished ones are noticed."""
    root, out = tmp_path / "v", tmp_path / "m.json"
    root.mkdir()
    for name in ("a", "b", "c"):
        write_painted(root / f"{name}.mp4", frames=5 + ord(name) % 7)
    first = quick(root, out)
    text = out.read_text().replace('"codec": "h264"', '"codec": "remembered"')
    out.write_text(text)
    write_painted(root / "b.mp4", frames=20)
    write_painted(root / "d.mp4", frames=9)
    (root / "c.mp4").unlink()
    second = quick(root, out)
    assert {e.path: e.codec for e in second} == {"a.mp4": "remembered", "b.mp4": "h264", "d.mp4": "h264"}
    assert {e.codec for e in quick(root, out, refresh=True)} == {"h264"}
    assert first.hash != second.hash
    assert quick(out, out).hash == second.hash


@pytest.mark.parametrize("given", ["folder", "manifest"])
def test_a_manifest_of_an_older_seqff_is_refreshed(
    tmp_path: Path, given: str, caplog: pytest.LogCaptureFixture
) -> None:
    """What an older seqff found is not believed: its videos are scanned again, which is said in one line."""
    root, out = tmp_path / "v", tmp_path / "m.json"
    root.mkdir()
    write_painted(root / "a.ts", frames=6)
    whole = quick(root, out)
    text = out.read_text().replace('"codec": "h264"', '"codec": "old"').replace(f'"format": {FORMAT}', '"format": 2')
    out.write_text(text)
    assert Manifest.load(out, older=True).format == 2
    with pytest.raises(ManifestError, match="scan again"):
        Manifest.load(out)
    assert quick(root if given == "folder" else out, out) == whole == Manifest.load(out)
    (record,) = caplog.records
    assert "older seqff (format 2" in record.getMessage()
    assert "\n" not in record.getMessage()


def test_an_interrupted_scan_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Interrupted twice and started again, a scan decodes nothing twice and ends with the manifest of one run."""
    root, decoded = tmp_path / "v", []
    root.mkdir()
    for number in range(7):
        write_painted(root / f"{number}.mp4", frames=4 + number)
    whole = quick(root, tmp_path / "whole.json")
    original = Worker.examine

    def interrupted(worker: Worker, path: Path):
        if len(decoded) in (2, 5):
            decoded.append(None)
            raise KeyboardInterrupt
        decoded.append(path.name)
        return original(worker, path)

    monkeypatch.setattr(Worker, "examine", interrupted)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            quick(root, tmp_path / "m.json")
    assert quick(root, tmp_path / "m.json") == whole
    names = [name for name in decoded if name]
    assert sorted(names) == sorted({*names})
    assert json.loads((tmp_path / "m.json").read_text()) == json.loads((tmp_path / "whole.json").read_text())
    assert not list(tmp_path.glob("*.partial"))


def test_any_number_of_workers_gives_the_same(painted_clips: Path, manifest: Manifest, tmp_path: Path) -> None:
    """The manifest does not depend on how many processes decoded."""
    assert quick(painted_clips, tmp_path / "m.json", workers=3) == manifest


def test_copies_are_marked(tmp_path: Path, painted_clips: Path) -> None:
    """Files with the same bytes are known as copies of the first."""
    shutil.copy(painted_clips / "asp.avi", tmp_path / "b.avi")
    shutil.copy(painted_clips / "asp.avi", tmp_path / "a.avi")
    found = quick(tmp_path, tmp_path / "m.json")
    assert [entry.duplicate_of for entry in found] == ["", "a.avi"]
    assert "same as a.avi" in found.table()


def test_too_many_bad_videos_stop_the_scan(tmp_path: Path) -> None:
    """Above max_bad the error names the files and why, and the manifest is written all the same."""
    root, out = tmp_path / "v", tmp_path / "m.json"
    root.mkdir()
    write_painted(root / "good.mp4", frames=5)
    (root / "bad.mp4").write_text("this is not a video")
    with pytest.raises(ManifestError, match=r"bad\.mp4: unreadable: .*moov atom not found") as caught:
        quick(root, out)
    again = pickle.loads(pickle.dumps(caught.value))
    assert (str(again), again.manifest) == (str(caught.value), Manifest.load(out))
    assert [entry.status for entry in Manifest.load(out)] == ["unreadable", "ok"]
    assert len(quick(root, out, max_bad=0.5).usable) == 1
    for wrong in ({"max_bad": 2}, {"workers": 0}, {"timeout_seconds": 0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            quick(root, out, **wrong)


def test_the_command_shows_the_table_all_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With too many bad videos `seqff scan` prints what is good and what is not, then the error, and exits with 1."""
    root = tmp_path / "v"
    root.mkdir()
    write_painted(root / "good.mp4", frames=5)
    (root / "bad.mp4").write_text("this is not a video")
    asked = ["scan", str(root), "--out", str(tmp_path / "m.json"), "--workers", "1"]
    assert main(asked) == 1
    printed = capsys.readouterr()
    assert [line.split()[0] for line in printed.out.splitlines()[:3]] == ["status", "unreadable", "ok"]
    assert "max_bad = 0.05" in printed.err
    assert main([*asked, "--json"]) == 1
    assert len(json.loads(capsys.readouterr().out)["entries"]) == 2


def test_cuts_and_still_frames(tmp_path: Path) -> None:
    """A shot cut and frames shown twice are found where they are."""
    rng = np.random.default_rng(0)
    scenes = [np.kron(rng.integers(30, 220, (6, 8, 3)), np.ones((8, 8, 1))).astype(np.uint8) for _ in range(2)]
    images = [np.roll(scenes[n >= 20], n // 2 if n < 20 else n, axis=1) for n in range(40)]
    write_painted(tmp_path / "a.mp4", images=images, options={"crf": "5"}, key_every=50)
    (entry,) = quick(tmp_path, tmp_path / "m.json")
    assert entry.shot_cuts.tolist() == [19]
    assert entry.still_pairs.tolist() == list(range(0, 20, 2))


def test_a_hanging_decoder_is_stopped(painted_clips: Path) -> None:
    """A decoder that gives no sign of life is killed and the file marked; the next file is read by a new process."""
    worker = Worker(timeout_seconds=60)
    try:
        assert worker.examine(painted_clips / "asp.avi").status == "ok"
        os.kill(worker.process.pid, signal.SIGSTOP)
        worker.timeout_seconds = 0.3
        stopped = worker.examine(painted_clips / "asp.avi")
        assert (stopped.status, "0.3 s" in stopped.cause) == ("timeout", True)
        worker.timeout_seconds = 60
        assert worker.examine(painted_clips / "asp.avi").status == "ok"
    finally:
        worker.close()


def test_a_crashing_decoder_is_replaced(painted_clips: Path) -> None:
    """A decoder that dies takes nothing with it: the file is unreadable, the next one is read."""
    worker = Worker(timeout_seconds=60)
    try:
        worker.examine(painted_clips / "asp.avi")
        os.kill(worker.process.pid, signal.SIGSTOP)
        threading.Timer(0.3, worker.kill).start()
        crashed = worker.examine(painted_clips / "asp.avi")
        assert (crashed.status, "crashed" in crashed.cause) == ("unreadable", True)
        assert worker.examine(painted_clips / "asp.avi").status == "ok"
    finally:
        worker.close()
