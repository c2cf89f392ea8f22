"""Videos in tar files, read where they lie: which bytes of such a shard are which video, and how to read only those."""

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
_MOST_HEADER_BYTES = 2**18  # of one member: a header says itself how long it is, and tarfile believes it
_MOST_MEMBERS = 5_000_000
_PLAIN = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE)
_REMEMBERED = 4  # shards


@dataclass(frozen=True)
class Part:
    """A member of a shard, as readers take it in place of the path of a file.

    Args:
        file: the shard.
        start: where the member's bytes begin.
        size: how many they are.
    """

    file: Path
    start: int
    size: int


Source = str | Path | Part


class Contents(NamedTuple):
    """What a shard holds.

    Args:
        members: of each plain file in it, by name: where its bytes begin, and how many they are.
        left_out: what else it names (links, devices, names outside of it), and why it is skipped.
        twice: names that come more than once; the last one counts, as it does when the shard is unpacked.
        damage: why there may be more that cannot be reached; "" where there is not.
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
    """Return the shard that a path leads into and the name of the member; of any other path itself and ""."""
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
    """Return the name of a video without that of its shard: `a/shard-000.tar/walk/b.mp4` is `a/walk/b.mp4`."""
    return _SHARD_FOLDER.sub(r"\1", name, count=1)


def part_of(shard: Path, name: str, heartbeat: Callable[[], None] = lambda: None) -> Part:
    """Find a member of a shard.

    Raises:
        FileNotFoundError: it has none of this name.
        ValueError, OSError: see `contents`.
    """
    found = contents(shard, heartbeat)
    if name not in found.members:
        raise FileNotFoundError(f"no such file in the tar file{found.damage and f', which is {found.damage}'}")
    return Part(shard, *found.members[name])


def contents(shard: Path, heartbeat: Callable[[], None] = lambda: None) -> Contents:
    """Read which members a shard has; remembered as long as it does not change.

    Raises:
        ValueError: it is no tar file, or a compressed one.
        OSError: it cannot be read.
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
    """The file as tarfile sees it: a member may have few bytes of headers, however long they say they are."""

    def __init__(self, file: BinaryIO) -> None:
        self.seek, self.tell, self._read = file.seek, file.tell, file.read
        self.left = _MOST_HEADER_BYTES

    def read(self, count: int) -> bytes:
        self.left -= count
        if count < 0 or self.left < 0:
            raise tarfile.ReadError("a header that is too long")
        return self._read(count)


class _Window(io.RawIOBase):
    """The bytes of a part, as a file of its own."""

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
    """Open a file or a part of one for reading.

    Raises:
        OSError: it is not there, or no plain file.
    """
    return io.BufferedReader(_Window(source)) if isinstance(source, Part) else open_plain(Path(source))
