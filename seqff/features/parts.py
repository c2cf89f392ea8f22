"""Finished videos of a running extraction: one file each, written atomically."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from seqff.errors import RunError
from seqff.features.describe import Columns
from seqff.files import read_json, write_all, write_json, writing
from seqff.untrusted import open_plain
from seqff.video.arrays import parse_header

_BLOCK_BYTES = 2**24
Write = Callable[[NDArray[np.floating]], None]


class Parts:
    """The folder `parts` of an unfinished store, which several processes may fill.

    A part holds the rows of one video, with the `width` values of all arrays side by side. It is named by content hash,
    so copies of a video share a part. Files are written, not memory-mapped, so memory does not grow with video length.
    """

    def __init__(self, folder: Path, width: int, dtype: np.dtype[Any]) -> None:
        self.folder, self.width, self.dtype = folder, width, dtype
        with writing(folder):
            folder.mkdir(exist_ok=True)

    def path(self, content_hash: str) -> Path:
        """File of the video with this content hash; raises ValueError if it is no hash and might escape the folder."""
        if not content_hash.isalnum():
            raise ValueError(f"{content_hash!r} is no content hash")
        return self.folder / f"{content_hash}.npy"

    def done(self) -> NDArray[np.bytes_]:
        """Content hashes of finished videos, (n,)."""
        names: list[str] = []
        with suppress(FileNotFoundError):  # another process may have merged the store
            names = [file.name for file in os.scandir(self.folder) if file.name.endswith(".npy")]
        return np.array([name.removesuffix(".npy") for name in names], dtype="S")

    @contextmanager
    def writing(self, content_hash: str, rows: int) -> Iterator[Write]:
        """Yield a function that takes a video's rows in order; the part is saved if the block ends without an error."""
        with writing_array(self.path(content_hash), (rows, self.width), self.dtype) as write:
            yield write

    def note_failed(self, rank: int, causes: Mapping[str, str]) -> None:
        """Record which videos, by path, a process could not read, and that it has finished its shard."""
        write_json(self.folder / f"failed-{rank}.json", dict(causes))

    def failed(self) -> dict[str, str]:
        """The failures that all processes recorded, by path."""
        causes: dict[str, str] = {}
        for file in sorted(self.folder.glob("failed-*.json")):
            causes |= read_json(file)
        return causes

    def join(self, content_hashes: Sequence[str], rows: int, columns: Mapping[str, Columns], out: Path) -> None:
        """Write one array file per layer, `out/<name>.npy`, from the parts of all videos, reading each part once."""
        with ExitStack() as stack:
            writers = {}
            for name, place in columns.items():
                file = out / f"{name}.npy"
                with writing(file):
                    file.parent.mkdir(parents=True, exist_ok=True)
                writers[name] = stack.enter_context(writing_array(file, (rows, place.width), self.dtype))
            for content_hash in content_hashes:
                for block in self._blocks(content_hash):
                    for name, place in columns.items():
                        writers[name](block[:, place.start : place.stop])

    def _blocks(self, content_hash: str) -> Iterator[NDArray[np.floating]]:
        at_a_time = max(1, _BLOCK_BYTES // (self.width * self.dtype.itemsize))
        path = self.path(content_hash)
        try:
            with open_plain(path) as file:
                shape, _, dtype = parse_header(file)
                if shape[1:] != (self.width,) or dtype != self.dtype:
                    raise ValueError(f"{dtype} {shape}")
                for start in range(0, shape[0], at_a_time):
                    count = min(at_a_time, shape[0] - start)
                    yield np.fromfile(file, self.dtype, count * self.width).reshape(count, self.width)
        except (OSError, ValueError) as error:
            raise RunError(f"{path} is damaged ({error}): delete it and extract again with resume") from error

    def remove(self) -> None:
        """Delete the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)


@contextmanager
def writing_array(file: Path, shape: tuple[int, int], dtype: np.dtype[Any]) -> Iterator[Write]:
    """Write an .npy file block by block; it is renamed to its final name only if the block ends without an error.

    Yields:
        A function that takes the next rows, (n, shape[1]).

    Raises:
        WriteError: the disk is full.
        ValueError: the number of rows differs from the shape.
    """
    partial = file.with_name(f"{file.name}.{os.getpid()}.partial")
    written, needed = 0, shape[0] * shape[1] * dtype.itemsize
    try:
        with writing(file, needed):
            opened = partial.open("wb", buffering=0)  # with buffering, close() could fail again
        with opened:

            def write(rows: NDArray[np.floating]) -> None:
                nonlocal written
                with writing(file, needed):
                    write_all(opened, np.ascontiguousarray(rows, dtype=dtype).data)
                written += len(rows)

            header = {"descr": npy.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
            with writing(file, needed):
                npy.write_array_header_1_0(opened, header)
            yield write
            if written != shape[0]:
                raise ValueError(f"{file} was to have {shape[0]} rows, it got {written}")
            with writing(file, needed):
                os.fsync(opened.fileno())
        partial.replace(file)
    finally:
        with suppress(OSError):
            partial.unlink()
