"""A local web server for tests of remote files, which counts requests, and fails or waits on demand."""

from __future__ import annotations

import importlib.util
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread

import pytest

NAMES = ("run/anna.mp4", "walk/anna.mp4", "walk/boris.mp4")
"""Videos on the server in tests of remote files."""
needs_http = pytest.mark.skipif(
    importlib.util.find_spec("aiohttp") is None, reason="aiohttp is not installed: pip install 'seqff[remote]'"
)


class Served(ThreadingHTTPServer):
    """Serves a folder.

    Attributes:
        asked: number of requests of each (method, path).
        failures: by path, the responses before the right one: a status, or "cut" for half a file.
        gates: by path, an event set after half a file is sent, and one that the other half waits for.
        pages: by path, a page to send instead of the file.
    """

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), partial(_Handler, directory=str(folder)))
        self.asked: Counter[tuple[str, str]] = Counter()
        self.failures: dict[str, list[int | str]] = {}
        self.gates: dict[str, tuple[Event, Event]] = {}
        self.pages: dict[str, str] = {}

    @property
    def address(self) -> str:
        """URL of the folder."""
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(SimpleHTTPRequestHandler):
    server: Served

    def do_HEAD(self) -> None:
        self.server.asked["HEAD", self.path] += 1
        super().do_HEAD()

    def do_GET(self) -> None:
        self.server.asked["GET", self.path] += 1
        wrong = self.server.failures.get(self.path)
        how = wrong.pop(0) if wrong else None
        file = Path(self.translate_path(self.path))
        if isinstance(how, int):
            self.send_error(how)
        elif self.path in self.server.pages:
            self._send(self.server.pages[self.path].encode(), "text/html")
        elif file.is_file() and (how == "cut" or self.path in self.server.gates):
            self._send(file.read_bytes(), "video/mp4", cut=how == "cut")
        else:
            super().do_GET()

    def _send(self, body: bytes, kind: str, *, cut: bool = False) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        half = len(body) // 2
        self.wfile.write(body[:half])
        self.wfile.flush()
        if not cut:
            if self.path in self.server.gates:
                half_out, go_on = self.server.gates[self.path]
                half_out.set()
                go_on.wait(60)
            self.wfile.write(body[half:])
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""


@contextmanager
def serving(folder: Path) -> Iterator[Served]:
    """Serve a folder inside a `with` block."""
    with Served(folder) as server:
        thread = Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def downloaded(folder: Path) -> list[Path]:
    """Return the complete files in a download cache."""
    return sorted(path for path in folder.glob("*") if path.is_file() and not path.name.startswith("."))
