"""Remote videos: the same frames as from local files, downloaded once, atomically, into bounded space."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers.painted import read_numbers, write_painted
from helpers.serving import NAMES, Served, downloaded, needs_http, serving

from seqff.config import PairsConfig
from seqff.errors import ManifestError, SeqffError, VideoError
from seqff.pairs import PairStream
from seqff.transform import FrameTransform
from seqff.video import Manifest, open_video, scan
from seqff.video.find import find_videos
from seqff.video.remote.address import address_of

fsspec = pytest.importorskip("fsspec", reason="fsspec is not installed: pip install 'seqff[remote]'")
pytestmark = pytest.mark.usefixtures("downloads")


def quick(videos: object, out: Path, **options: object) -> Manifest:
    """A scan in one process, without a bar."""
    return scan(videos, out=out, workers=1, progress=False, **options)  # type: ignore[arg-type]


def test_a_remote_folder_is_scanned_and_read_like_one_here(
    bucket: str, videos: Path, tmp_path: Path, downloads: Path
) -> None:
    """Same videos by the same names, contents, frames and times; only the stamp is the server's, also once saved."""
    far, near = quick(bucket, tmp_path / "far.json"), quick(videos, tmp_path / "near.json")
    assert (far.hash, far.skipped) == (near.hash, ("skipped: 1 file (1 .txt)",))
    assert [entry.path for entry in far] == list(NAMES)
    loaded = Manifest.load(tmp_path / "far.json")
    assert (loaded, loaded.to_dict()["root"]) == (far, bucket)
    for entry in loaded:
        with open_video(loaded.path(entry), entry=entry) as there, open_video(videos / entry.path) as here:
            assert there.info.path == f"{bucket}/{entry.path}"
            assert read_numbers(there.at([7, 3])) == [7, 3]
            assert np.array_equal(there.info.times_seconds, here.info.times_seconds)
    assert len(downloaded(downloads)) == 3


def test_one_remote_video_opens_without_a_scan(bucket: str) -> None:
    """An address is enough; one with nothing behind it is no such video."""
    with open_video(f"{bucket}/walk/anna.mp4") as video:
        assert read_numbers(video.clip(0, 5)) == [0, 1, 2, 3, 4]
    with pytest.raises(FileNotFoundError, match=r"no such video: memory://bucket/none\.mp4"):
        open_video(f"{bucket}/none.mp4")


def test_a_changed_file_is_noticed_and_the_old_frames_are_never_mixed_with_the_new(
    bucket: str, videos: Path, tmp_path: Path, downloads: Path
) -> None:
    """The next scan decodes it anew and nothing else; the old manifest reads what it describes, or says so."""
    out = tmp_path / "m.json"
    old = quick(bucket, out)
    fsspec.filesystem("memory").pipe_file("/bucket/walk/anna.mp4", (videos / NAMES[0]).read_bytes())
    new = quick(bucket, out)
    assert [a == b for a, b in zip(old, new, strict=True)] == [True, False, True]
    assert new.entries[1].duplicate_of == NAMES[0]
    with open_video(old.path(old.entries[1]), entry=old.entries[1]) as video:
        assert len(video.clip(0, 25)) == 25  # the new one has 24
    shutil.rmtree(downloads)
    with pytest.raises(VideoError, match=r"^memory://bucket/walk/anna\.mp4: changed since it was scanned: scan again"):
        open_video(old.path(old.entries[1]), entry=old.entries[1])


@needs_http
def test_a_server_that_is_down_costs_no_scan(videos: Path, tmp_path: Path) -> None:
    """When nobody can say whether videos have changed, they are taken as scanned, and the cache still has them."""
    out = tmp_path / "m.json"
    with serving(videos) as server:
        before = quick(server.address, out)
    assert quick(out, out) == before
    with open_video(before.path(before.entries[0]), entry=before.entries[0]) as video:
        assert read_numbers(video.at([5])) == [5]


def test_lists_name_addresses_one_a_line(bucket: str, videos: Path, tmp_path: Path) -> None:
    """A text file of addresses, here or there, and one of paths beside it; comments count for nothing."""
    text = f"# two of three\n{bucket}/walk/anna.mp4\n\n{bucket}/run/anna.mp4\n"
    (tmp_path / "some.txt").write_text(text)
    assert [e.path for e in quick(tmp_path / "some.txt", tmp_path / "m.json")] == ["run/anna.mp4", "walk/anna.mp4"]
    fsspec.filesystem("memory").pipe_file("/bucket/some.txt", b"walk/anna.mp4\nwalk/boris.mp4")
    assert [e.path for e in quick(f"{bucket}/some.txt", tmp_path / "n.json")] == ["anna.mp4", "boris.mp4"]
    here = tmp_path / "here.txt"
    here.write_text(f"{os.path.relpath(videos, tmp_path)}/walk/anna.mp4\n")
    assert [e.status for e in quick(here, tmp_path / "o.json")] == ["ok"]
    here.write_text("\n# nothing\n")
    with pytest.raises(ValueError, match="names no video"):
        scan(here)


def test_what_is_an_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With one slash or two, as text or path; never a drive, a file:// or a folder that is there."""
    monkeypatch.chdir(tmp_path)
    for path in ("s3://bucket/a.mp4", Path("s3://bucket/a.mp4"), Path("s3://bucket") / "a.mp4"):
        assert address_of(path) == "s3://bucket/a.mp4"
    assert [address_of(path) for path in ("C:/a.mp4", "a.mp4", "/s3:/a.mp4", "s3:", "a/b:/c.mp4")] == [None] * 5
    (tmp_path / "s3:" / "bucket").mkdir(parents=True)
    write_painted(tmp_path / "s3:" / "bucket" / "a.mp4", frames=8)
    assert address_of(Path("s3:/bucket/a.mp4")) is None
    assert find_videos("s3:/bucket")[:2] == (tmp_path / "s3:" / "bucket", ["a.mp4"])
    for wrong, why in (("https://me:secret@host/a.mp4", "password"), ("zip://a.mp4::s3://b/c.zip", "chained")):
        with pytest.raises(ValueError, match=why) as caught:
            scan(wrong)
        assert "secret" not in str(caught.value)
    with pytest.raises(ValueError, match="mixes files here, gs://"):
        scan(["gs://bucket/b.mp4", str(tmp_path / "x.mp4")])


@needs_http
def test_workers_of_other_processes_read_the_same_batches(server: Served, videos: Path, tmp_path: Path) -> None:
    """From a web server as from the disk, bit for bit; each file crosses the network once."""
    config = PairsConfig(size_px=16, far=6, clip_frames=4, videos_per_batch=3, clips_per_video=2, batches_per_visit=2)
    far, near = quick(server.address, tmp_path / "far.json"), quick(videos, tmp_path / "near.json")
    streams = (
        PairStream(far, FrameTransform(16, 16), config, seed=0, workers=1),
        PairStream(near, FrameTransform(16, 16), config, seed=0),
    )
    for number, (there, here) in enumerate(zip(*(stream.batches() for stream in streams), strict=False)):
        assert there.frames.equal(here.frames)
        if number == 4:
            break
    assert [server.asked["GET", f"/{name}"] for name in NAMES] == [1, 1, 1]


@needs_http
def test_errors_of_the_network_are_tried_again_then_named(server: Served, tmp_path: Path, downloads: Path) -> None:
    """A server's bad moments and a body cut short pass; what goes on is one bad file of the scan, with its cause."""
    server.failures = {"/run/anna.mp4": [503, "cut", 503], "/walk/anna.mp4": ["cut"] * 9, "/walk/boris.mp4": [403] * 9}
    with pytest.raises(ManifestError) as caught:
        quick(server.address, tmp_path / "m.json")
    text = str(caught.value)
    assert "2 of 3 videos" in text
    assert "walk/anna.mp4: unreadable: fetching it failed 4 times" in text
    assert "walk/boris.mp4: unreadable: fetching it failed: 403" in text
    assert server.asked["GET", "/walk/boris.mp4"] == 1  # asking again would not help
    assert len(downloaded(downloads)) == 1
    assert not list(downloads.glob(".*partial"))
    server.failures.clear()
    assert len(quick(server.address, tmp_path / "m.json").usable) == 3


@needs_http
def test_a_hostile_listing_leads_nowhere(server: Served, tmp_path: Path, downloads: Path) -> None:
    """Links out of the folder, to other hosts and in circles are not followed; names never become paths here."""
    links = ["anna.mp4", "../secret.mp4", "%2e%2e/secret.mp4", "/etc/a.mp4", "//evil.example/a.mp4", "a\x07b.mp4", "./"]
    links += ["http://evil.example/a.mp4", "?C=N;O=D", "/", "/walk/", "loop/", "x/../../a.mp4", "evil.mp4/../../a"]
    page = "".join(f'<a href="{link}">x</a>' for link in links)
    server.pages = {"/walk/": page, "/walk": page, "/walk/loop/": '<a href="/walk/">x</a><a href="../">x</a>'}
    found = quick(f"{server.address}/walk", tmp_path / "m.json")
    assert [entry.path for entry in found] == ["anna.mp4"]
    assert not [path for _, path in server.asked if "secret" in path or "etc" in path]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["downloads", "m.json"]
    assert all(len(path.stem) == 32 and path.suffix == ".mp4" for path in downloaded(downloads))


def run_without(modules: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs the command line in a process that cannot import some modules."""
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({modules.split()!r}))\n"
        "from seqff.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)


def test_without_the_extra_files_here_work_and_addresses_name_it(videos: Path, tmp_path: Path) -> None:
    """One line and exit 1, not a traceback; a driver that is missing is named too."""
    out = ["--out", str(tmp_path / "m.json"), "--workers", "1"]
    assert run_without("fsspec", "scan", str(videos), *out).returncode == 0
    failed = run_without("fsspec", "scan", "https://host/folder", *out)
    assert (failed.returncode, len(failed.stderr.splitlines())) == (1, 1)
    assert "pip install 'seqff[remote]'" in failed.stderr
    with pytest.raises(SeqffError if importlib.util.find_spec("s3fs") is None else Exception, match="s3"):
        scan("s3://bucket/a.mp4" if importlib.util.find_spec("s3fs") is None else "no-s3://a/b.mp4")
    with pytest.raises(VideoError, match="Protocol not known: nonsense"):
        scan("nonsense://bucket/a.mp4")


def test_help_and_scans_of_files_here_import_no_fsspec(videos: Path, tmp_path: Path) -> None:
    """Nobody who has no remote videos pays for them."""
    code = (
        "import sys, seqff.cli; seqff.cli.overview(); from seqff.video import scan\n"
        "scan(sys.argv[1], out=sys.argv[2], workers=1, progress=False); sys.exit('fsspec' in sys.modules)"
    )
    command = [sys.executable, "-c", code, str(videos), str(tmp_path / "m.json")]
    assert subprocess.run(command, check=False).returncode == 0
