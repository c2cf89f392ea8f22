"""The download cache: bounded, shared, and free of partial files."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from threading import Event

import pytest
from helpers.serving import NAMES, Served, downloaded, needs_http

from seqff.errors import VideoError
from seqff.video.entry import Stamp
from seqff.video.remote import download_cache
from seqff.video.remote.download_cache import DownloadCache
from seqff.video.remote.filesystem import remote_stamp

fsspec = pytest.importorskip("fsspec", reason="fsspec is not installed: pip install 'seqff[remote]'")
pytestmark = pytest.mark.usefixtures("downloads")
FETCH = """
import sys
from pathlib import Path
from seqff.video.remote.download_cache import local_file
print("ready", flush=True)
sys.stdin.readline()
with local_file(Path(sys.argv[1])) as file:
    print(file.stat().st_size, flush=True)
"""


def test_the_download_cache_stays_within_its_limit_and_keeps_what_is_in_use(tmp_path: Path, bucket: str) -> None:
    """The least recently used goes first; a file in use never, and neither does what it has not written."""
    store, folder = fsspec.filesystem("memory"), tmp_path / "small"
    for name in "abcd":
        store.pipe_file(f"/bucket/{name}.bin", name.encode() * 100)
    downloads = DownloadCache(folder, 300)
    folder.mkdir()
    (folder / "mine.mp4").write_bytes(b"x" * 1000)
    first = downloads.lease(f"{bucket}/a.bin", None)
    downloads.lease(f"{bucket}/b.bin", None).close()
    downloads.lease(f"{bucket}/c.bin", None).close()
    os.utime(first.path, (1, 1))  # the oldest, but in use
    downloads.lease(f"{bucket}/b.bin", None).close()
    downloads.lease(f"{bucket}/d.bin", None).close()
    assert {path.read_bytes()[:1] for path in downloaded(folder)} == {b"a", b"b", b"d", b"x"}
    first.close()
    downloads.lease(f"{bucket}/c.bin", None).close()
    assert {path.read_bytes()[:1] for path in downloaded(folder)} == {b"b", b"c", b"d", b"x"}


@pytest.mark.parametrize("count", [1, 64])
def test_what_a_killed_process_left_makes_room(
    tmp_path: Path, bucket: str, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    """Half a file goes when room is needed, also if its lock file is the one that is now locked."""
    monkeypatch.setattr(download_cache, "LOCK_FILES", count)
    fsspec.filesystem("memory").pipe_file("/bucket/a.bin", b"a" * 100)
    folder = tmp_path / "small"
    folder.mkdir()
    left = folder / f".{'0' * 32}.bin.250.{'1' * 32}.partial"
    left.write_bytes(b"half")
    with DownloadCache(folder, 300).lease(f"{bucket}/a.bin", None) as file:
        assert file.read_bytes() == b"a" * 100
    assert not left.exists()


def test_a_download_cache_that_is_too_small_says_so(
    tmp_path: Path, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file above the limit, or files in use up to the limit: an error that names the setting."""
    monkeypatch.setattr(download_cache, "WAIT_SECONDS", 0.0)
    with pytest.raises(VideoError, match=r"may hold 1e-07 GB.*SEQFF_DOWNLOADS_GB"):
        DownloadCache(tmp_path / "small", 100).lease(f"{bucket}/walk/anna.mp4", None)
    size = remote_stamp(f"{bucket}/walk/anna.mp4").bytes
    downloads = DownloadCache(tmp_path / "one", size + 10)
    with downloads.lease(f"{bucket}/walk/anna.mp4", None), pytest.raises(VideoError, match="full of files in use"):
        downloads.lease(f"{bucket}/run/anna.mp4", None)
    monkeypatch.setenv("SEQFF_DOWNLOADS_GB", "many")
    with pytest.raises(ValueError, match="SEQFF_DOWNLOADS_GB is 'many'"):
        DownloadCache.of_user()


def test_a_downloaded_file_that_was_changed_is_fetched_anew(bucket: str, downloads: Path) -> None:
    """A size that is not the one announced is not handed out."""
    stamp = remote_stamp(f"{bucket}/walk/anna.mp4")
    here = DownloadCache.of_user().lease(f"{bucket}/walk/anna.mp4", stamp)
    here.close()
    here.path.write_bytes(b"half")
    with DownloadCache.of_user().lease(f"{bucket}/walk/anna.mp4", stamp) as file:
        assert file.stat().st_size == stamp.bytes
    with pytest.raises(VideoError, match="changed since"):
        DownloadCache.of_user().lease(f"{bucket}/walk/anna.mp4", Stamp(stamp.bytes + 1, 0, "x"))


@needs_http
@pytest.mark.skipif(os.name == "nt", reason="kills as POSIX systems do")
def test_processes_share_one_fetch_and_a_killed_one_leaves_no_half_file(
    server: Served, videos: Path, downloads: Path
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
        assert len(list(downloads.glob(".*partial"))) == 1
        both[1].stdin.write("go\n")
        both[1].stdin.flush()
        os.kill(both[0].pid, signal.SIGKILL)
        both[0].wait()
        assert not downloaded(downloads)
        go_on.set()
        assert both[1].stdout.readline() == f"{size}\n"
        assert [path.stat().st_size for path in downloaded(downloads)] == [size]
    finally:
        for one in both:
            one.kill()
            one.communicate()
    asked = server.asked["GET", f"/{NAMES[1]}"]
    with DownloadCache(downloads, size + 10).lease(url, None):
        assert server.asked["GET", f"/{NAMES[1]}"] == asked == 2
    other = f"{server.address}/{NAMES[2]}"
    small = DownloadCache(downloads, (videos / NAMES[2]).stat().st_size + 10)
    with small.lease(other, None):  # room is made of the remains
        assert not list(downloads.glob(".*partial"))
        assert len(downloaded(downloads)) == 1
