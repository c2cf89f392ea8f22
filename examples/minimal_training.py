"""Local learning in the open: what `seqff.train` does at every step, in plain torch.

It shows four ideas. Frames close in time are positives; distant frames and frames of different videos are negatives.
Each layer has its own loss and its own head, which is discarded after training. A layer's graph is freed before the
next layer runs. No gradient passes between layers.

It generates 16 small clips and takes a few seconds.
"""

# %% Clips, whose labels are not needed here: handwritten digits that move over moving textures.
from __future__ import annotations

import tempfile
from pathlib import Path

import torch

import seqff
from seqff.config import EncoderConfig, PairsConfig
from seqff.nets import build_encoder
from seqff.objectives import build_head, temporal_hinge
from seqff.pairs import PairStream
from seqff.pairs.synthetic import ClipSettings, write_digit_clips
from seqff.transform import fit_transform

folder = Path(tempfile.mkdtemp(prefix="seqff-example-"))
write_digit_clips(folder / "videos", clips=16, settings=ClipSettings(size_px=48, frames=16))

# %% The scan decodes every file once: true frame counts, damage, and which reader is exact on which file.
manifest = seqff.scan(folder / "videos", out=folder / "manifest.json")
print(manifest.summary())

# %% The stream turns videos into batches. A batch is a set of frames, each with its video and its time.
pairs = PairsConfig(size_px=48, gap=2, far=8, clip_frames=3, videos_per_batch=8)
transform = fit_transform(pairs.size_px, [(entry.height, entry.width) for entry in manifest.usable])
stream = PairStream(manifest, transform, pairs, seed=0)

# %% The encoder is a stack of layers. Each has its own head and optimizer.
config = EncoderConfig(widths=(16, 32, 64), kernels=(7, 3, 3), strides=(2, 1, 1), pools=(1, 2, 2))
encoder = build_encoder(config, transform, seed=0)
torch.manual_seed(0)
heads = [build_head("mlp", info.channels, grid=2, out=32) for info in encoder.feature_info]
optimizers = [
    torch.optim.AdamW([*layer.parameters(), *head.parameters()], lr=2e-3)
    for layer, head in zip(encoder.layers, heads, strict=True)
]

# %% The training. The loss of a layer is, with d the squared distance of two embeddings of length 1,
# mean over positives of max(0, d - tolerance) + mean over negatives of max(0, margin - d).
steps = 20
for step, batch in zip(range(steps), stream.batches(), strict=False):
    relation = batch.relation(gap=2, far=8)  # which rows are positives, which negatives
    h = batch.frames
    for info, layer, head, optimizer in zip(encoder.feature_info, encoder.layers, heads, optimizers, strict=True):
        out = layer(h)
        loss, figures = temporal_hinge(head(out), relation, tolerance=0.1, margin=1.5, same_video=0.5)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        h = out.detach()  # input of the next layer: values without graph
        if step in (0, steps - 1):
            near, other = float(figures["positive_distance"]), float(figures["other_video_distance"])
            print(f"step {step}: {info.name} loss {loss.item():.2f}, d of positives {near:.3f}, of videos {other:.3f}")

# %% Only the encoder is kept: it returns one map per layer for frames prepared by its transform.
encoder.eval()
with seqff.open_video(manifest.path(manifest.usable[0])) as reader, torch.no_grad():
    maps = encoder(transform(reader.at([0, 5, 10])))
print([tuple(h.shape) for h in maps])

# %% `seqff.train` does the same and more: augmentation, a learning-rate schedule, calibrated tolerances, monitors that
# report collapsed layers, checkpoints, bf16. One call, with a run folder as the result:
#
#     seqff.train("videos/", out="runs/first")
