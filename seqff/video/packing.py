"""Pack a folder of videos into tar files of limited size, in the layout of WebDataset."""

from __future__ import annotations

import logging
import os
import posixpath
import re
import tarfile
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from tqdm.auto import tqdm

from seqff.claim import Claim
from seqff.errors import NoVideoError, RunError, VideoError
from seqff.files import LOCKS, in_place
from seqff.terminal import as_lines, counted, printable
from seqff.untrusted import open_plain
from seqff.video.find import PathLikeStr, as_path, find_videos
from seqff.video.numbered import extension_of
from seqff.video.remote.address import address_of
from seqff.video.search import VIDEO_EXTENSIONS
from seqff.video.shards import contents, is_shard

_NAME = "shard-{:06d}.tar"
_PARTIAL = re.compile(r"\.shard-\d{6}\.tar\.\d+\.partial")
_HEADER_BYTES = 4 * tarfile.BLOCKSIZE  # upper limit per file, with padding, unless its name exceeds a block

_log = logging.getLogger("seqff.video")


class _File(NamedTuple):
    """A file to pack, by its name below the root; see `os.stat_result` for the other fields."""

    name: str
    size: int
    mtime_ns: int


def pack(folder: PathLikeStr, *, out: PathLikeStr, shard_mb: float = 1000.0, progress: bool = True) -> list[Path]:
    """Pack the video files of a folder into tar files, which all commands can read instead of the folder.

    The layout is that of WebDataset: files keep their paths below the folder (`walk/anna_1.mp4`), and files beside a
    video that share its name up to the first dot (`walk/anna_1.json`) stay with it. Files are sorted by path and
    stored without times and owners, so the same folder gives the same bytes. A call that was interrupted continues
    after the last complete tar file. Numbered images, arrays and existing tar files are reported and not packed.

    Args:
        folder: folder of videos, searched recursively.
        out: folder of the tar files, `shard-000000.tar`, `shard-000001.tar`, ...
        shard_mb: maximum size of a tar file in 10^6 bytes; a larger video gets its own file.
        progress: show a progress bar if stderr is a terminal.

    Returns:
        The paths of the tar files, in order.

    Raises:
        FileNotFoundError: the folder does not exist.
        NoVideoError: the folder contains no video file.
        ValueError: `shard_mb` is not above 0, or `folder` is a file or an address.
        RunError: `out` contains anything else, or is in use.
        VideoError: a file cannot be read, or changes while it is packed.
        WriteError: a tar file cannot be written; nothing of it remains.
    """
    root, out = as_path(folder), as_path(out)
    if address_of(root) is not None or root.is_file():
        raise ValueError(f"{folder}: only a folder on this machine can be packed")
    if not shard_mb > 0:
        raise ValueError(f"shard_mb must be above 0, got {shard_mb}")
    root, paths, skipped, *_ = find_videos(root)
    videos = [path for path in paths if extension_of(path) in VIDEO_EXTENSIONS and (root / path).is_file()]
    if not videos:
        raise NoVideoError(as_lines([f"no video file in {root}", *skipped]))
    beside = _beside(root, videos)
    left = [printable(path) for path in paths if path not in {*videos, *beside}]
    said = [f"not packed, only video files are: {len(left)} ({', '.join(left[:5])}{', ...' * (len(left) > 5)})"]
    said = [*said * bool(left), *skipped]
    said += [f"of these, packed beside the video of their name: {counted(len(beside), 'file')}"] * bool(beside)
    if said:
        _log.warning("%s", as_lines(said))
    shards = _divided(root, [*videos, *beside], int(shard_mb * 1e6))
    with Claim(out):
        names = [_NAME.format(number) for number in range(len(shards))]
        _check_ours(out, names)
        total = sum(file.size for shard in shards for file in shard)
        with tqdm(desc="pack", total=total, unit="B", unit_scale=True, disable=None if progress else True) as bar:
            for name, files in zip(names, shards, strict=True):
                if not (out / name).exists():
                    _write(out / name, root, files, bar.update)
                elif not _holds(out / name, files):
                    raise RunError(f"{out / name} holds other files than these: delete it, or choose another folder")
                else:
                    bar.update(sum(file.size for file in files))
    return [out / name for name in names]


def _key(name: str) -> tuple[str, str]:
    """Return the folder and the name up to the first dot, which identify a sample in WebDataset."""
    folder, base = posixpath.split(name)
    return folder, base.partition(".")[0]


def _beside(root: Path, videos: Sequence[str]) -> list[str]:
    """Return the files beside videos that have the same name up to the first dot."""
    keys, known, found = set(map(_key, videos)), {*videos}, list[str]()
    for folder in {folder for folder, _ in keys}:
        with os.scandir(root / folder) as entries:
            names = [posixpath.join(folder, entry.name) for entry in entries if entry.is_file()]
        found += [name for name in names if _key(name) in keys and name not in known and not is_shard(name)]
    return found


def _divided(root: Path, names: Sequence[str], most: int) -> list[list[_File]]:
    """Distribute files to tar files of at most `most` bytes; files of a sample stay together."""
    shards, room = list[list[_File]](), 0
    for _, sample in groupby(sorted(names, key=lambda name: (_key(name), name)), _key):
        files = []
        for name in sample:
            stats = (root / name).stat()
            files.append(_File(name, stats.st_size, stats.st_mtime_ns))
        size = sum(_HEADER_BYTES + file.size for file in files)
        if not shards or size > room:
            shards.append([])
            room = most - tarfile.RECORDSIZE  # for the end marker
        shards[-1] += files
        room -= size
    return shards


def _check_ours(out: Path, names: Sequence[str]) -> None:
    """Raise RunError if a folder contains anything but these tar files; deletes partial files of killed processes."""
    for entry in sorted(out.iterdir()):
        if _PARTIAL.fullmatch(entry.name):
            entry.unlink(missing_ok=True)
        elif entry.name not in (*names, *LOCKS):
            raise RunError(f"{out} holds other things ({printable(entry.name)}); nothing was touched, choose another")


def _holds(shard: Path, files: Sequence[_File]) -> bool:
    """Whether a tar file contains exactly these files and is newer than they are."""
    try:
        found = [(name, size) for name, (_, size) in contents(shard).members.items()]
    except (OSError, ValueError):
        return False
    newest = max(file.mtime_ns for file in files)
    return found == [(file.name, file.size) for file in files] and newest <= shard.stat().st_mtime_ns


def _write(to: Path, root: Path, files: Sequence[_File], update: Callable[[int], object]) -> None:
    with in_place(to, sum(_HEADER_BYTES + file.size for file in files)) as partial, partial.open("wb") as written:
        with tarfile.open(fileobj=written, mode="w", format=tarfile.PAX_FORMAT) as tar:
            for file in files:
                info = tarfile.TarInfo(file.name)
                info.size = file.size
                with _Packed(root / file.name, update) as content:
                    tar.addfile(info, content)  # type: ignore[arg-type]
        written.flush()
        os.fsync(written.fileno())


class _Packed:
    """A file being packed; distinguishes its errors from those of the tar file."""

    def __init__(self, path: Path, update: Callable[[int], object]) -> None:
        self._path, self._update = path, update
        try:
            self._file = open_plain(path)
        except OSError as error:
            raise self._error(error.strerror or str(error)) from error

    def read(self, count: int) -> bytes:
        try:
            data = self._file.read(count)
        except OSError as error:
            raise self._error(error.strerror or str(error)) from error
        if len(data) < count:
            raise self._error("changed while it was packed")
        self._update(count)
        return data

    def _error(self, cause: str) -> VideoError:
        return VideoError(self._path, "pack", cause)

    def __enter__(self) -> _Packed:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
