"""Limits for web servers: slow headers, endless pages, compressed bodies, redirects to other hosts."""

from __future__ import annotations

import asyncio
import os
from typing import Any

from seqff.errors import VideoError
from seqff.video.remote.address import READER

REDIRECTS = "SEQFF_REDIRECT_HOSTS"
TIMEOUT_SECONDS = 60.0
"""Longest time without a byte of a body, and for all headers; the total is not limited, because videos are large."""
_PAGE_SECONDS = 300.0
MOST_PAGE_BYTES = 2**26


def options() -> dict[str, Any]:
    """Return the arguments of fsspec's filesystem for web addresses."""
    return {"client_kwargs": {}, "get_client": _client}


async def _client(**given: Any) -> Any:
    """Create aiohttp's session. Compression is disabled, because the length of a body must be that of the file."""
    import aiohttp

    class Response(aiohttp.ClientResponse):
        """A response whose headers must arrive in time, and which is not read completely if it is too large."""

        async def start(self, connection: Any) -> Any:
            return await asyncio.wait_for(super().start(connection), TIMEOUT_SECONDS)

        async def read(self) -> bytes:
            return await asyncio.wait_for(self._page(), _PAGE_SECONDS)

        async def _page(self) -> bytes:
            if self._body is None:
                pieces = bytearray()
                async for piece in self.content.iter_chunked(2**16):
                    pieces += piece
                    if len(pieces) > MOST_PAGE_BYTES:
                        self.close()
                        raise VideoError(str(self.url), READER, f"the page has more than {MOST_PAGE_BYTES} bytes")
                self._body = bytes(pieces)
            return self._body

    tracing = aiohttp.TraceConfig()
    tracing.on_request_redirect.append(_check_redirect)
    tracing.on_request_end.append(_check_packing)
    return aiohttp.ClientSession(
        **given,
        response_class=Response,
        trace_configs=[tracing],
        auto_decompress=False,
        headers={"Accept-Encoding": "identity"},
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=30, sock_read=TIMEOUT_SECONDS),
    )


async def _check_redirect(_session: Any, _context: Any, asked: Any) -> None:
    """Raise VideoError for a redirect to another host, unless it is allowed."""
    location = asked.response.headers.get("Location") or asked.response.headers.get("URI", "")
    there = asked.response.url.join(type(asked.url)(location, encoded=True))
    here = asked.response.url
    same = (there.host, there.port) == (here.host, here.port)
    upgraded = there.host == here.host and (here.port, there.port) == (80, 443)
    allowed = {name.strip().lower() for name in os.environ.get(REDIRECTS, "").split(",")}
    names = {"*", str(there.host).lower(), f"{there.host}:{there.port}".lower()}
    if there.scheme not in ("http", "https"):
        raise _error(here, f"the server sends on to {str(there)!r:.80}: no web address")
    if not (same or upgraded or names & allowed):
        how = f"allow it by {REDIRECTS}={there.host} (several with commas, * for all), or give the address there"
        raise _error(here, f"the server sends on to another host, {there.scheme}://{there.host}:{there.port}: {how}")


async def _check_packing(_session: Any, _context: Any, asked: Any) -> None:
    """Raise VideoError for a compressed body, because its declared length is not that of the content."""
    packed = asked.response.headers.get("Content-Encoding", "identity").strip().lower()
    if packed not in ("", "identity") and asked.method != "HEAD":
        asked.response.close()
        why = "although it was asked not to: files are fetched as they are"
        raise _error(asked.url, f"the server sends it packed ({packed:.20}) {why}")


def _error(url: Any, cause: str) -> VideoError:
    return VideoError(f"{url.origin()}{url.path}", READER, cause)
