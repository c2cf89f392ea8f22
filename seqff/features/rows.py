"""From descriptions of frames, as they come, to rows of the store."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from seqff.errors import RunError
from seqff.features.describe import Columns
from seqff.features.pooling import RunningStatistics, temporal_pool
from seqff.features.sampling import Sampling

Rows = NDArray[np.float32]
DTYPES = {"fp32": np.float32, "fp16": np.float16}


class RowMaker:
    """Makes rows of a video's frames; holds a window of frames at most, and of a whole video only sums (in float64).

    Args:
        columns: where each array stands in the description of a frame.
        sampling: what a row is made of.
        dtype: "fp32" or "fp16", how rows are stored.

    Attributes:
        columns: where each array stands in a row: its statistics side by side, each as wide as in a frame.
        width: of a row.
        dtype: of a row.
    """

    def __init__(self, columns: Mapping[str, Columns], sampling: Sampling, dtype: str) -> None:
        if dtype not in DTYPES:
            raise ValueError(f"dtype is {dtype!r}; choose from {', '.join(DTYPES)}")
        times = max(len(sampling.pooled), 1)
        self._of_frame = dict(columns)
        self._sampling = sampling
        self.columns = {
            name: Columns(place.start * times, place.stop * times, place.channels, place.cells)
            for name, place in columns.items()
        }
        self.width = max(place.stop for place in self.columns.values())
        self.dtype = np.dtype(DTYPES[dtype])

    def __call__(self, described: Iterable[Rows]) -> Iterator[NDArray[np.floating]]:
        """Yield the rows of one video as soon as they can be made.

        Args:
            described: (n, D) float32 each, the frames taken, in order.

        Yields:
            (rows, width) of the store's dtype.

        Raises:
            RunError: a value is too large for fp16.
        """
        per = self._sampling.per
        rows = described if per == "frame" else self._clips(described) if per == "clip" else self._video(described)
        return map(self._stored, rows)

    def _video(self, described: Iterable[Rows]) -> Iterator[Rows]:
        statistics = RunningStatistics()
        for rows in described:
            statistics.update(rows)
        yield self._side_by_side(statistics.result())

    def _clips(self, described: Iterable[Rows]) -> Iterator[Rows]:
        """Pool each window by itself, over the same frames however they were batched."""
        length, stride = self._sampling.clip_frames, self._sampling.clip_stride or self._sampling.clip_frames
        held: Rows | None = None  # from the first frame of the next window on
        skip, found = 0, False
        for rows in described:
            held = rows[skip:] if held is None else np.concatenate([held, rows[skip:]])
            skip = max(skip - len(rows), 0)
            while len(held) >= length:
                yield self._side_by_side(temporal_pool(held[:length]))
                found, skip, held = True, max(stride - len(held), 0), held[stride:]
        if held is not None and not found:
            yield self._side_by_side(temporal_pool(held))

    def _side_by_side(self, statistics: Rows) -> Rows:
        """Turn (3, D) statistics into the (1, width) row that holds those asked for, array by array."""
        kept = statistics[list(self._sampling.pooled)]
        row: Rows = np.concatenate([kept[:, place.start : place.stop].ravel() for place in self._of_frame.values()])
        return row[None]

    def _stored(self, rows: Rows) -> NDArray[np.floating]:
        if self.dtype == np.float32:
            return rows
        with np.errstate(over="ignore"):
            stored: NDArray[np.floating] = rows.astype(self.dtype)
        lost = np.isinf(stored) & np.isfinite(rows)
        if lost.any():
            column = int(np.argmax(lost.any(axis=0)))
            name = next(name for name, place in self.columns.items() if column < place.stop)
            largest = float(np.abs(rows[lost]).max())
            raise RunError(f"{name} has values up to {largest:g}, fp16 holds no more than 65504; extract with fp32")
        return stored
