"""After features: find moments like a given one, group moments, name the class of new videos, and look inside a layer.

It makes 30 small clips, in a third of which the digit stands, moves or races, and takes less than half a minute.
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

# %% Features with a row a clip of 6 frames: moments. A clip's row also holds how its frames differ.
moments = seqff.extract(run.path, folder / "videos", out=folder / "moments", per="clip", clip_frames=6, clip_stride=3)
moments

# %% Search: which moments of other videos are most like this one? By the last layer, unless `layer` says another. `out`
# gives a page with the frames.
like = f"{moments.index.video[0]}@0.4"
found = seqff.search(moments, like=like, top=5, out=folder / "like.html")
print(found.table())
found

# %% Cluster: which kinds of moments are there, and which video shows which of them when? The folder has a page,
# a picture with a row a video, and a table of segments.
groups = seqff.cluster(moments, k=3, min_seconds=0.2, out=folder / "clusters")
print(groups.table())
groups

# %% Classify: a probe keeps its classifiers, and they name the class of videos that it has never seen.
# Ten steps of training teach little; that takes some hundreds, as `seqff demo` shows.
videos = seqff.extract(run.path, folder / "videos", out=folder / "features")
seqff.probe(videos, labels="folder", folds=2, out=folder / "probe")
named = seqff.classify(folder / "probe", folder / "new", out=folder / "new.csv")
print(named.table())
named

# %% A look inside: a frame, and where the first channels of each layer answer to it.
encoder = seqff.load(run.path)
with seqff.open_video(folder / "videos" / moments.index.video[0]) as reader, torch.no_grad():
    frame = reader.at([12])
    maps = encoder(encoder.transform(frame))  # frames smaller than its input must be enlarged first
figure, axes = plt.subplots(len(maps), 6, figsize=(9, 1.6 * len(maps)), squeeze=False)
for info, layer, row in zip(encoder.feature_info, maps, axes, strict=True):
    pictures = [frame[0], *layer[0, :5].numpy()]
    for axis, picture, title in zip(row, pictures, ["frame", *(f"{info.name}, {c}" for c in range(5))], strict=True):
        axis.imshow(picture, cmap="gray")
        axis.set_title(title, fontsize=8)
        axis.axis("off")
figure.savefig(folder / "layers.png")
print(f"everything is in {folder}")
