"""Distinguish addresses from local paths; both are passed around as paths."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import unquote

READER = "remote"
# Path() merges slashes, so "s3://bucket/a.mp4" and "s3:/bucket/a.mp4" are equal; a single letter is a drive.
_ADDRESS = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]+):/+(.+)", re.DOTALL)
_EXTENSION = re.compile(r"\.[a-z0-9]{1,8}")


def address_of(path: str | os.PathLike[str]) -> str | None:
    """Return the address that a path stands for, such as "s3://bucket/a.mp4"; None for a local path.

    A local folder with a name like "s3:" takes precedence, so that every local path keeps its meaning.

    Raises:
        ValueError: the address contains a password, which would end up in manifests, or is chained by "::".
    """
    found = _ADDRESS.fullmatch(path.as_posix() if isinstance(path, Path) else os.fspath(path))
    if found is None or os.path.lexists(f"{found[1]}:"):
        return None
    host, at, _ = found[2].partition("/")[0].rpartition("@")
    scheme = found[1].lower()
    if at and ":" in host:
        raise ValueError(
            f"{scheme}://...@{found[2].rpartition('@')[2]}: an address must not hold a password, it is written into "
            "manifests; give it by the environment or fsspec's configuration"
        )
    if "::" in found[2]:
        raise ValueError(f"{scheme}://{found[2]}: chained addresses ('::') cannot be read; give one file's address")
    return f"{scheme}://{found[2]}"


def shown(path: str | os.PathLike[str]) -> str:
    """Return a path for display: an address with its two slashes, others unchanged."""
    return address_of(path) or os.fspath(path)


def is_below(root: Path) -> bool:
    """Whether paths below `root` are addresses; also true for "s3:", the common root of several buckets."""
    return address_of(root / "x") is not None


def file_name(address: str) -> str:
    """Return the last component of an address, without a web address's query."""
    path = address.partition("?")[0] if address.startswith("http") else address
    return path.rstrip("/").rpartition("/")[2]


def extension(address: str) -> str:
    """Return the extension in lower case, such as ".mp4"; "" if it is unsuitable for the name of a local file."""
    found = os.path.splitext(file_name(address))[1].lower()  # noqa: PTH122 - not a path of this machine
    return found if _EXTENSION.fullmatch(found) else ""


def sound_name(name: str) -> bool:
    """Whether a name from a listing, relative to the listed folder, stays below it and is preserved by Path."""
    parts = unquote(name).split("/")
    return not any(part in ("", ".", "..") for part in (*parts, *name.split("/"))) and name.isprintable()
