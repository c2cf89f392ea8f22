"""A few real clips and a run with two small encoders."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from helpers.extracting import take

from seqff.config import EncoderConfig
from seqff.features import FeatureStore
from seqff.nets import build_encoder, save_encoder
from seqff.transform import FrameTransform
from seqff.video import scan

FRAMES = {"run/a.avi": 21, "run/b.avi": 8, "walk/c.avi": 30, "walk/d.avi": 2, "walk/e.avi": 17}


def write_clip(path: Path, frames: int, seed: int) -> None:
    """A texture that drifts, as MPEG-4 in AVI, 48 x 60 px."""
    rng = np.random.default_rng(seed)
    texture = np.kron(rng.integers(0, 255, (16, 40, 3)), np.ones((4, 4, 1))).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("mpeg4", rate=25)
        stream.height, stream.width, stream.pix_fmt = 48, 60, "yuv420p"
        for number in range(frames):
            image = np.ascontiguousarray(texture[:48, number : number + 60])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Threads cost more than they save on nets this small."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Manifest of five clips in two folders; it lies beside the folder `videos`."""
    folder = tmp_path_factory.mktemp("clips")
    for seed, (name, frames) in enumerate(FRAMES.items()):
        write_clip(folder / "videos" / name, frames, seed)
    scan(folder / "videos", out=folder / "manifest.json", workers=1, progress=False)
    return folder / "manifest.json"


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory, clips: Path) -> Path:
    """A run folder with a "trained" and an untrained encoder of other weights, trained on the clips."""
    folder = tmp_path_factory.mktemp("run")
    config, transform = (
        EncoderConfig(widths=(4, 6), kernels=(3, 3), strides=(1, 1), pools=(2, 2)),
        FrameTransform(32, 48),
    )
    save_encoder(build_encoder(config, transform, seed=1), folder, untrained=True)
    save_encoder(build_encoder(config, transform, seed=2), folder)
    (folder / "manifest.json").write_bytes(clips.read_bytes())
    return folder


@pytest.fixture(scope="session")
def whole(run: Path, clips: Path, tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    """An extraction nothing happened to."""
    return take(run, clips, tmp_path_factory.mktemp("whole") / "store")


@pytest.fixture(scope="session")
def whole_by_frame(run: Path, clips: Path, tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    """The same with a row a frame."""
    return take(run, clips, tmp_path_factory.mktemp("whole") / "store", per="frame")
