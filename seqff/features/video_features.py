"""Features of whole videos as a scikit-learn transformer."""

from __future__ import annotations

import copy
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from seqff.config import TrainConfig
from seqff.devices import choose_device
from seqff.features.decoding import decode_videos
from seqff.features.describe import FrameDescriber
from seqff.features.pooling import STATISTICS, Grid
from seqff.features.sampling import RowMaker, Sampling
from seqff.nets import Encoder, load_encoder
from seqff.train import train
from seqff.video import scan

Paths = Sequence[str | os.PathLike[str]]


class VideoFeatures(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Transforms paths of videos into one row of features per video, those of `extract` with `per="video"`.

    Without an encoder, `fit` trains one on the given videos, without labels, so that in a cross-validation no fold's
    encoder has seen its test videos. With an encoder, `fit` learns nothing.

    Example:
        make_pipeline(VideoFeatures("runs/first", layer=2), StandardScaler(), LogisticRegression()).fit(paths, labels)

    Args:
        encoder: a run folder, the folder of a pretrained encoder, or an `Encoder`; None trains one.
        layer: layer whose features are returned: its index (-1 is the last) or its name.
        config: training settings; None for the defaults.
        grid: cells per side that a map is averaged over, or "full".
        every: use every n-th frame.
        statistics: statistics over the frames of a video: any of "mean", "std" and "mean_abs_difference".
        batch_frames: frames per forward pass; bounds the memory.
        workers: number of decoding threads.
        device: "auto", "cpu" or "cuda".
        seed: seed of the training.
        progress: show progress bars if stderr is a terminal.

    Attributes:
        encoder_: the encoder used by `transform`, in eval mode.
    """

    encoder_: Encoder

    def __init__(
        self,
        encoder: str | os.PathLike[str] | Encoder | None = None,
        *,
        layer: int | str = -1,
        config: TrainConfig | None = None,
        grid: Grid = 2,
        every: int = 1,
        statistics: Sequence[str] = STATISTICS,
        batch_frames: int = 64,
        workers: int = 1,
        device: str = "auto",
        seed: int = 0,
        progress: bool = False,
    ) -> None:
        self.encoder = encoder
        self.layer = layer
        self.config = config
        self.grid = grid
        self.every = every
        self.statistics = statistics
        self.batch_frames = batch_frames
        self.workers = workers
        self.device = device
        self.seed = seed
        self.progress = progress

    def fit(self, X: Paths, y: object = None) -> VideoFeatures:
        """Train an encoder on videos, or load the given one.

        Args:
            X: (n,) paths of videos.
            y: ignored.

        Raises:
            ValueError: X is not a list of paths, there is no such layer, or the settings are invalid.
            SeqffError: a video or the encoder cannot be read.
        """
        del y
        paths = _paths(X)
        if isinstance(self.encoder, Encoder):
            self.encoder_ = copy.deepcopy(self.encoder).eval()
        elif self.encoder is not None:
            self.encoder_ = load_encoder(self.encoder)
        else:
            options: dict[str, Any] = {"seed": self.seed, "device": self.device, "progress": self.progress}
            with tempfile.TemporaryDirectory(prefix="seqff-") as folder:
                run = train(sorted(set(paths)), out=Path(folder) / "run", config=self.config, max_bad=0.0, **options)
            self.encoder_ = run.encoder
        self._columns()
        return self

    def transform(self, X: Paths) -> NDArray[np.float32]:
        """Compute features of videos.

        Args:
            X: (n,) paths of videos.

        Returns:
            (n, D) float32, one row per path, in order.

        Raises:
            NotFittedError: `fit` was not called.
            ValueError: X is not a list of paths.
            SeqffError: a video cannot be read.
        """
        check_is_fitted(self, "encoder_")
        paths = _paths(X)
        manifest = scan(sorted(set(paths)), max_bad=0.0, progress=self.progress)
        sampling = Sampling(every=self.every, statistics=tuple(self.statistics), batch_frames=self.batch_frames)
        describer, name = self._describer()
        rows = RowMaker(describer.columns, sampling, "fp32")
        columns = slice(rows.columns[name].start, rows.columns[name].stop)
        found: dict[Path, NDArray[np.floating]] = {}
        decoded = decode_videos(manifest.root, manifest.usable, sampling, describer.transform, workers=self.workers)
        for entry, batches in decoded:
            (row,) = rows(map(describer, batches))
            found[manifest.path(entry).resolve()] = row[0, columns]
        return np.stack([found[path.resolve()] for path in paths]).astype(np.float32)

    def get_feature_names_out(self, input_features: object = None) -> NDArray[np.object_]:
        """Names of the columns: "layer3/0", "layer3/1", ..., as in `FeatureStore.to_frame`."""
        del input_features
        check_is_fitted(self, "encoder_")
        name, width = self._columns()
        return np.array([f"{name}/{column}" for column in range(width)], dtype=object)

    def _columns(self) -> tuple[str, int]:
        """Return the layer's name and the number of values per row."""
        describer, name = self._describer()
        return name, describer.columns[name].width * len(self.statistics)

    def _describer(self) -> tuple[FrameDescriber, str]:
        """Return a describer with the layers up to the requested one, and the name of that layer."""
        encoder = self.encoder_
        names = [info.name for info in encoder.feature_info]
        try:
            stop = encoder.index_of(self.layer) + 1
        except (IndexError, ValueError, TypeError) as error:
            allowed = f"{', '.join(names)} (0..{len(names) - 1}, or negative)"
            raise ValueError(f"layer is {self.layer!r}; this encoder has {allowed}") from error
        below = Encoder(list(encoder.layers)[:stop], encoder.feature_info[:stop], encoder.transform, encoder.config)
        device = choose_device(self.device)
        return FrameDescriber({"": below}, pixels=False, grid=self.grid, device=device), names[stop - 1]

    def __sklearn_tags__(self) -> Any:
        """Tell scikit-learn that rows of X are paths."""
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        tags.input_tags.one_d_array = True
        return tags


def _paths(X: Paths) -> list[Path]:
    """Check that X is a non-empty list of paths."""
    if isinstance(X, (str, os.PathLike)) or not len(X) or not all(isinstance(path, (str, os.PathLike)) for path in X):
        raise ValueError("X must be a list of paths of videos, at least one")
    return [Path(path) for path in X]
