"""Several processes scan to one manifest: each video once, whatever is killed, with the same result as one process."""

from __future__ import annotations

import errno
import os
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest
from helpers.painted import write_painted

from seqff.video import Manifest, VideoEntry, scan
from seqff.video.journal import Journal
from seqff.video.workers import Worker

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such locks")
COUNT = 7


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small videos, each of another length."""
    folder = tmp_path_factory.mktemp("shared") / "videos"
    folder.mkdir()
    for number in range(COUNT):
        write_painted(folder / f"{number}.mp4", frames=4 + number)
    return folder


@pytest.fixture(scope="module")
def alone(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """What one process finds."""
    return scan(root, out=tmp_path_factory.mktemp("alone") / "m.json", workers=1, progress=False)


@pytest.mark.parametrize("name", ["m.json", "m.sqlite"])
def test_processes_share_the_work(
    root: Path,
    alone: Manifest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    name: str,
) -> None:
    """Two scans at the same time decode every video once between them, and both return all; only the second says so."""
    decoded, found, both = list[str](), list[Manifest](), threading.Barrier(2, timeout=300)
    original = Worker.examine

    def noted(worker: Worker, path: Path) -> VideoEntry:
        decoded.append(path.name)
        if len(decoded) <= 2:
            both.wait()  # each is at a video before any is done
        return original(worker, path)

    monkeypatch.setattr(Worker, "examine", noted)
    # threads of one process: locks are between open files
    threads = [
        threading.Thread(
            target=lambda: found.append(scan(root, out=tmp_path / name, workers=1, progress=False)), daemon=True
        )
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(300)
    assert found == [alone, alone]
    assert sum("the work is shared" in record.message for record in caplog.records) <= 1
    assert sorted(decoded) == [f"{number}.mp4" for number in range(COUNT)]
    assert [file.name for file in tmp_path.iterdir()] == [name]


def test_ranks_of_torchrun(root: Path, alone: Manifest, tmp_path: Path) -> None:
    """`seqff scan` started as torchrun would: one manifest, and the first process alone prints it."""
    command = [sys.executable, "-m", "seqff", "scan", str(root), "--out", str(tmp_path / "m.json")]
    common = {**os.environ, "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    started = [subprocess.Popen(command, env={**common, "RANK": str(rank)}, stdout=-1, text=True) for rank in (0, 1)]
    said = [process.communicate()[0] for process in started]
    assert [process.returncode for process in started] == [0, 0]
    assert "6.mp4" in said[0]
    assert said[1] == ""
    assert Manifest.load(tmp_path / "m.json") == alone


def test_what_a_killed_process_was_at_is_done_by_others(root: Path, alone: Manifest, tmp_path: Path) -> None:
    """Its claims fall with its lock; what it has found stays."""
    out = tmp_path / "m.json"
    write = (
        "import sys, time; from pathlib import Path; from seqff.video import Manifest; "
        "from seqff.video.journal import Journal; known = Manifest.load(sys.argv[3]); "
        "journal = Journal(Path(sys.argv[1]), Path(sys.argv[2]), fresh=False); "
        "journal.add(known.entries[0]); print(next(journal.claim(['1.mp4'])), flush=True); time.sleep(600)"
    )
    alone.save(tmp_path / "alone.json")
    command = [sys.executable, "-c", write, str(out), str(alone.root), str(tmp_path / "alone.json")]
    names = [entry.path for entry in alone]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "1.mp4\n"
        with closing(Journal(out, alone.root, fresh=False)) as mine:
            assert mine.found == {"0.mp4"}
            assert list(mine.claim(names)) == names[2:]
        # this one has ended, too, with all it had claimed undone
        other.kill()
    with closing(Journal(out, alone.root, fresh=False)) as third:
        assert list(third.claim(names)) == names[1:]
    assert scan(root, out=out, workers=2, progress=False) == alone


@pytest.mark.parametrize("damage", ["text", "cut off", "of an older seqff"])
def test_a_damaged_journal_is_begun_anew(root: Path, alone: Manifest, tmp_path: Path, damage: str) -> None:
    """What cannot be read costs what it held, not the scan; other videos' findings are left alone."""
    out = tmp_path / "m.sqlite"
    for folder in (alone.root, Path("/elsewhere")):
        with closing(Journal(out, folder, fresh=False)) as first:
            first.add(alone.entries[0])
    with closing(Journal(out, alone.root, fresh=False)) as second:
        assert second.found == {"0.mp4"}
        table = second.table
    if damage == "of an older seqff":
        with closing(sqlite3.connect(table)) as opened:
            opened.execute("""UPDATE head SET line = replace(line, '"format": 3', '"format": 2')""")
            opened.commit()
    else:
        table.write_bytes(b"no table" if damage == "text" else table.read_bytes()[:6000])
    with closing(Journal(out, alone.root, fresh=False)) as third:
        assert third.found == set()
    with closing(Journal(out, Path("/elsewhere"), fresh=False)) as other:
        assert other.found == {"0.mp4"}
    with closing(Journal(out, Path("/elsewhere"), fresh=True)) as other:
        assert other.found == set()
    assert scan(root, out=out, workers=1, progress=False) == alone


def test_a_disk_without_locks(root: Path, alone: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There each process does all by itself, which is slower and no worse; one that was killed is gone on from."""

    def none(*_: object) -> None:
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr("fcntl.flock", none)
    with closing(Journal(tmp_path / "m.sqlite", alone.root, fresh=False)) as killed:
        killed.add(alone.entries[0])
    with closing(Journal(tmp_path / "m.sqlite", alone.root, fresh=False)) as journal:
        assert journal.found == {"0.mp4"}
    assert scan(root, out=tmp_path / "m.sqlite", workers=1, progress=False) == alone
    assert [file.name for file in tmp_path.iterdir()] == ["m.sqlite"]
