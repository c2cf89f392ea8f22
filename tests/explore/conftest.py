"""A store with known answers, and stores of real clips by a small net."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from helpers.extracting import take

from seqff.config import EncoderConfig
from seqff.features import FeatureIndex, FeatureStore, StoredVideo, write_store
from seqff.nets import build_encoder, save_encoder
from seqff.probes import probe
from seqff.transform import FrameTransform

FPS, FRAMES = 10, 60
STATES = {"a/one.avi": "xyz", "a/two.avi": "zxy", "b/one.avi": "yyx", "b/three.avi": "xzx", "c/copy.avi": "xyz"}
"""What each third of a video shows; the last video is a copy of the first."""

MakeStates = Callable[..., FeatureStore]


@pytest.fixture
def make_states(tmp_path: Path) -> MakeStates:
    """A store with a row a frame: each state has a direction of its own, on top of a mean that all share."""

    def make(*, noise: float = 0.3, shared: float = 20.0, per: str = "frame", seed: int = 0) -> FeatureStore:
        rng = np.random.default_rng(seed)
        direction = {state: 4 * rng.normal(size=8) for state in "xyz"}
        rows, video, frame = [], [], []
        for name, states in STATES.items():
            if name == "c/copy.avi":
                rows += rows[:FRAMES]
            else:
                for state in np.repeat(list(states), FRAMES // len(states)):
                    rows.append(direction[state] + shared + noise * rng.normal(size=8))
            video += [name] * FRAMES
            frame += list(range(FRAMES))
        x, number = np.array(rows), np.array(frame)
        index = FeatureIndex(tuple(video), number, np.ones_like(number), number / FPS)
        videos = [StoredVideo(name, "same" if name in ("a/one.avi", "c/copy.avi") else name, FRAMES) for name in STATES]
        arrays = {
            "layer1": x,
            "layer2": x,
            "untrained/layer1": rng.normal(size=x.shape),
            "pixels": np.ones((len(x), 3)),
        }
        path = tmp_path / f"states{len(list(tmp_path.iterdir()))}"
        if per == "video":
            means = {key: array.reshape(len(STATES), FRAMES, -1).mean(axis=1) for key, array in arrays.items()}
            return write_store(path, means, videos=videos)
        return write_store(path, arrays, videos=videos, index=index, per=per)

    return make


@pytest.fixture
def states(make_states: MakeStates) -> FeatureStore:
    """One of those."""
    return make_states()


@pytest.fixture(scope="session")
def net(tmp_path_factory: pytest.TempPathFactory, manifest: Path) -> Path:
    """A run with random weights, of the clips."""
    folder = tmp_path_factory.mktemp("net")
    config = EncoderConfig(widths=(4, 6), kernels=(3, 3), strides=(1, 1), pools=(2, 2))
    save_encoder(build_encoder(config, FrameTransform(32, 32), seed=1), folder, untrained=True)
    save_encoder(build_encoder(config, FrameTransform(32, 32), seed=2), folder)
    (folder / "manifest.json").write_bytes(manifest.read_bytes())
    return folder


@pytest.fixture(scope="session")
def by_frame(net: Path, manifest: Path, tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    """Features of the clips, a row a frame."""
    return take(net, manifest, tmp_path_factory.mktemp("features") / "frames", per="frame", baselines=())


@pytest.fixture(scope="session")
def by_clip(net: Path, manifest: Path, tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    """A row a clip of 4 frames, every 2 frames."""
    options = {"per": "clip", "clip_frames": 4, "clip_stride": 2, "baselines": ()}
    return take(net, manifest, tmp_path_factory.mktemp("features") / "clips", **options)


@pytest.fixture(scope="session")
def by_video(net: Path, manifest: Path, tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    """A row a video."""
    return take(net, manifest, tmp_path_factory.mktemp("features") / "videos")


@pytest.fixture(scope="session")
def probed(by_video: FeatureStore, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A probe of those."""
    folder = tmp_path_factory.mktemp("probe") / "videos"
    probe(by_video, labels="folder", folds=2, out=folder, progress=False)
    return folder
