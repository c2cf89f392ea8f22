"""Manifests as tables: equivalent to JSON, read row by row, crash-safe, and safe to open if untrusted."""

from __future__ import annotations

import os
import pickle
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.painted import write_painted

from seqff.errors import ManifestError, RunError
from seqff.video import Manifest, VideoEntry, scan
from seqff.video.workers import Worker


def quick(videos: object, out: Path, **settings: object) -> Manifest:
    return scan(videos, out=out, **{"workers": 1, "progress": False, **settings})


def change(table: Path, *commands: str) -> None:
    with closing(sqlite3.connect(table)) as connection:
        for command in commands:
            connection.execute(command)
        connection.commit()


def numbers(table: Path) -> dict[str, int]:
    with closing(sqlite3.connect(table)) as connection:
        return dict(connection.execute("SELECT path, id FROM videos"))


def read_all(table: Path) -> None:
    loaded = Manifest.load(table)
    _ = loaded.hash, loaded.summary(), list(loaded)


@pytest.fixture
def table(manifest: Manifest, tmp_path: Path) -> Path:
    """A sound table."""
    manifest.save(tmp_path / "m.sqlite")
    return tmp_path / "m.sqlite"


def test_a_table_is_what_json_is(manifest: Manifest, table: Path, tmp_path: Path) -> None:
    """Saved as a table, from JSON or from a table, a manifest is the same to the last field, pickled too."""
    loaded = Manifest.load(table)
    assert loaded == manifest
    assert pickle.loads(pickle.dumps(loaded)) == manifest
    assert (loaded.hash, loaded.summary(), loaded.table()) == (manifest.hash, manifest.summary(), manifest.table())
    loaded.save(tmp_path / "again.sqlite")
    loaded.save(tmp_path / "m.json")
    assert Manifest.load(tmp_path / "again.sqlite") == Manifest.load(tmp_path / "m.json") == manifest
    assert loaded.entries[-1] == manifest.entries[-1]
    assert loaded.entries[2:4] == manifest.entries[2:4]


def test_some_of_the_videos(manifest: Manifest, table: Path, tmp_path: Path) -> None:
    """A manifest of some videos of a table is saved without the others."""
    loaded = Manifest.load(table)
    replace(loaded, entries=loaded.entries[3:]).save(tmp_path / "some.sqlite")
    assert Manifest.load(tmp_path / "some.sqlite").entries == manifest.entries[3:]


@pytest.mark.parametrize("name", ["\udcff\udc80.mp4", "\ue000.mp4", "\U0001f600.mp4", "ü.mp4"])
def test_names_of_every_kind(manifest: Manifest, tmp_path: Path, name: str) -> None:
    """Names that are no UTF-8 are kept, and all stand in the order of their characters."""
    entries = tuple(sorted((*manifest, replace(manifest.entries[0], path=name)), key=lambda entry: entry.path))
    made = replace(manifest, entries=entries)
    made.save(tmp_path / "m.sqlite")
    assert Manifest.load(tmp_path / "m.sqlite") == made
    assert Manifest.load(tmp_path / "m.sqlite").hash == made.hash


def test_only_what_changed_is_written(tmp_path: Path) -> None:
    """A later scan leaves the rows of other videos as they are; who has the manifest open reads them all the same."""
    root, out = tmp_path / "v", tmp_path / "m.sqlite"
    root.mkdir()
    for name in ("a", "b", "c"):
        write_painted(root / f"{name}.mp4", frames=5 + ord(name) % 7)
    first, before = quick(root, out), numbers(out)
    content = out.read_bytes()
    assert quick(root, out) == quick(out, out) == first
    assert out.read_bytes() == content
    write_painted(root / "b.mp4", frames=20)
    write_painted(root / "d.mp4", frames=9)
    (root / "c.mp4").unlink()
    second = quick(root, out)
    assert [(entry.path, entry.frames) for entry in second] == [("a.mp4", 11), ("b.mp4", 20), ("d.mp4", 9)]
    assert {path: numbers(out)[path] for path in ("a.mp4", "b.mp4")} == {
        path: before[path] for path in ("a.mp4", "b.mp4")
    }
    assert first.entries[0] == second.entries[0]
    with pytest.raises(ManifestError, match="scanned again"):
        first.entries[2]
    assert second == quick(root, tmp_path / "other.sqlite") == quick(root, tmp_path / "other.json")


def test_json_becomes_a_table_and_a_table_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another kind of file is asked for by its name, and nothing is decoded for it; other names are refused."""
    root, out = tmp_path / "v", tmp_path / "m.json"
    root.mkdir()
    write_painted(root / "a.mp4", frames=6)
    whole = quick(root, out)
    monkeypatch.setattr("seqff.video.scanning.examine_all", None)
    assert quick(out, tmp_path / "given.sqlite") == whole
    assert quick(root, tmp_path / "m.sqlite") == whole  # what an older seqff has left beside
    assert quick(tmp_path / "m.sqlite", tmp_path / "export.json") == whole
    assert (tmp_path / "export.json").read_text() == out.read_text()
    with pytest.raises(ValueError, match=r"must end with \.sqlite"):
        quick(root, tmp_path / "m.db")


HOSTILE = [
    "CREATE VIEW more AS SELECT 1",
    "CREATE TABLE more (a)",
    "CREATE TRIGGER more AFTER INSERT ON claims BEGIN DELETE FROM videos; END",
    "CREATE INDEX more ON videos (frames)",
    "DROP TABLE claims",
    "ALTER TABLE videos ADD COLUMN more",
    "DELETE FROM head",
    "UPDATE head SET line = '[]'",
    "UPDATE head SET line = replace(line, '\"format\": 3', '\"format\": 99')",
    'UPDATE head SET line = replace(line, \'"root": "/\', \'"root": "\')',
    "UPDATE videos SET path = '../' || path",
    "UPDATE videos SET path = '/etc/' || path",
    "UPDATE videos SET path = CAST(x'ff' AS TEXT) || path",
    "UPDATE videos SET frames = -1",
    "UPDATE videos SET frames = 1000000000000",
    "UPDATE videos SET frames = 'many'",
    "UPDATE videos SET frames = x'00'",
    "UPDATE videos SET frames = NULL",
    "UPDATE videos SET height = 1000000, width = 1000000",
    "UPDATE videos SET content_hash = '../../outside'",
    "UPDATE videos SET content_hash = NULL",
    "UPDATE videos SET status = 'fine'",
    "UPDATE videos SET fps = 'fast'",
    "UPDATE videos SET rest = '[]'",
    "UPDATE videos SET rest = '{\"surprise\": 1}'",
    "UPDATE videos SET rest = '{\"time_base\": [1, 0]}'",
    "UPDATE videos SET rest = '{\"pts_runs\": [[1, 4611686018427387904]]}'",
    "UPDATE videos SET rest = replace(hex(zeroblob(100000)), '0', '[')",
    "UPDATE videos SET rest = zeroblob(70000000) WHERE id = 1",
]


@pytest.mark.parametrize("command", HOSTILE)
def test_tables_say_only_what_can_be(table: Path, command: str) -> None:
    """What seqff did not write, or no video bears out, is one line that names the file."""
    change(table, command)
    with pytest.raises(ManifestError, match=r"m\.sqlite") as caught:
        read_all(table)
    assert "\n" not in str(caught.value)


ODD: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_text("no table"),
    "cut off": lambda path: path.write_bytes(path.read_bytes()[:5000]),
    "spoilt": lambda path: path.write_bytes(path.read_bytes()[:4096] + b"\xff" * (path.stat().st_size - 4096)),
    "pipe": lambda path: (path.unlink(), os.mkfifo(path)),
    "folder": lambda path: (path.unlink(), path.mkdir()),
    "wal": lambda path: Path(f"{path}-wal").write_bytes(b"more"),
    "journal is a pipe": lambda path: os.mkfifo(f"{path}-journal"),
    "journal is a link": lambda path: Path(f"{path}-journal").symlink_to("/dev/zero"),
}


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such pipes")
@pytest.mark.parametrize("kind", ODD)
def test_odd_files_are_refused(table: Path, kind: str) -> None:
    """What is no table, or has company that is not its own, ends at once."""
    ODD[kind](table)
    with pytest.raises(ManifestError, match=r"m\.sqlite"):
        read_all(table)
    with pytest.raises((ManifestError, RunError)):
        quick(table, table)


def test_a_journal_deletes_nothing(table: Path, tmp_path: Path) -> None:
    """A journal that names another file, which SQLite would delete, is refused."""
    mine = tmp_path / "mine.txt"
    mine.write_text("mine")
    name = os.fsencode(mine)
    total = sum(name) % 2**32
    trailer = name + len(name).to_bytes(4, "big") + total.to_bytes(4, "big") + bytes.fromhex("d9d505f920a163d7")
    header = bytes.fromhex("d9d505f920a163d7") + bytes(4) + bytes(4) + (1).to_bytes(4, "big") + (512).to_bytes(4, "big")
    journal = header + (4096).to_bytes(4, "big") + bytes(484)
    Path(f"{table}-journal").write_bytes(journal + bytes(4) + trailer)
    with pytest.raises(ManifestError, match="journal"):
        read_all(table)
    assert mine.read_text() == "mine"


WRITER = """
import os, random, signal, sys, time
from dataclasses import replace
from pathlib import Path
from seqff.video import Manifest
from seqff.video.table import changing

table, draw = Path(sys.argv[1]), random.Random(0)
entry = Manifest.load(table).entries[0]
for kill in range(20):
    child = os.fork()
    if not child:
        for block in range(10**6):  # 50 at once
            with changing(table) as opened:
                opened.add(replace(entry, path=f"{kill}/{block}/{number}.mp4") for number in range(50))
    time.sleep(draw.uniform(0.005, 0.1))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    print(len(Manifest.load(table)), sum(1 for _ in Manifest.load(table)), flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot fork")
def test_a_table_is_sound_after_every_kill(manifest: Manifest, table: Path) -> None:
    """Killed (kill -9) at 20 random moments of writing, a table has whole blocks only, and every row can be read."""
    said = subprocess.run([sys.executable, "-c", WRITER, str(table)], capture_output=True, text=True, check=True).stdout
    counts = [tuple(map(int, line.split())) for line in said.splitlines()]
    assert len(counts) == 20
    assert all(count == read and (count - len(manifest)) % 50 == 0 for count, read in counts)
    assert counts[-1][0] > len(manifest)


def test_a_scan_killed_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed (kill -9) when it has found some, a scan leaves them to the next, which decodes only the others."""
    root, out = tmp_path / "v", tmp_path / "m.sqlite"
    root.mkdir()
    for number in range(12):
        write_painted(root / f"{number:02d}.mp4", frames=4 + number)
    command = [sys.executable, "-m", "seqff", "scan", str(root), "--out", str(out), "--workers", "1", "--no-progress"]
    killed = subprocess.Popen(command, stdout=-3)
    found: set[str] = set()
    while len(found) < 3 and killed.poll() is None:
        for journal in out.with_name("m.sqlite.partial").glob("*.sqlite"):
            try:
                found = {entry.path for entry in Manifest.load(journal)}
            except ManifestError:  # just being made
                continue
    killed.kill()
    killed.wait()
    assert not out.exists()
    decoded, original = list[str](), Worker.examine

    def noted(worker: Worker, path: Path) -> VideoEntry:
        decoded.append(path.name)
        return original(worker, path)

    monkeypatch.setattr(Worker, "examine", noted)
    whole = quick(root, out)
    assert len(whole.usable) == 12
    assert not found & {*decoded}
    assert not out.with_name("m.sqlite.partial").exists()
    shutil.rmtree(root)
    assert [entry.frames for entry in Manifest.load(out)] == [4 + number for number in range(12)]
