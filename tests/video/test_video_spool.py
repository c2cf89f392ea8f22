"""The spool of remote files: bounded, shared, and never half a file."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from threading import Event

import pytest
from helpers.serving import NAMES, Served, needs_http, spooled

from seqff.errors import VideoError
from seqff.video.entry import Stamp
from seqff.video.remote import room
from seqff.video.remote.filesystem import remote_stamp
from seqff.video.remote.spool import Spool

fsspec = pytest.importorskip("fsspec", reason="fsspec is not installed: pip install 'seqff[remote]'")
pytestmark = pytest.mark.usefixtures("spool")
FETCH = """
import sys
from pathlib import Path
from seqff.video.remote.spool import borrow
print("ready", flush=True)
sys.stdin.readline()
with borrow(Path(sys.argv[1])) as file:
    print(file.stat().st_size, flush=True)
"""


def test_the_spool_stays_within_its_limit_and_keeps_what_is_in_use(tmp_path: Path, bucket: str) -> None:
    """The least recently used goes first; a file in use never, and neither does what the spool has not written."""
    store, folder = fsspec.filesystem("memory"), tmp_path / "small"
    for name in "abcd":
        store.pipe_file(f"/bucket/{name}.bin", name.encode() * 100)
    spool = Spool(folder, 300)
    folder.mkdir()
    (folder / "mine.mp4").write_bytes(b"x" * 1000)
    first = spool.borrow(f"{bucket}/a.bin", None)
    spool.borrow(f"{bucket}/b.bin", None).close()
    spool.borrow(f"{bucket}/c.bin", None).close()
    os.utime(first.path, (1, 1))  # the oldest, but in use
    spool.borrow(f"{bucket}/b.bin", None).close()
    spool.borrow(f"{bucket}/d.bin", None).close()
    assert {path.read_bytes()[:1] for path in spooled(folder)} == {b"a", b"b", b"d", b"x"}
    first.close()
    spool.borrow(f"{bucket}/c.bin", None).close()
    assert {path.read_bytes()[:1] for path in spooled(folder)} == {b"b", b"c", b"d", b"x"}


@pytest.mark.parametrize("gates", [1, 64])
def test_what_a_killed_process_left_makes_room(
    tmp_path: Path, bucket: str, monkeypatch: pytest.MonkeyPatch, gates: int
) -> None:
    """Half a file goes when room is needed, also if it went through the gate that is now held."""
    monkeypatch.setattr(room, "_GATES", gates)
    fsspec.filesystem("memory").pipe_file("/bucket/a.bin", b"a" * 100)
    folder = tmp_path / "small"
    folder.mkdir()
    left = folder / f".{'0' * 32}.bin.250.{'1' * 32}.partial"
    left.write_bytes(b"half")
    with Spool(folder, 300).borrow(f"{bucket}/a.bin", None) as file:
        assert file.read_bytes() == b"a" * 100
    assert not left.exists()


def test_a_spool_that_is_too_small_says_so(tmp_path: Path, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file above the limit, or files in use up to the limit: an error that names the setting."""
    monkeypatch.setattr(room, "_WAIT_SECONDS", 0.0)
    with pytest.raises(VideoError, match=r"may hold 1e-07 GB.*SEQFF_SPOOL_GB"):
        Spool(tmp_path / "small", 100).borrow(f"{bucket}/walk/anna.mp4", None)
    size = remote_stamp(f"{bucket}/walk/anna.mp4").bytes
    spool = Spool(tmp_path / "one", size + 10)
    with spool.borrow(f"{bucket}/walk/anna.mp4", None), pytest.raises(VideoError, match="full of files in use"):
        spool.borrow(f"{bucket}/run/anna.mp4", None)
    monkeypatch.setenv("SEQFF_SPOOL_GB", "many")
    with pytest.raises(ValueError, match="SEQFF_SPOOL_GB is 'many'"):
        Spool.of_user()


def test_a_spooled_file_that_was_meddled_with_is_fetched_anew(bucket: str, spool: Path) -> None:
    """A size that is not the one announced is not handed out."""
    stamp = remote_stamp(f"{bucket}/walk/anna.mp4")
    here = Spool.of_user().borrow(f"{bucket}/walk/anna.mp4", stamp)
    here.close()
    here.path.write_bytes(b"half")
    with Spool.of_user().borrow(f"{bucket}/walk/anna.mp4", stamp) as file:
        assert file.stat().st_size == stamp.bytes
    with pytest.raises(VideoError, match="changed since"):
        Spool.of_user().borrow(f"{bucket}/walk/anna.mp4", Stamp(stamp.bytes + 1, 0, "x"))


@needs_http
@pytest.mark.skipif(os.name == "nt", reason="kills as POSIX systems do")
def test_processes_share_one_fetch_and_a_killed_one_leaves_no_half_file(
    server: Served, videos: Path, spool: Path
) -> None:
    """Two who want a file at once fetch it once; when the one that fetches is killed, the other does."""
    url, size = f"{server.address}/{NAMES[1]}", (videos / NAMES[1]).stat().st_size
    half_out, go_on = server.gates.setdefault(f"/{NAMES[1]}", (Event(), Event()))
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    both = [subprocess.Popen([sys.executable, "-c", FETCH, url], **pipes) for _ in range(2)]
    try:
        assert [one.stdout.readline() for one in both] == ["ready\n"] * 2
        both[0].stdin.write("go\n")
        both[0].stdin.flush()
        assert half_out.wait(60)
        assert len(list(spool.glob(".*partial"))) == 1
        both[1].stdin.write("go\n")
        both[1].stdin.flush()
        os.kill(both[0].pid, signal.SIGKILL)
        both[0].wait()
        assert not spooled(spool)
        go_on.set()
        assert both[1].stdout.readline() == f"{size}\n"
        assert [path.stat().st_size for path in spooled(spool)] == [size]
    finally:
        for one in both:
            one.kill()
            one.communicate()
    asked = server.asked["GET", f"/{NAMES[1]}"]
    with Spool(spool, size + 10).borrow(url, None):
        assert server.asked["GET", f"/{NAMES[1]}"] == asked == 2
    other = f"{server.address}/{NAMES[2]}"
    with Spool(spool, (videos / NAMES[2]).stat().st_size + 10).borrow(other, None):  # room is made of the remains
        assert not list(spool.glob(".*partial"))
        assert len(spooled(spool)) == 1
