"""A network of your own: any stack of modules, cut into layers, each trained by itself; then probed like any other.

It makes 20 small clips and takes a few seconds.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch
from torch import nn

import seqff
from seqff.config import PairsConfig, TrainConfig
from seqff.pairs.synthetic import ClipSettings, write_digit_clips
from seqff.transform import FrameTransform


def network() -> nn.Sequential:
    """From frames (N, 3, H, W) to maps, without flattening and without a classifier."""
    return nn.Sequential(
        nn.Conv2d(3, 16, 5, stride=2, padding=2),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, padding=1, groups=4),
        nn.GELU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1),
        nn.GELU(),
        nn.MaxPool2d(2),
    )


def main() -> None:
    """Cut the network, train it, measure what its layers are worth beside themselves untrained."""
    folder = Path(tempfile.mkdtemp(prefix="seqff-example-"))
    write_digit_clips(folder / "videos", clips=20, settings=ClipSettings(size_px=48, frames=16))

    # A layer begins at every module with weights, or where `cuts` says. Before every layer but the first stands a
    # normalisation, so that no layer inherits what the one below has achieved. Frames are brought to 48 x 48 px.
    torch.manual_seed(0)
    encoder = seqff.Encoder.from_sequential(network(), FrameTransform(48, 48))
    for info, layer in zip(encoder.feature_info, encoder.layers, strict=True):
        weights = sum(parameter.numel() for parameter in layer.parameters())
        print(f"{info.name}: {info.channels} channels, a cell for every {info.reduction} px, {weights} weights")

    # From here on it is like any other encoder. The one given stays as it is: it is the run's untrained net.
    config = TrainConfig(steps=10, pairs=PairsConfig(size_px=48, videos_per_batch=8))
    run = seqff.train(folder / "videos", init=encoder, out=folder / "run", config=config)
    features = seqff.extract(run.path, folder / "videos", out=folder / "features")

    # 20 clips are too few for these numbers to mean anything; the way is the same with more.
    print(seqff.probe(features, labels="folder", out=None, folds=2).table())

    # A run of modules that torch has is loaded like any other. With classes of your own, show `load` what is meant:
    # seqff.load(run, like=encoder)
    print(seqff.load(run.path).layers[1])


if __name__ == "__main__":
    main()
