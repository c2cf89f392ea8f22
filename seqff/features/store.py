"""A feature store: a folder with one array per layer, an index of their rows, and their provenance."""

from __future__ import annotations

import difflib
import os
import sys
from array import array as numbers
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from seqff.display import html_table, import_pandas
from seqff.errors import RunError
from seqff.features.parts import writing_array
from seqff.files import read_csv, read_json, rows_of_csv, whole_folder, write_csv, write_json
from seqff.terminal import counted
from seqff.untrusted import check_inside, check_plain, open_plain
from seqff.video.arrays import parse_header

if TYPE_CHECKING:
    import pandas

META = "meta.json"
FORMAT = "seqff-features"
FORMAT_VERSION = 1


@dataclass(frozen=True, slots=True)
class StoredVideo:
    """A video in the store: POSIX path relative to the folder of videos, content hash, number of frames."""

    path: str
    content_hash: str
    frames: int


@dataclass(frozen=True)
class FeatureIndex:
    """The origin of each row of the arrays.

    Args:
        video: (rows,) path of the row's video.
        frame: (rows,) int64, first frame of the row.
        frames: (rows,) int64, number of frames pooled into the row.
        time_seconds: (rows,) float64, presentation time of the first frame.
    """

    video: tuple[str, ...]
    frame: NDArray[np.int64]
    frames: NDArray[np.int64]
    time_seconds: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.video)


class FeatureStore:
    """Features on disk, read lazily. `extract` makes stores; `FeatureStore.open` opens them.

    Args:
        path: the folder. Its store only has to be finished when something is read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> FeatureStore:
        """Open a store; only its meta.json is read.

        Raises:
            RunError: there is no store, or it is unfinished or of a newer format.
        """
        store = cls(Path(path))
        _ = store.meta
        return store

    @property
    def finished(self) -> bool:
        """Whether the store is complete."""
        return (self.path / META).is_file()

    @cached_property
    def meta(self) -> dict[str, Any]:
        """Content of meta.json: encoder and transform hashes, settings, versions, the videos trained on.

        Raises:
            RunError: as in `open`.
        """
        folder = self.path
        if not self.finished:
            unfinished = (folder / "settings.json").exists()
            why = "its extraction has not finished; extract again with resume" if unfinished else f"it has no {META}"
            raise RunError(f"{folder} is no feature store: {why if folder.is_dir() else 'no such folder'}")
        check_plain(folder)
        meta = read_json(folder / META)
        if meta.get("format") != FORMAT or meta.get("format_version") != FORMAT_VERSION:
            found = f"{meta.get('format')} {meta.get('format_version')}"
            raise RunError(f"{folder}/{META} says format {found}, expected {FORMAT} {FORMAT_VERSION}; extract again")
        try:
            _check_meta(meta)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise RunError(f"{folder}/{META} is damaged ({error}); extract again") from error
        return meta

    def __repr__(self) -> str:
        if not self.finished:
            return f"FeatureStore({str(self.path)!r}, not finished)"
        widths = ", ".join(f"{name} {entry['width']}" for name, entry in self.meta["arrays"].items())
        return f"FeatureStore({str(self.path)!r}, {len(self)} rows per {self.per}, widths: {widths})"

    def __len__(self) -> int:
        return int(self.meta["rows"])

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the arrays: "layer1", ..., "untrained/layer1", ..., "pixels"."""
        return tuple(self.meta["arrays"])

    @property
    def per(self) -> str:
        """What a row is: a "video", a "clip" (window of frames) or a "frame"."""
        return str(self.meta["per"])

    @property
    def trained_on(self) -> frozenset[str] | None:
        """Content hashes of the videos that the encoder was trained on; None if unknown."""
        hashes = self.meta.get("trained_on")
        return None if hashes is None else frozenset(hashes)

    @cached_property
    def index(self) -> FeatureIndex:
        """The origin of the rows, in order: videos sorted by path, frames by time."""
        video, frame, frames, times = list[str](), numbers("q"), numbers("q"), numbers("d")
        with self._reading("index.csv"):
            for row in rows_of_csv(self.path / "index.csv"):
                video.append(sys.intern(row["video"]))
                frame.append(int(row["frame"]))
                frames.append(int(row["frames"]))
                times.append(float(row["time_seconds"]))
            if len(video) != len(self):
                raise ValueError(f"{len(video)} rows, {META} says {len(self)}")
            return FeatureIndex(tuple(video), *(np.array(column) for column in (frame, frames, times)))

    @contextmanager
    def _reading(self, name: str) -> Iterator[None]:
        """Raise RunError if a table has unexpected content."""
        try:
            yield
        except (KeyError, ValueError, OverflowError) as error:
            raise RunError(f"{self.path / name} is damaged ({error}); extract again") from error

    @cached_property
    def videos(self) -> tuple[StoredVideo, ...]:
        """The videos that have rows, in row order."""
        with self._reading("videos.csv"):
            rows = rows_of_csv(self.path / "videos.csv")
            return tuple(StoredVideo(row["video"], row["content_hash"], int(row["frames"])) for row in rows)

    @cached_property
    def skipped(self) -> dict[str, str]:
        """Videos without rows, and the cause."""
        with self._reading("skipped.csv"):
            return {row["video"]: row["cause"] for row in read_csv(self.path / "skipped.csv")}

    def name_of(self, array: str | int) -> str:
        """Return the name of an array given by name, or by the index of its layer (0 is the first, -1 the last).

        Raises:
            ValueError: there is no such array or layer.
        """
        layers = [name for name in self.names if "/" not in name and name != "pixels"]
        if isinstance(array, str) and array in self.meta["arrays"]:
            return array
        if not isinstance(array, str) and -len(layers) <= array < len(layers):
            return layers[array]
        near = difflib.get_close_matches(str(array), self.names, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"no array {array!r} in {self.path}; it has {', '.join(self.names)}{hint}")

    def array(self, name: str | int) -> NDArray[np.floating]:
        """Memory-map an array read-only; data is read on access.

        Args:
            name: one of `names`, or the index of a layer (0 is the first, -1 the last).

        Returns:
            (rows, D) float32, or float16 if it was stored so.

        Raises:
            ValueError: there is no such array.
            RunError: the file is missing or damaged.
        """
        name = self.name_of(name)
        file = self.path / "arrays" / f"{name}.npy"
        try:
            with open_plain(file) as opened:
                parse_header(opened)
            values: NDArray[np.floating] = np.load(file, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, OverflowError) as error:
            raise RunError(f"{file} cannot be read ({error}); extract again") from error
        expected = (len(self), self.meta["arrays"][name]["width"])
        if values.shape != expected or values.dtype.kind != "f":
            raise RunError(f"{file} has shape {values.shape}, expected {expected} of floats; extract again")
        return values

    def to_numpy(self, name: str | int) -> NDArray[np.float32]:
        """Read an array into memory.

        Args:
            name: one of `names`, or the index of a layer.

        Returns:
            (rows, D) float32, a copy.
        """
        return np.array(self.array(name), dtype=np.float32)

    def _repr_html_(self) -> str:
        """The arrays as an HTML table, for notebooks."""
        if not self.finished:
            return html_table(repr(self), [()])
        rows = [(name, entry["width"]) for name, entry in self.meta["arrays"].items()]
        title = f"{self.path}: {len(self)} rows, one a {self.per}"
        return html_table(
            title, [("array", "width"), *rows], [f"{counted(len(self.skipped), 'video')} skipped"] * bool(self.skipped)
        )

    def to_frame(self, *names: str | int) -> pandas.DataFrame:
        """Read arrays and the index into a pandas DataFrame.

        Args:
            names: arrays (see `array`); none means all. Wide arrays make a wide table.

        Returns:
            Columns video, frame, frames, time_seconds, and one per feature, named "layer1/0", "layer1/1", ...

        Raises:
            RunError: pandas is not installed.
        """
        pandas, index = import_pandas(), self.index
        facts = {"video": index.video, "frame": index.frame, "frames": index.frames, "time_seconds": index.time_seconds}
        tables = [pandas.DataFrame(facts)]
        for name in map(self.name_of, names or self.names):
            values = self.to_numpy(name)
            tables.append(pandas.DataFrame(values, columns=[f"{name}/{column}" for column in range(values.shape[1])]))
        return pandas.concat(tables, axis=1)


def _check_meta(meta: Mapping[str, Any]) -> None:
    """Raise KeyError, TypeError or ValueError if an entry of meta.json is missing or wrong, or a name unsafe."""
    counts = [meta["rows"], *(entry["width"] for entry in meta["arrays"].values())]
    if not isinstance(meta["per"], str) or any(type(count) is not int or count < 0 for count in counts):
        raise ValueError("rows and widths must be whole numbers from 0")
    hashes = meta.get("trained_on")
    if hashes is not None and not (isinstance(hashes, list) and all(isinstance(one, str) for one in hashes)):
        raise ValueError("trained_on must be a list of hashes")
    if not all(isinstance(meta.get(name) or {}, dict) for name in ("encoder", "network")):
        raise ValueError("encoder and network must say of which encoder")
    for name in meta["arrays"]:
        check_inside(name)


def write_tables(folder: Path, videos: Iterable[StoredVideo], index: FeatureIndex, skipped: Mapping[str, str]) -> None:
    """Write index.csv, videos.csv and skipped.csv of a store."""
    rows = zip(index.video, index.frame.tolist(), index.frames.tolist(), index.time_seconds.tolist(), strict=True)
    write_csv(folder / "index.csv", ("video", "frame", "frames", "time_seconds"), rows)
    lines = ((video.path, video.content_hash, video.frames) for video in videos)
    write_csv(folder / "videos.csv", ("video", "content_hash", "frames"), lines)
    write_csv(folder / "skipped.csv", ("video", "cause"), sorted(skipped.items()))


def write_meta(folder: Path, meta: Mapping[str, Any]) -> None:
    """Write meta.json, the last file of a store: its presence marks the store as complete."""
    write_json(folder / META, {"format": FORMAT, "format_version": FORMAT_VERSION, **meta})


def write_store(
    path: str | os.PathLike[str],
    arrays: Mapping[str, NDArray[np.floating]],
    *,
    videos: Sequence[StoredVideo],
    index: FeatureIndex | None = None,
    per: str = "video",
    trained_on: Sequence[str] | None = None,
    skipped: Mapping[str, str] | None = None,
) -> FeatureStore:
    """Write features computed elsewhere (another network, a formula) as a store, so that they can be probed.

    Args:
        path: a folder that does not exist yet.
        arrays: (rows, D) each; the names "untrained/..." and "pixels" mark baselines.
        videos: the videos of the rows.
        index: the origin of the rows; None if row i is video i.
        per: "video", "clip" or "frame".
        trained_on: content hashes of the videos the features were learned from; None if unknown.
        skipped: videos without rows, and the cause.

    Raises:
        ValueError: an array does not have one row per entry of the index.
        RunError: the folder exists.
    """
    folder = Path(path)
    if folder.exists():
        raise RunError(f"{folder} exists already; give another folder")
    if index is None:
        frames = np.array([video.frames for video in videos], dtype=np.int64)
        start = np.zeros(len(videos), dtype=np.int64)
        index = FeatureIndex(tuple(video.path for video in videos), start, frames, start.astype(np.float64))
    for name, array in arrays.items():
        if array.ndim != 2 or len(array) != len(index):
            raise ValueError(f"array {name!r} has shape {array.shape}; expected ({len(index)}, D)")
    with whole_folder(folder):
        for name, array in arrays.items():
            file = folder / "arrays" / f"{name}.npy"
            file.parent.mkdir(parents=True, exist_ok=True)
            with writing_array(file, (len(array), array.shape[1]), np.dtype(np.float32)) as write:
                write(array)
        write_tables(folder, videos, index, skipped or {})
        entries = {name: {"width": array.shape[1]} for name, array in arrays.items()}
        trained = None if trained_on is None else sorted(trained_on)
        write_meta(folder, {"per": per, "rows": len(index), "arrays": entries, "trained_on": trained})
    return FeatureStore.open(folder)
