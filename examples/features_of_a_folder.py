"""From a folder of videos to features of each layer, their evaluation, and a report.

It generates 40 small clips and takes less than half a minute. To use your own videos, set their folder in the first
cell.
"""

# %% Videos: your folder, or small generated clips.
from __future__ import annotations

import tempfile
from pathlib import Path

import seqff
from seqff.config import EncoderConfig, PairsConfig, TrainConfig
from seqff.pairs.synthetic import write_digit_clips

out = Path(tempfile.mkdtemp(prefix="seqff-example-"))
videos = out / "videos"  # or Path("my/videos")
if not videos.exists():
    write_digit_clips(videos, clips=40)

# %% The scan finds damaged files, true frame counts, and the reader that is exact on each file.
# The following steps use the manifest in place of the folder.
manifest = seqff.scan(videos, out=out / "manifest.json")
manifest

# %% Every layer is trained locally. Other settings keep their defaults: for your own videos, start with
# `seqff.train(videos, out=out / "run")`, which takes at least 600 steps.
small = EncoderConfig(widths=(16, 32, 64), kernels=(7, 5, 3), strides=(2, 1, 1), pools=(1, 2, 2))
config = TrainConfig(steps=10, encoder=small, pairs=PairsConfig(size_px=48, gap=2, far=8, videos_per_batch=8))
run = seqff.train(out / "manifest.json", out=out / "run", config=config)
run

# %% One array per layer: the trained net, the same net untrained, and raw pixels, in one pass over the videos.
features = seqff.extract(run.path, out / "manifest.json", out=out / "features")
print("layer2:", features.to_numpy("layer2").shape)
features

# %% Evaluation of each layer: a linear classifier, tested on held-out videos. The label of a video is its folder.
# Here every video is its own group; give `groups` for subjects, cameras, days.
# 40 clips and 10 steps are too few for meaningful numbers (`seqff demo` uses 800 clips), but the steps are the same.
result = seqff.probe(features, labels="folder", out=out / "probe")
print(result.table())

# %% A self-contained report.
page = seqff.report(run.path, [out / "probe"], out=out / "report.html")
page

# %% The encoder is a torch module; its transform takes decoded frames, uint8 (N, H, W, 3).
encoder = seqff.load(run.path)
video = manifest.path(manifest.usable[0])
with seqff.open_video(video) as reader:
    size = encoder.transform.decode_size(reader.info.height, reader.info.width)
with seqff.open_video(video, size=size) as reader:
    maps = encoder(encoder.transform(reader.at([0, 5, 3])))
print([tuple(h.shape) for h in maps])
print(f"everything is in {out}")
