"""Export a feature store to a single file in a common format."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import save_file

from seqff.errors import RunError
from seqff.features.store import FeatureStore
from seqff.files import check_file, in_place
from seqff.terminal import printable

_GROUP_BYTES = 2**26


def export(
    features: str | os.PathLike[str] | FeatureStore,
    *,
    out: str | os.PathLike[str],
    arrays: Sequence[str] = (),
    overwrite: bool = False,
) -> Path:
    """Write a feature store to one file, in the format given by its extension.

    In each format, arrays keep their names ("layer1", "untrained/layer1", "pixels") and dtypes, and the index is
    included:

    - `.npz`: index/video, index/frame, index/frames, index/time_seconds, and the text of meta.json as `meta`.
    - `.safetensors`: the same, except that index/video are line numbers in `videos` (one path per line) in the file's
      metadata, which also holds `meta`. The file is assembled in memory.
    - `.parquet` (needs pyarrow): columns video, frame, frames, time_seconds, and one fixed-size list per array; `meta`
      is in the schema's metadata.

    Args:
        features: a store, or its folder.
        out: file to write.
        arrays: arrays to export; none means all.
        overwrite: replace an existing file.

    Returns:
        The path of the file.

    Raises:
        ValueError: unsupported extension, or an array that the store does not have.
        RunError: the file exists or cannot be written, there is no store, or pyarrow is not installed.
    """
    file = check_file(Path(out), list(WRITERS), overwrite=overwrite)
    store = features if isinstance(features, FeatureStore) else FeatureStore.open(features)
    chosen = {name: store.array(name) for name in arrays or store.names}
    with in_place(file, sum(values.nbytes for values in chosen.values())) as partial:
        WRITERS[file.suffix.lower()](store, chosen, partial)
    return file


Arrays = dict[str, NDArray[np.floating]]


def _index(store: FeatureStore) -> dict[str, NDArray[Any]]:
    index = store.index
    return {"frame": index.frame, "frames": index.frames, "time_seconds": index.time_seconds}


def _write_npz(store: FeatureStore, arrays: Arrays, file: Path) -> None:
    index = {"video": np.array(store.index.video), **_index(store)}
    facts = {f"index/{name}": values for name, values in index.items()}
    with file.open("wb") as opened:
        np.savez(opened, **arrays, **facts, meta=np.array(json.dumps(store.meta)))  # type: ignore[arg-type]


def _write_safetensors(store: FeatureStore, arrays: Arrays, file: Path) -> None:
    paths = [video.path for video in store.videos]
    place = {path: number for number, path in enumerate(paths)}
    video = np.array([place[path] for path in store.index.video], dtype=np.int64)
    tensors = {f"index/{name}": values for name, values in {"video": video, **_index(store)}.items()}
    metadata = {"videos": "\n".join(map(printable, paths)), "meta": json.dumps(store.meta)}
    try:
        save_file({**tensors, **{name: np.array(values) for name, values in arrays.items()}}, file, metadata)
    except SafetensorError as error:  # its message contains the system's error
        if number := re.search(r"os error (\d+)", str(error)):
            raise OSError(int(number[1]), os.strerror(int(number[1]))) from error
        raise


def _write_parquet(store: FeatureStore, arrays: Arrays, file: Path) -> None:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise RunError("parquet files need pyarrow: pip install 'seqff[parquet]'") from error
    facts = _index(store)
    types = [("video", pyarrow.string())] + [(name, pyarrow.from_numpy_dtype(x.dtype)) for name, x in facts.items()]
    types += [(name, pyarrow.list_(pyarrow.from_numpy_dtype(x.dtype), x.shape[1])) for name, x in arrays.items()]
    schema = pyarrow.schema(types, metadata={"meta": json.dumps(store.meta)})
    bytes_a_row = sum(values.shape[1] * values.itemsize for values in arrays.values())
    at_a_time = max(1, _GROUP_BYTES // max(bytes_a_row, 1))
    with parquet.ParquetWriter(file, schema) as writer:
        for start in range(0, len(store), at_a_time):
            rows = slice(start, start + at_a_time)
            names = [printable(path) for path in store.index.video[rows]]
            columns = [pyarrow.array(names)] + [pyarrow.array(x[rows]) for x in facts.values()]
            columns += [
                pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(x[rows].ravel()), x.shape[1])
                for x in arrays.values()
            ]
            writer.write_table(pyarrow.Table.from_arrays(columns, schema=schema))


WRITERS: dict[str, Callable[[FeatureStore, Arrays, Path], None]] = {
    ".npz": _write_npz,
    ".safetensors": _write_safetensors,
    ".parquet": _write_parquet,
}
