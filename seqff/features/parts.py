"""Finished videos of an extraction that is under way: one file each, whole or not there at all."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from seqff.features.describe import Columns


class Parts:
    """The folder `parts` of an unfinished store.

    A part holds all arrays of one video side by side, (rows, width) float32: one row a frame, or the rows of
    `temporal_pool` for a video. Copies of a video share a part, as it is named by content.

    Args:
        folder: where the parts are; created.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)

    def path(self, content_hash: str) -> Path:
        """File of the video with this content."""
        return self.folder / f"{content_hash}.npy"

    def done(self, content_hash: str) -> bool:
        """Whether the video is finished."""
        return self.path(content_hash).exists()

    @contextmanager
    def writing(self, content_hash: str, shape: tuple[int, int]) -> Iterator[NDArray[np.float32]]:
        """Give an array on disk to fill; it becomes the video's part when the block ends without an error."""
        final = self.path(content_hash)
        partial = final.with_suffix(".partial")
        try:
            array = open_memmap(partial, mode="w+", dtype=np.float32, shape=shape)
            yield array
            array.flush()
            del array
            partial.replace(final)
        finally:
            partial.unlink(missing_ok=True)

    def join(
        self,
        content_hashes: Sequence[str],
        rows: Sequence[int],
        columns: Mapping[str, Columns],
        out: Path,
        *,
        stacked: int = 1,
    ) -> None:
        """Write one array file a layer from the parts of all videos.

        Args:
            content_hashes: of the videos, in the order of the rows.
            rows: rows of each video in the arrays.
            columns: where each array stands in a part.
            out: folder for the files, `out/<name>.npy`.
            stacked: rows of a part that make one row of an array, laid side by side.
        """
        for name, place in columns.items():
            file = out / f"{name}.npy"
            file.parent.mkdir(parents=True, exist_ok=True)
            partial = file.with_suffix(".partial")
            array = open_memmap(partial, mode="w+", dtype=np.float32, shape=(sum(rows), place.width * stacked))
            start = 0
            for content_hash, count in zip(content_hashes, rows, strict=True):
                part = np.load(self.path(content_hash), mmap_mode="r", allow_pickle=False)
                array[start : start + count] = part[:, place.start : place.stop].reshape(count, -1)
                start += count
            array.flush()
            del array
            partial.replace(file)

    def remove(self) -> None:
        """Delete the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)
