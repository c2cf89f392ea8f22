"""Videos in tar files (shards): find the bytes of each member, and read them in place."""

from __future__ import annotations

import io
import os
import re
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from seqff.untrusted import check_inside, open_plain
from seqff.video.remote.address import address_of

SHARD = ".tar"
COMPRESSED = (".tar.bz2", ".tar.gz", ".tar.lz4", ".tar.xz", ".tar.zst", ".tbz2", ".tgz", ".txz", ".tzst")
_SHARD_FOLDER = re.compile(r"(^|/)[^/]*\.tar/", re.IGNORECASE)
_MOST_HEADER_BYTES = 2**18  # per member: headers declare their own length, and tarfile trusts it
_MOST_MEMBERS = 5_000_000
_PLAIN = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE)
_REMEMBERED = 4  # number of shards


@dataclass(frozen=True)
class Part:
    """A member of a shard; readers accept it in place of a path.

    Args:
        file: the shard.
        start: offset of the member's bytes.
        size: number of bytes.
    """

    file: Path
    start: int
    size: int


Source = str | Path | Part


class Contents(NamedTuple):
    """The content of a shard.

    Args:
        members: offset and size of each regular file, by name.
        left_out: other names (links, devices, names outside of the shard), and why they are skipped.
        twice: names that occur more than once; the last one counts, as it does when unpacking.
        damage: why there may be more that cannot be reached; "" if there is no damage.
    """

    members: dict[str, tuple[int, int]]
    left_out: tuple[str, ...]
    twice: tuple[str, ...]
    damage: str


_known: dict[tuple[Path, int, int], Contents] = {}


def is_shard(name: str) -> bool:
    """Whether a file's name is that of a tar file, compressed or not."""
    return name.lower().endswith((SHARD, *COMPRESSED))


def split(path: Path) -> tuple[Path, str]:
    """Split a path into a shard into the shard and the member's name; any other path into itself and ""."""
    name = path.as_posix()
    if not _SHARD_FOLDER.search(name):
        return path, ""
    remote = address_of(path) is not None
    for found in _SHARD_FOLDER.finditer(name):
        shard = Path(name[: found.end() - 1])
        if remote or shard.is_file():
            return shard, name[found.end() :]
    return path, ""


def outside_shard(name: str) -> str:
    """Return the name of a video without its shard: `a/shard-000.tar/walk/b.mp4` becomes `a/walk/b.mp4`."""
    return _SHARD_FOLDER.sub(r"\1", name, count=1)


def part_of(shard: Path, name: str, heartbeat: Callable[[], None] = lambda: None) -> Part:
    """Find a member of a shard.

    Raises:
        FileNotFoundError: there is no member of this name.
        ValueError, OSError: see `contents`.
    """
    found = contents(shard, heartbeat)
    if name not in found.members:
        raise FileNotFoundError(f"no such file in the tar file{found.damage and f', which is {found.damage}'}")
    return Part(shard, *found.members[name])


def contents(shard: Path, heartbeat: Callable[[], None] = lambda: None) -> Contents:
    """List the members of a shard; cached until the shard changes.

    Raises:
        ValueError: the file is not a tar file, or is a compressed one.
        OSError: the file cannot be read.
    """
    stats = shard.stat()
    key = shard, stats.st_size, stats.st_mtime_ns
    found = _known.get(key)
    if found is None:
        with open_plain(shard) as file:
            found = _read(file, stats.st_size, heartbeat)
        for oldest in list(_known)[: 1 - _REMEMBERED]:
            _known.pop(oldest, None)
        _known[key] = found
    return found


def _read(file: BinaryIO, size: int, heartbeat: Callable[[], None]) -> Contents:
    members, left_out, twice = dict[str, tuple[int, int]](), list[str](), list[str]()
    headers, at, damage = _Headers(file), 0, ""
    try:
        with tarfile.open(fileobj=headers, mode="r:") as tar:  # type: ignore[call-overload]
            while (found := _next(tar, headers)) is not None:
                heartbeat()
                if tar.offset <= at or found.size < 0 or found.offset_data + found.size > size:
                    raise tarfile.ReadError(f"cut short or damaged at byte {at}")
                if len(members) + len(left_out) >= _MOST_MEMBERS:
                    raise tarfile.ReadError(f"larger than is read: it has more than {_MOST_MEMBERS} files")
                at, name = tar.offset, found.name.removeprefix("./")
                why = _why_not(found, name)
                if why:
                    left_out.append(f"{name}: {why}")
                elif not found.isdir():
                    twice += [name] * (name in members)
                    members[name] = (found.offset_data, found.size)
            file.seek(at)
            end = file.read(tarfile.BLOCKSIZE)
            if end.strip(b"\0") or not end:
                damage = f"cut short or damaged at byte {at}"
    except (tarfile.TarError, ValueError, OverflowError, RecursionError, LookupError) as error:
        if not at:
            raise ValueError(f"not a tar file, or a compressed one, which cannot be read in place ({error})") from error
        damage = str(error) if str(error).startswith(("cut", "larger")) else f"cut short or damaged at byte {at}"
    return Contents(members, tuple(left_out), tuple(twice), damage)


def _next(tar: tarfile.TarFile, headers: _Headers) -> tarfile.TarInfo | None:
    headers.left = _MOST_HEADER_BYTES
    found = tar.next()
    tar.members.clear()  # type: ignore[attr-defined]  # else all are kept
    return found


def _why_not(found: tarfile.TarInfo, name: str) -> str:
    if found.isdir():
        return ""
    if found.type not in _PLAIN or found.issparse():
        return "a link, a device or a sparse file"
    try:
        check_inside(name)
    except ValueError:
        return "outside of the tar file"
    return ""


class _Headers:
    """The file as tarfile sees it: limits the header bytes of a member, whatever length they declare."""

    def __init__(self, file: BinaryIO) -> None:
        self.seek, self.tell, self._read = file.seek, file.tell, file.read
        self.left = _MOST_HEADER_BYTES

    def read(self, count: int) -> bytes:
        self.left -= count
        if count < 0 or self.left < 0:
            raise tarfile.ReadError("a header that is too long")
        return self._read(count)


class _Window(io.RawIOBase):
    """The bytes of a part, as a file."""

    def __init__(self, part: Part) -> None:
        self._file, self._start, self._size, self._at = open_plain(part.file), part.start, part.size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        if at < 0:
            raise ValueError(f"seek to {at}")
        self._at = at
        return at

    def readinto(self, buffer: Any) -> int:
        self._file.seek(self._start + self._at)
        data = self._file.read(max(0, min(len(buffer), self._size - self._at)))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def close(self) -> None:
        self._file.close()
        super().close()


def open_bytes(source: Source) -> BinaryIO:
    """Open a file, or a part of one, for reading.

    Raises:
        OSError: the file does not exist, or is not a regular file.
    """
    return io.BufferedReader(_Window(source)) if isinstance(source, Part) else open_plain(Path(source))
