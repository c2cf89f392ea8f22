"""Untrusted servers: slow, endless, compressing and redirecting ones end in one line, without other requests."""

from __future__ import annotations

import contextlib
import gzip
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread

import pytest
from helpers.painted import write_painted
from helpers.serving import needs_http

from seqff.errors import SeqffError, VideoError
from seqff.video import open_video, scan
from seqff.video.remote import filesystem, web

pytestmark = [needs_http, pytest.mark.usefixtures("downloads")]
Answer = Callable[[BaseHTTPRequestHandler], None]


class Hostile(ThreadingHTTPServer):
    """A server that answers as it is told, and counts what it is asked."""

    daemon_threads = True

    def __init__(self, answer: Answer) -> None:
        self.answer, self.asked, self.ended = answer, list[str](), Event()
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Hostile
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.server.asked.append(f"{self.command} {self.path}")
        self.close_connection = True
        with contextlib.suppress(OSError):  # the other side has had enough
            self.server.answer(self)

    do_HEAD = do_GET

    def head(self, status: int = 200, **headers: object) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


@contextmanager
def answering(answer: Answer) -> Iterator[Hostile]:
    """A hostile server as long as the block lasts."""
    with Hostile(answer) as server:
        thread = Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.ended.set()
            server.shutdown()
            thread.join()


def drip(asked: _Handler, data: bytes, piece: int = 1) -> None:
    """Sends some bytes at a time until the test ends."""
    for at in range(0, len(data), piece):
        asked.wfile.write(data[at : at + piece])
        asked.wfile.flush()
        if asked.server.ended.wait(0.05):
            return


def cause_of(address: str, tmp_path: Path) -> str:
    """Why the one film there cannot be used."""
    found = scan([address], out=tmp_path / "m.json", max_bad=1, workers=1, progress=False)
    assert [entry.status for entry in found] == ["unreadable"]
    assert "\n" not in found.entries[0].cause
    return found.entries[0].cause


@pytest.mark.parametrize("said", [10**6, None], ids=["length", "no length"])
@pytest.mark.parametrize("piece", [1, 3])
def test_a_drip_is_no_download(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: int | None, piece: int) -> None:
    """A server that sends a few bytes now and then does not hold a scan for ever."""
    monkeypatch.setattr(filesystem, "OVER_SECONDS", 0.3)

    def answer(asked: _Handler) -> None:
        asked.head(**{} if said is None else {"Content_Length": said})
        if asked.command == "GET":
            drip(asked, bytes(10**6), piece)

    with answering(answer) as server:
        assert "too slow" in cause_of(f"{server.address}/a.mp4", tmp_path)


def test_headers_that_never_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same holds for headers that come letter by letter."""
    monkeypatch.setattr(web, "TIMEOUT_SECONDS", 0.3)

    def answer(asked: _Handler) -> None:
        asked.wfile.write(b"HTTP/1.1 200 OK\r\n")
        drip(asked, b"X-Long: " + b"x" * 10**5)

    with answering(answer) as server:
        assert "failed 4 times" in cause_of(f"{server.address}/a.mp4", tmp_path)


@pytest.mark.parametrize("path", ["/", "/films/"])
def test_pages_that_never_end(monkeypatch: pytest.MonkeyPatch, path: str, tmp_path: Path) -> None:
    """A listing without end is not read to its end."""
    monkeypatch.setattr(web, "MOST_PAGE_BYTES", 2**16)

    def answer(asked: _Handler) -> None:
        asked.head(Content_Type="text/html")
        while asked.command == "GET" and not asked.server.ended.is_set():
            asked.wfile.write(b'<a href="a.mp4">x</a>' * 1000)

    with answering(answer) as server, pytest.raises(SeqffError, match="the page has more"):
        scan(f"{server.address}{path}", out=tmp_path / "m.json", workers=1, progress=False)


@pytest.mark.parametrize("kind", ["gzip", "deflate", "br"])
def test_packed_bodies_are_not_unpacked(tmp_path: Path, kind: str) -> None:
    """A body that would unpack to a gigabyte is refused, whatever length was said."""
    packed = gzip.compress(bytes(2**24))

    def answer(asked: _Handler) -> None:
        asked.head(Content_Length=len(packed), Content_Encoding=kind)
        if asked.command == "GET":
            asked.wfile.write(packed)

    with answering(answer) as server:
        assert "packed" in cause_of(f"{server.address}/a.mp4", tmp_path)
    assert not [file for file in (tmp_path / "downloads").rglob("*") if file.is_file() and file.stat().st_size > 2**20]


def test_more_than_was_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a length no more comes than the download cache may hold."""
    monkeypatch.setenv("SEQFF_DOWNLOADS_GB", "0.001")

    def answer(asked: _Handler) -> None:
        asked.head()
        while asked.command == "GET" and not asked.server.ended.is_set():
            asked.wfile.write(bytes(2**16))

    with answering(answer) as server:
        assert "more than" in cause_of(f"{server.address}/a.mp4", tmp_path)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_to_others_are_not_followed(tmp_path: Path, status: int) -> None:
    """A server that sends on to another is not believed: the other is not asked."""
    film = write_painted(tmp_path / "film.mp4", frames=5).read_bytes()

    def give(asked: _Handler) -> None:
        asked.head(Content_Length=len(film))
        if asked.command == "GET":
            asked.wfile.write(film)

    with answering(give) as other:
        for there in (f"{other.address}/b.mp4", f"//127.0.0.1:{other.server_port}/b.mp4"):

            def send_on(asked: _Handler, there: str = there) -> None:
                asked.head(status, Location=there, Content_Length=0)

            with answering(send_on) as server:
                assert "SEQFF_REDIRECT_HOSTS" in cause_of(f"{server.address}/a.mp4", tmp_path)
                with pytest.raises(VideoError, match="another host"):
                    open_video(f"{server.address}/a.mp4")
        assert not other.asked


@pytest.mark.parametrize("allowed", ["127.0.0.1", "*", "example.org, 127.0.0.1", "port"])
def test_redirects_that_are_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, allowed: str) -> None:
    """The user may name the hosts that a server may send on to; the same host is always allowed."""
    film = write_painted(tmp_path / "film.mp4", frames=5).read_bytes()

    def give(asked: _Handler) -> None:
        if asked.path == "/moved.mp4":
            asked.head(302, Location="/b.mp4", Content_Length=0)
            return
        asked.head(Content_Length=len(film))
        if asked.command == "GET":
            asked.wfile.write(film)

    with (
        answering(give) as other,
        answering(lambda asked: asked.head(302, Location=f"{other.address}/b.mp4", Content_Length=0)) as server,
    ):
        with open_video(f"{other.address}/moved.mp4") as video:
            assert len(video) == 5
        monkeypatch.setenv(web.REDIRECTS, f"127.0.0.1:{other.server_port}" if allowed == "port" else allowed)
        with open_video(f"{server.address}/a.mp4") as video:
            assert len(video) == 5


@pytest.mark.parametrize("there", ["file:///etc/hostname", "ftp://127.0.0.1/a.mp4", "gopher://127.0.0.1/"])
def test_redirects_out_of_the_web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: str) -> None:
    """A redirect leads to web addresses alone, even where all hosts are allowed."""
    monkeypatch.setenv(web.REDIRECTS, "*")
    with answering(lambda asked: asked.head(302, Location=there, Content_Length=0)) as server:
        assert cause_of(f"{server.address}/a.mp4", tmp_path)


def test_redirects_in_a_circle(tmp_path: Path) -> None:
    """A server that sends round and round is left."""
    with answering(lambda asked: asked.head(302, Location=asked.path, Content_Length=0)) as server:
        assert cause_of(f"{server.address}/a.mp4", tmp_path)
        assert len(server.asked) < 200


def test_a_download_cache_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which setting says where files are fetched to stands in the error."""
    film = write_painted(tmp_path / "film.mp4", frames=5).read_bytes()

    def give(asked: _Handler) -> None:
        asked.head(Content_Length=len(film))
        if asked.command == "GET":
            asked.wfile.write(film)

    (tmp_path / "file").touch()
    with answering(give) as server:
        for place in (tmp_path / "file" / "downloads", "/proc/nowhere", "/dev/null"):
            monkeypatch.setenv("SEQFF_DOWNLOADS", str(place))
            with pytest.raises(SeqffError, match="SEQFF_DOWNLOADS"):
                open_video(f"{server.address}/a.mp4")
