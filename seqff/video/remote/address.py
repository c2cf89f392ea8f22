"""What is an address and what is a path: both are handed on as paths."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import unquote

READER = "remote"
# Path() makes one slash of two, so "s3://bucket/a.mp4" and "s3:/bucket/a.mp4" are the same; one letter is a drive.
_ADDRESS = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]+):/+(.+)", re.DOTALL)
_EXTENSION = re.compile(r"\.[a-z0-9]{1,8}")


def address_of(path: str | os.PathLike[str]) -> str | None:
    """Return the address a path stands for, such as "s3://bucket/a.mp4"; None where it is a path on this machine.

    A folder here whose name is like "s3:" goes before the address, so that every local path means what it says.

    Raises:
        ValueError: it holds a password, which would be written into manifests, or several addresses chained by "::".
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
    """Return a path for people: an address with its two slashes, any other as it is."""
    return address_of(path) or os.fspath(path)


def is_below(root: Path) -> bool:
    """Whether what lies below `root` are addresses; holds for "s3:" too, the common root of several buckets."""
    return address_of(root / "x") is not None


def file_name(address: str) -> str:
    """Return the last part of an address, without the query of a web address."""
    path = address.partition("?")[0] if address.startswith("http") else address
    return path.rstrip("/").rpartition("/")[2]


def extension(address: str) -> str:
    """Return the extension in small letters, as ".mp4"; "" for what is none: it becomes part of a file's name here."""
    found = os.path.splitext(file_name(address))[1].lower()  # noqa: PTH122 - not a path of this machine
    return found if _EXTENSION.fullmatch(found) else ""


def sound_name(name: str) -> bool:
    """Whether a name from a listing, relative to the folder listed, stays below it and survives as a path."""
    parts = unquote(name).split("/")
    return not any(part in ("", ".", "..") for part in (*parts, *name.split("/"))) and name.isprintable()
