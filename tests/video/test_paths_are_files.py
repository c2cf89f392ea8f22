"""A path is always a file: whatever its name and content, no other file is read and no request is sent."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from helpers.painted import read_numbers, write_painted
from helpers.serving import Served, needs_http, serving

from seqff.errors import VideoError
from seqff.online.live import open_live
from seqff.video import VideoEntry, open_video, scan
from seqff.video.decord_reader import decord_available
from seqff.video.examine import examine

HLS = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{0}\n#EXT-X-ENDLIST\n"
SCRIPTS = {
    "script.mp4": "ffconcat version 1.0\nfile {0}\n",
    "list.mkv": "ffconcat version 1.0\nfile '{0}'\nduration 1\n",
    "list.m3u8": HLS,
    "hls.mp4": HLS,
    "session.mp4": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 9 RTP/AVP 96\n"
    "a=rtpmap:96 H264/90000\n",
    "dash.mp4": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period>'
    "<BaseURL>{0}</BaseURL></Period></MPD>",
}


@pytest.mark.parametrize("name", ["concat:neighbour.ts", "subfile:,start,0,end,9999,:neighbour.ts", "data:video.ts"])
def test_names_like_protocols_are_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A relative path that begins like a protocol of FFmpeg is the file of that name, or is not there."""
    monkeypatch.chdir(tmp_path)
    write_painted("neighbour.ts", frames=9)
    entry = examine(Path(name))
    assert (entry.status, entry.frames) == ("unreadable", 0)
    with pytest.raises(VideoError, match="No such file"):
        open_live(name)
    write_painted(tmp_path / "own.ts", frames=5).rename(tmp_path / name)
    entry = examine(Path(name))
    assert (entry.status, entry.frames) == ("ok", 5)
    with open_live(name) as stream:
        assert len(list(stream)) == 5


def test_names_with_patterns_are_files(tmp_path: Path) -> None:
    """A film whose name holds a pattern of numbered pictures is that film."""
    for name in ("a%d.gif", "b%03d.mp4", "c?x#y.mkv"):
        codec = {".gif": "gif"}.get(Path(name).suffix, "libx264")
        path = write_painted(tmp_path / name, frames=4, codec=codec, pixels="rgb8" if codec == "gif" else "yuv420p")
        assert (examine(path).status, examine(path).frames) == ("ok", 4)


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_and_playlists_are_refused(tmp_path: Path, name: str) -> None:
    """What names other files is no video, whatever its ending says; the files named are not shown as its frames."""
    write_painted(tmp_path / "neighbour.ts", frames=9)
    (tmp_path / name).write_text(SCRIPTS[name].format("neighbour.ts"))
    entry = examine(tmp_path / name)
    assert (entry.status, entry.frames, entry.cause != "") == ("unreadable", 0, True)
    claimed = VideoEntry(
        path=name, bytes=entry.bytes, mtime_ns=entry.mtime_ns, status="ok", frames=9, height=48, width=64, fps=25.0,
        codec="h264", reader="pyav", content_hash="0" * 32,
    )  # fmt: skip
    for reader in ("pyav", "decord") if decord_available() else ("pyav",):
        entry = VideoEntry(**{**vars(claimed), "reader": reader, "access": "random"})
        with pytest.raises(VideoError), open_video(tmp_path / name, entry=entry, reader=reader) as video:
            video.at([0])
    if not name.endswith(".m3u8"):  # that, given by hand, is followed to files here
        with pytest.raises(VideoError):
            list(open_live(tmp_path / name))
    with (tmp_path / name).open("rb") as file, pytest.raises(VideoError):
        list(open_live(io.BytesIO(file.read())))


def test_a_scan_beside_a_script(tmp_path: Path) -> None:
    """The script is unreadable, in one line; its neighbour is what it was."""
    write_painted(tmp_path / "neighbour.mp4", frames=9)
    (tmp_path / "script.mp4").write_text(SCRIPTS["script.mp4"].format("neighbour.mp4"))
    found = scan(tmp_path, out=tmp_path / "m.json", max_bad=0.5, workers=1, progress=False)
    assert {entry.path: entry.frames for entry in found} == {"neighbour.mp4": 9, "script.mp4": 0}
    assert "names other files" in found.bad[0].cause
    assert "\n" not in found.bad[0].cause


@pytest.fixture
def streamed(tmp_path: Path) -> Path:
    """A folder with the two parts of a playlist, and a third file beside it."""
    folder = tmp_path / "served"
    folder.mkdir()
    for number in range(2):
        write_painted(folder / f"part{number}.ts", frames=10, container_options={"output_ts_offset": str(number)})
    write_painted(tmp_path / "private.ts", frames=7)
    parts = "".join(f"#EXTINF:0.4,\npart{number}.ts\n" for number in range(2))
    (folder / "list.m3u8").write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n{parts}#EXT-X-ENDLIST\n")
    for name, there in (("file", f"file:{tmp_path}/private.ts"), ("plain", f"{tmp_path}/private.ts")):
        (folder / f"{name}.m3u8").write_text(HLS.format(there))
    return folder


def test_streams_keep_their_playlists(streamed: Path) -> None:
    """`--stream` follows a playlist here to files here, and one of a server to the server."""
    with serving(streamed) as server:
        for source in (str(streamed / "list.m3u8"), f"{server.address}/list.m3u8"):
            with open_live(source) as stream:
                assert read_numbers(np.stack([frame.image for frame in stream])) == [*range(10), *range(10)]


def test_a_servers_playlist_reads_no_files_here(streamed: Path) -> None:
    """A playlist on a server that names files of this machine brings none of their frames."""
    with serving(streamed) as server:
        for name in ("file", "plain"):
            with pytest.raises(VideoError):
                assert not list(open_live(f"{server.address}/{name}.m3u8", timeout_seconds=5))


def test_a_playlist_here_asks_no_server(streamed: Path) -> None:
    """Whoever made a playlist learns nothing of who opens it."""
    with serving(streamed) as server:
        (streamed / "away.m3u8").write_text(HLS.format(f"{server.address}/part0.ts"))
        for how in (lambda path: list(open_live(path)), lambda path: scan(path, out=path.with_suffix(".json"))):
            with pytest.raises(Exception, match=r"m3u8|cannot be used"):
                how(streamed / "away.m3u8")
        assert not server.asked


@needs_http
@pytest.mark.usefixtures("downloads")
def test_a_fetched_playlist_reads_nothing_here(streamed: Path, tmp_path: Path) -> None:
    """A server's film that is a playlist or a script of files of this machine is unreadable."""
    away = tmp_path / "away"
    away.mkdir()
    (away / "a.mp4").write_text(HLS.format(f"{tmp_path}/private.ts"))
    (away / "b.m3u8.mp4").write_text(f"ffconcat version 1.0\nfile {tmp_path}/private.ts\n")
    (away / "c.ts").write_text(f"ffconcat version 1.0\nfile file:{tmp_path}/private.ts\n")
    server: Served
    with serving(away) as server:
        found = scan(server.address, out=tmp_path / "m.json", max_bad=1, workers=1, progress=False)
        assert [(entry.path, entry.frames) for entry in found] == [("a.mp4", 0), ("b.m3u8.mp4", 0), ("c.ts", 0)]


def test_single_slashes_ask_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`http:/host/a.mp4` given to a stream is a path here that is not there; no request is sent."""
    monkeypatch.chdir(tmp_path)
    with serving(tmp_path) as server:
        host = server.address.partition("//")[2]
        for name in (f"http:/{host}/a.mp4", f"tcp:/{host}", f"cache:http://{host}/a.mp4", f"async:http://{host}/a.mp4"):
            with pytest.raises(VideoError, match="No such file"):
                open_live(name)
        assert not server.asked
