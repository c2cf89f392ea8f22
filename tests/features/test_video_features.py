"""VideoFeatures: the rows of an extraction, in scikit-learn pipelines."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import seqff
from seqff import VideoFeatures
from seqff.config import EncoderConfig, ObjectiveConfig, PairsConfig, TrainConfig
from seqff.errors import SeqffError
from seqff.features import FeatureStore
from seqff.video import Manifest

CONFIG = TrainConfig(
    steps=3,
    encoder=EncoderConfig(widths=(4, 6), kernels=(5, 3), strides=(2, 1), pools=(1, 1)),
    pairs=PairsConfig(
        size_px=32, gap=1, far=2, videos_per_batch=2, clips_per_video=2, batches_per_visit=2, buffer_videos=4
    ),
    objective=ObjectiveConfig(head_out=4),
)


@pytest.fixture
def paths(clips: Path) -> list[str]:
    """The five clips of the store."""
    manifest = Manifest.load(clips)
    return [str(manifest.path(entry)) for entry in manifest.entries]


@pytest.mark.parametrize(("layer", "name"), [(0, "layer1"), (-1, "layer2"), ("layer1", "layer1")])
def test_rows_are_those_of_an_extraction(
    run: Path, whole: FeatureStore, paths: list[str], layer: int | str, name: str
) -> None:
    """One row a path, in the order of the paths, one given twice twice, with the bits that `extract` stores."""
    features = VideoFeatures(run, layer=layer, device="cpu", batch_frames=8).fit(paths)
    order = [3, 0, 3, 4, 1, 2]
    found = features.transform([paths[place] for place in order])
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, whole.to_numpy(name)[order])
    assert list(features.get_feature_names_out()[:2]) == [f"{name}/0", f"{name}/1"]
    assert len(features.get_feature_names_out()) == found.shape[1]


def test_it_takes_an_encoder_and_leaves_it_as_it_is(run: Path, whole: FeatureStore, paths: list[str]) -> None:
    """An encoder in training mode gives the same rows, and stays in it: features come from a copy in eval mode."""
    encoder = seqff.load(run).train()
    found = VideoFeatures(encoder, device="cpu", batch_frames=8).fit_transform(paths)
    np.testing.assert_array_equal(found, whole.to_numpy("layer2"))
    assert all(part.training for part in encoder.modules())


def test_its_settings_are_scikit_learns(run: Path, paths: list[str]) -> None:
    """get_params, set_params and clone know all settings; a clone is not fitted; statistics and grid set the width."""
    features = VideoFeatures(run, layer=0, statistics=("mean",), grid=1, device="cpu").fit(paths)
    copy = clone(features)
    assert copy.get_params() == features.get_params()
    with pytest.raises(NotFittedError):
        copy.transform(paths)
    assert copy.set_params(layer=1).fit(paths).transform(paths[:2]).shape == (2, 6)


def test_it_stands_in_a_pipeline(run: Path, paths: list[str]) -> None:
    """Paths in, labels out."""
    labels = [Path(path).parent.name for path in paths]
    pipeline = make_pipeline(VideoFeatures(run, device="cpu"), StandardScaler(), LogisticRegression())
    assert list(pipeline.fit(paths, labels).predict(np.array(paths))) == labels


def test_without_an_encoder_each_fold_trains_its_own(paths: list[str]) -> None:
    """fit trains on the videos it is given, by the seed; a cross-validation scores every fold; nothing is left on
    disk that the encoder needs."""
    features = VideoFeatures(config=CONFIG, device="cpu", seed=4)
    labels = np.array([0, 1, 0, 1])
    videos = [path for path in paths if not path.endswith("d.avi")]  # which has two frames
    first, again = (clone(features).fit(videos) for _ in range(2))
    np.testing.assert_array_equal(first.transform(videos), again.transform(videos))
    scores = cross_val_score(make_pipeline(features, LogisticRegression()), np.array(videos), labels, cv=2)
    assert np.isfinite(scores).all()


def test_what_it_cannot_take_is_said(run: Path, paths: list[str], tmp_path: Path) -> None:
    """One path instead of a list, no such layer, a file that is no video."""
    with pytest.raises(ValueError, match="X must be a list of paths"):
        VideoFeatures(run).fit(paths[0])
    with pytest.raises(ValueError, match=r"layer is 'layer9'; this encoder has layer1, layer2 \(0\.\.1"):
        VideoFeatures(run, layer="layer9", device="cpu").fit(paths)
    (tmp_path / "broken.avi").write_bytes(b"no video")
    with pytest.raises(SeqffError, match=r"broken\.avi"):
        VideoFeatures(run, device="cpu").fit(paths).transform([*paths, str(tmp_path / "broken.avi")])
