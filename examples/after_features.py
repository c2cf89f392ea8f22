"""Uses of features: find similar moments, cluster moments, classify new videos, and look inside a layer.

It generates 30 small clips, in which the digit stands, moves or races (a third each), and takes less than half a
minute.
"""

# %% Clips in folders named after their class, and a short training.
from __future__ import annotations

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import torch

import seqff
from seqff.config import EncoderConfig, TrainConfig
from seqff.pairs.synthetic import ClipSettings, write_digit_clips

folder = Path(tempfile.mkdtemp(prefix="seqff-example-"))
for seed, (name, speed) in enumerate({"stands": 0, "moves": 2, "races": 6}.items()):
    look = ClipSettings(frames=24, speed_px=speed, background="none")
    write_digit_clips(folder / "videos" / name, clips=10, settings=look, seed=seed)
    write_digit_clips(folder / "new" / name, clips=2, settings=look, seed=seed + 10)
small = EncoderConfig(widths=(16, 32, 64), kernels=(7, 3, 3), strides=(2, 1, 1), pools=(1, 2, 2))
run = seqff.train(folder / "videos", out=folder / "run", config=TrainConfig(10, encoder=small))

# %% Features with one row per clip of 6 frames: moments. A row includes statistics of how the clip's frames differ.
moments = seqff.extract(run.path, folder / "videos", out=folder / "moments", per="clip", clip_frames=6, clip_stride=3)
moments

# %% Search: which moments of other videos are most similar to this one? It uses the last layer unless `layer` is given.
# `out` writes a page with the frames.
like = f"{moments.index.video[0]}@0.4"
found = seqff.search(moments, like=like, top=5, out=folder / "like.html")
print(found.table())
found

# %% Cluster: which kinds of moments are there, and when do they occur? The folder has a page, a figure with one row per
# video, and a table of segments.
groups = seqff.cluster(moments, k=3, min_seconds=0.2, out=folder / "clusters")
print(groups.table())
groups

# %% Classify: a probe saves its classifiers, which can label videos that it has never seen.
# Ten steps of training teach little; `seqff demo` takes some hundreds.
videos = seqff.extract(run.path, folder / "videos", out=folder / "features")
seqff.probe(videos, labels="folder", folds=2, out=folder / "probe")
named = seqff.classify(folder / "probe", folder / "new", out=folder / "new.csv")
print(named.table())
named

# %% A look inside: a frame, and the responses of the first channels of each layer.
encoder = seqff.load(run.path)
with seqff.open_video(folder / "videos" / moments.index.video[0]) as reader, torch.no_grad():
    frame = reader.at([12])
    maps = encoder(encoder.transform(frame))  # frames smaller than its input must be upscaled first
figure, axes = plt.subplots(len(maps), 6, figsize=(9, 1.6 * len(maps)), squeeze=False)
for info, layer, row in zip(encoder.feature_info, maps, axes, strict=True):
    pictures = [frame[0], *layer[0, :5].numpy()]
    for axis, picture, title in zip(row, pictures, ["frame", *(f"{info.name}, {c}" for c in range(5))], strict=True):
        axis.imshow(picture, cmap="gray")
        axis.set_title(title, fontsize=8)
        axis.axis("off")
figure.savefig(folder / "layers.png")
print(f"everything is in {folder}")
