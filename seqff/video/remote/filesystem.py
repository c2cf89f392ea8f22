"""Operations on remote filesystems, by fsspec: stamps of files, listing of folders, download."""

from __future__ import annotations

import errno
import logging
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from seqff.errors import SeqffError, VideoError
from seqff.video.entry import Stamp
from seqff.video.reader import one_line
from seqff.video.remote import web
from seqff.video.remote.address import READER, sound_name

T = TypeVar("T")
WAITS_SECONDS = (0.5, 2.0, 5.0)
"""Waits before the second, third and fourth attempt."""
LEAST_BYTES_A_SECOND, OVER_SECONDS = 1000, 30.0
"""Minimum speed of a download: a server that sends single bytes would block a scan forever."""
_MOST_LINKS, _DEEPEST = 1_000_000, 32
_NO_ROOM = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))
# Metadata by which servers identify a version, most reliable first.
_VERSIONS = """
    ETag etag e_tag md5Hash content_md5 Content-MD5 generation LastModified last_modified Last-Modified updated modified
    mtime created
"""

_log = logging.getLogger("seqff.video")


def no_heartbeat() -> None:
    """Do nothing."""


def connect(address: str) -> tuple[Any, str]:
    """Return the fsspec filesystem of an address, and the path in it.

    Raises:
        SeqffError: fsspec, or its driver for this kind of address, is not installed.
        VideoError: unknown kind of address.
    """
    try:
        from fsspec.core import url_to_fs
    except ImportError:
        raise SeqffError(f"{address}: remote files are read with fsspec: pip install 'seqff[remote]'") from None
    options = web.options() if _on_web(address) else {}
    try:
        filesystem, path = url_to_fs(address, **options)
    except ImportError as error:
        raise SeqffError(
            f"{address}: {one_line(error)} (pip install 'seqff[remote]' brings fsspec with http and https; other kinds "
            "of storage need the package named here beside it)"
        ) from None
    except ValueError as error:
        cause = f"{one_line(error)}; known are s3, gs, http, https and others of fsspec"
        raise VideoError(address, "fsspec", cause) from None
    return filesystem, str(path)


def _on_web(address: str) -> bool:
    return address.startswith(("http://", "https://"))


def attempt(address: str, what: str, work: Callable[[], T], heartbeat: Callable[[], None] = no_heartbeat) -> T:
    """Run a network operation, with a few retries; `what` names it in errors, and the heartbeat may raise to give up.

    Raises:
        FileNotFoundError: the file does not exist.
        VideoError: the operation failed permanently, or four times.
        SeqffError: the local disk is full.
    """
    for wait in (*WAITS_SECONDS, None):
        heartbeat()
        try:
            return work()
        except SeqffError:
            raise
        except Exception as error:  # drivers raise errors of any type
            cause = _cause(error)
            if isinstance(cause, SeqffError):
                raise cause from error
            if isinstance(cause, FileNotFoundError) or getattr(cause, "status", 0) == 404:
                raise FileNotFoundError(errno.ENOENT, "no such file", address) from error
            if isinstance(cause, OSError) and cause.errno in _NO_ROOM:
                raise SeqffError(f"{address} cannot be fetched: the disk here is full") from error
            reason = one_line(cause)
            if not _may_pass(cause):
                raise VideoError(address, READER, f"{what} failed: {reason}") from error
            if wait is None:
                times = len(WAITS_SECONDS) + 1
                raise VideoError(address, READER, f"{what} failed {times} times: {reason}") from error
            _log.info("%s: %s failed (%s), again in %g s", address, what, reason, wait)
            time.sleep(wait)
    raise AssertionError("unreachable")


def _cause(error: BaseException) -> BaseException:
    """Return the original error, because fsspec reports any error of a web address as FileNotFoundError."""
    while isinstance(error, FileNotFoundError) and error.__cause__ is not None:
        error = error.__cause__
    return error


def _may_pass(cause: BaseException) -> bool:
    """Whether a retry may help: not if the server rejects the request as invalid or forbidden."""
    status = getattr(cause, "status", 0)
    refused = isinstance(status, int) and 400 <= status < 500 and status not in (408, 425, 429)
    return not refused and not isinstance(cause, (PermissionError, IsADirectoryError, NotImplementedError))


def remote_stamp(address: str, heartbeat: Callable[[], None] = no_heartbeat) -> Stamp:
    """Ask the server for the current version of a file; raises as `attempt` and `connect` do, also for a folder."""
    filesystem, path = connect(address)

    def ask() -> Stamp:
        filesystem.invalidate_cache()
        found = filesystem.info(path)
        if found.get("type") == "directory":
            raise IsADirectoryError("is a folder, not a file")
        known = (found.get(name) for name in _VERSIONS.split())
        return Stamp(int(found.get("size") or 0), 0, str(next((value for value in known if value), "")))

    return attempt(address, "asking for it", ask, heartbeat)


def is_folder(address: str) -> bool:
    """Whether the server reports an address as a folder; web servers never do."""
    filesystem, path = connect(address)
    return attempt(address, "asking for it", lambda: bool(filesystem.info(path).get("type") == "directory"))


def list_folder(address: str) -> list[str]:
    """List all files in a folder, recursively.

    Returns:
        Sorted names relative to the folder, with forward slashes; [""] if the address is a file. Names that lead out of
        the folder are omitted.

    Raises:
        FileNotFoundError, SeqffError: see `attempt` and `connect`.
    """
    filesystem, path = connect(address)
    root = path.rstrip("/")
    if _on_web(address):
        names = _follow_links(filesystem, root)
    else:
        filesystem.invalidate_cache()
        names = attempt(address, "listing it", lambda: [str(name) for name in filesystem.find(path)])
    if names == [root]:
        return [""]
    below = [name[len(root) + 1 :] for name in names if name.startswith(f"{root}/")]
    sound = sorted({name for name in below if sound_name(name)})
    if len(sound) < len(set(names)):
        _log.warning("%s: %d names in the listing were left out: no paths below it", address, len(names) - len(sound))
    return sound


def _follow_links(filesystem: Any, root: str) -> list[str]:
    """List a web folder by the links on its pages; only links further down are followed, each once."""
    todo, seen = [f"{root}/"], {f"{root}/"}
    files: list[str] = []
    while todo:
        folder = todo.pop()
        try:
            items = attempt(folder, "listing it", partial(filesystem.ls, folder, detail=True))
        except FileNotFoundError:
            if folder == f"{root}/":
                raise
            _log.warning("%s: a link to it leads nowhere", folder)
            continue
        for item in items:
            name = str(item["name"]).partition("#")[0]
            below = name[len(root) + 1 :].removesuffix("/")
            if name in seen or not name.startswith(f"{root}/") or "?" in name or not sound_name(below):
                continue  # the parent folder, sort orders, other hosts
            seen.add(name)
            is_page = item["type"] == "directory" and below.count("/") < _DEEPEST
            (todo if is_page else files).append(name)
            if len(seen) > _MOST_LINKS:
                raise VideoError(root, READER, f"more than {_MOST_LINKS} links: give the folders one by one")
    return [name for name in files if not name.endswith("/")]


def download(address: str, to: Path, *, bytes: int, most: int, heartbeat: Callable[[], None]) -> None:
    """Download a file to a local path; raises as `attempt` and `connect` do, and if it is too slow.

    Args:
        address: address of the file.
        to: destination; also written if the download fails.
        bytes: expected size; 0 if unknown.
        most: maximum size.
        heartbeat: called whenever data arrives; may raise to give up.
    """
    filesystem, path = connect(address)
    from fsspec.callbacks import Callback

    class Watch(Callback):  # type: ignore[misc]
        since, had = time.monotonic(), 0

        def call(self, *_: object, **__: object) -> None:
            heartbeat()
            now = time.monotonic()
            if now - self.since > OVER_SECONDS:
                speed = (self.value - self.had) / (now - self.since)
                if speed < LEAST_BYTES_A_SECOND:
                    slow = f"{speed:.0f} bytes a second came; at least {LEAST_BYTES_A_SECOND} must"
                    raise VideoError(address, READER, f"too slow: {slow}")
                self.since, self.had = now, self.value
            if self.value > most:
                raise VideoError(address, READER, f"more than {most} bytes came, more than was said or allowed")

    def fetch() -> None:
        filesystem.get_file(path, str(to), callback=Watch())
        size = to.stat().st_size
        if bytes and size != bytes:
            raise OSError(f"{size} of {bytes} bytes came")

    attempt(address, "fetching it", fetch, heartbeat)
