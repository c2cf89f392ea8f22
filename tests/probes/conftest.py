"""Small stores with known answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from seqff.features import FeatureIndex, FeatureStore, StoredVideo, write_store

MakeStore = Callable[..., FeatureStore]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Threads cost more than they save on matrices this small."""
    with threadpool_limits(limits=1):
        yield


@pytest.fixture
def make_store(tmp_path: Path) -> MakeStore:
    """A store of `classes` x `subjects` videos, class/subject_class.avi; `signal` is what a class shifts layer1 by."""

    def make(
        *,
        classes: int = 3,
        subjects: int = 6,
        frames: int = 0,
        signal: float = 3.0,
        seed: int = 0,
        names_kept: tuple[str, ...] = ("layer1", "untrained/layer1", "pixels"),
    ) -> FeatureStore:
        rng = np.random.default_rng(seed)
        names = [f"class{c}/subject{s}_class{c}.avi" for c in range(classes) for s in range(subjects)]
        videos = [StoredVideo(name, f"hash-{name}", max(frames, 1)) for name in names]
        label = np.repeat(np.arange(classes), subjects)
        rows = np.repeat(np.arange(len(names)), max(frames, 1))
        centre = rng.normal(size=(classes, 24))
        noise = rng.normal(size=(len(names), 24))[rows] + 0.1 * rng.normal(size=(len(rows), 24))
        arrays = {
            "layer1": signal * centre[label[rows]] + noise,
            "untrained/layer1": 0.3 * signal * centre[label[rows]] + noise,
            "pixels": noise,
        }
        arrays = {name: arrays[name] for name in names_kept}
        index = None
        if frames:
            frame = np.tile(np.arange(frames), len(names))
            index = FeatureIndex(tuple(names[r] for r in rows), frame, np.ones_like(frame), frame / 25)
        path = tmp_path / f"store{len(list(tmp_path.iterdir()))}"
        hashes = [video.content_hash for video in videos]
        per = "frame" if frames else "video"
        return write_store(path, arrays, videos=videos, index=index, per=per, trained_on=hashes)

    return make
