"""Your own network: any stack of modules, split into locally trained layers, then probed like any other.

It generates 20 small clips and takes a few seconds.
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
    """Return modules from frames (N, 3, H, W) to maps, without flattening and classifier."""
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
    """Split the network, train it, and compare its layers with themselves untrained."""
    folder = Path(tempfile.mkdtemp(prefix="seqff-example-"))
    write_digit_clips(folder / "videos", clips=20, settings=ClipSettings(size_px=48, frames=16))

    # A layer starts at every module with weights, or at `cuts`. Every layer but the first has a norm before it,
    # so that no layer inherits the achievement of the one below. Frames are resized to 48 x 48 px.
    torch.manual_seed(0)
    encoder = seqff.Encoder.from_sequential(network(), FrameTransform(48, 48))
    for info, layer in zip(encoder.feature_info, encoder.layers, strict=True):
        weights = sum(parameter.numel() for parameter in layer.parameters())
        print(f"{info.name}: {info.channels} channels, {info.reduction} px per cell, {weights} weights")

    # From here on it is like any other encoder. The given one is not modified: it is the run's untrained net.
    config = TrainConfig(steps=10, pairs=PairsConfig(size_px=48, videos_per_batch=8))
    run = seqff.train(folder / "videos", init=encoder, out=folder / "run", config=config)
    features = seqff.extract(run.path, folder / "videos", out=folder / "features")

    # 20 clips are too few for meaningful numbers; the steps are the same with more.
    print(seqff.probe(features, labels="folder", out=None, folds=2).table())

    # A run with torch's modules is loaded like any other. With your own classes, `load` needs such an encoder:
    # seqff.load(run, like=encoder)
    print(seqff.load(run.path).layers[1])


if __name__ == "__main__":
    main()
