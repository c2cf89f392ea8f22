"""The whole method in one file of plain torch: a folder of videos, locally trained layers, a linear probe.

    python examples/tiny.py VIDEOS        (VIDEOS/CLASS/*.mp4; only the probe uses the classes)

Every layer has its own loss and its own optimizer, and its output is detached, so that no gradient passes between
    layers. Half of a layer's channels learn from the temporal hinge: consecutive frames are attracted, up to a
    tolerance, and distant frames of the same video repelled. The other half learns to distinguish videos. seqff adds
    everything that real videos need: exact reading, resuming, many objectives, honest probes.
"""

import sys
from pathlib import Path

import av
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

SIZE, WIDTHS, FAR = 64, (16, 32, 64, 128), 8
TOLERANCES = (0.2, 0.16, 0.13, 0.1)  # delta of each layer, larger for earlier ones
VIDEOS, CLIPS, STEPS = 16, 4, 300  # videos per batch, pairs of frames per video, batches


def read(path):
    """Return all frames of a video: (T, 3, SIZE, SIZE) uint8."""
    with av.open(str(path)) as file:
        frames = [frame.to_ndarray(format="rgb24", width=SIZE, height=SIZE) for frame in file.decode(video=0)]
    return torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2)


def build_layers(seed):
    """Convolution, pooling, ReLU; the input is normalized, so that no layer can pass on its goodness as mere length."""
    torch.manual_seed(seed)
    layers, channels = [], 3
    for number, width in enumerate(WIDTHS):
        norm = nn.GroupNorm(1, channels, affine=False) if number else nn.Identity()
        conv = nn.Conv2d(channels, width, 7 if not number else 3, stride=1 if number else 2, padding=1 if number else 3)
        layers.append(nn.Sequential(norm, conv, nn.MaxPool2d(2) if number in (1, 2) else nn.Identity(), nn.ReLU()))
        channels = width
    return layers


class Head(nn.Module):
    """Projection head, discarded after training: the first half of the channels on a grid, the second as a mean."""

    def __init__(self, channels, dim=64):
        super().__init__()
        self.half = channels // 2
        self.near, self.video = nn.Linear(self.half * 4, dim), nn.Linear(channels - self.half, dim)

    def forward(self, x):
        near = F.adaptive_avg_pool2d(x[:, : self.half], 2).flatten(1)
        video = x[:, self.half :].mean(dim=(2, 3))
        return F.normalize(self.near(near)), F.normalize(self.video(video))


def hinge(z, video, time, tolerance, margin=0.5):
    """max(0, d(x_n, x_n+1) - tolerance) + max(0, margin - d(distant frames of the same video)), d squared."""
    d = (2 - 2 * z @ z.T).clamp(min=0)
    same, apart = video[:, None] == video, (time[:, None] - time).abs()
    near, distant = same & (apart == 1), same & (apart >= FAR)
    far = F.relu(margin - d)[distant]
    return F.relu(d - tolerance)[near].mean() + (far.mean() if len(far) else 0.0)


def between_videos(z, video, temperature=0.1):
    """InfoNCE: pick a frame's own video among all videos of the batch."""
    scores, same = z @ z.T / temperature, video[:, None] == video
    others = torch.logsumexp(scores.masked_fill(same, -1e9), dim=1, keepdim=True)
    mask = same & ~torch.eye(len(z), dtype=torch.bool)
    return F.softplus(others - scores)[mask].mean()


class Muon:
    """Update kernels by the (approximately) orthogonal matrix nearest to the gradient, so that all directions count
    alike."""

    def __init__(self, kernels, lr=2e-3):
        self.kernels, self.lr, self.past = list(kernels), lr, [torch.zeros_like(kernel) for kernel in kernels]

    @torch.no_grad()
    def step(self):
        for kernel, past in zip(self.kernels, self.past, strict=True):
            past.lerp_(kernel.grad, 0.05)
            x = kernel.grad.lerp(past, 0.95).flatten(1)
            x = x / x.norm().clamp(min=1e-7)
            for _ in range(5):  # Newton-Schulz; coefficients of K. Jordan 2024, kellerjordan.github.io/posts/muon
                gram = x @ x.T
                x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
            kernel.sub_(x.view_as(kernel), alpha=self.lr * max(x.shape) ** 0.5)
            kernel.grad = None


def batch(clips, random):
    """Return pairs of consecutive frames of some videos, with one crop per video and one exposure per frame."""
    frames, video, time = [], [], []
    for number in random.choice(len(clips), min(VIDEOS, len(clips)), replace=False):
        clip = clips[number]
        starts = random.integers(0, len(clip) - 1, CLIPS)
        places = np.unique(np.concatenate([starts, starts + 1]))
        side = int(SIZE * random.uniform(0.8, 1))
        top, left = random.integers(0, SIZE - side + 1, 2)
        x = clip[places][:, :, top : top + side, left : left + side].float() / 255
        x = F.interpolate(x, (SIZE, SIZE), mode="bilinear", align_corners=False)
        x = x.flip(3) if random.random() < 0.5 else x
        gain = torch.from_numpy(random.uniform(0.8, 1.2, (len(x), 1, 1, 1))).float()
        frames.append((x * gain - 0.45) / 0.25)
        video += [number] * len(x)
        time += places.tolist()
    return torch.cat(frames), torch.tensor(video), torch.tensor(time)


def train(layers, clips, steps, seed):
    """At each step every layer runs, learns from its own loss, and passes its output on without gradient."""
    random = np.random.default_rng(seed)
    heads = [Head(width) for width in WIDTHS]
    movers = [Muon([layer[1].weight]) for layer in layers]
    optimizers = [
        torch.optim.AdamW(
            [layer[1].bias, *head.parameters()], lr=6e-4
        )  # heads learn slower, which leaves more for the layers
        for layer, head in zip(layers, heads, strict=True)
    ]
    for step in range(steps):
        h, video, time = batch(clips, random)
        for layer, head, tolerance, mover, optimizer in zip(layers, heads, TOLERANCES, movers, optimizers, strict=True):
            out = layer(h)
            near, of_video = head(out)
            loss = hinge(near, video, time, tolerance) + between_videos(of_video, video)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            mover.step()
            h = out.detach()  # no gradient of the layers above reaches this one
        if step % 50 == 0 or step == steps - 1:
            print(f"step {step}: loss of the last layer {loss.item():.3f}")


@torch.no_grad()
def describe(layers, clips):
    """Return one row per video for every layer: mean over time and mean |difference| of maps on 2 x 2 cells."""
    rows = []
    for clip in clips:
        h, of_clip = (clip.float() / 255 - 0.45) / 0.25, []
        for layer in layers:
            h = layer(h)
            x = F.adaptive_avg_pool2d(h, 2).flatten(1)
            of_clip.append(torch.cat([x.mean(dim=0), x.diff(dim=0).abs().mean(dim=0)]))
        rows.append(of_clip)
    return [torch.stack(of_layer) for of_layer in zip(*rows, strict=True)]


def probe(x, labels, folds=5, penalty=0.03):
    """Return the cross-validated accuracy of ridge regression onto the classes."""
    classes = sorted(set(labels))
    truth = torch.tensor([classes.index(label) for label in labels])
    fold, right = torch.arange(len(x)) % folds, 0
    for number in range(folds):
        test = fold == number
        mean, std = x[~test].mean(dim=0), x[~test].std(dim=0) + 1e-6
        a, b = ((part - mean) / std / x.shape[1] ** 0.5 for part in (x[~test], x[test]))
        y = F.one_hot(truth[~test], len(classes)).float()
        kernel = a @ a.T + penalty * torch.eye(len(a))
        scores = b @ a.T @ torch.linalg.solve(kernel, y - y.mean(dim=0)) + y.mean(dim=0)
        right += int((scores.argmax(dim=1) == truth[test]).sum())
    return right / len(x)


def main(folder, steps=STEPS, seed=0):
    """Train on a folder and return the accuracies of all layers: trained and untrained."""
    paths = sorted(path for path in Path(folder).rglob("*") if path.suffix in (".mp4", ".avi", ".mkv", ".webm"))
    np.random.default_rng(0).shuffle(paths)
    clips, labels = [read(path) for path in paths], [path.parent.name for path in paths]
    print(f"{len(clips)} videos, {sum(map(len, clips))} frames, {len(set(labels))} classes")
    layers = build_layers(seed)
    before = [probe(x, labels) for x in describe(layers, clips)]
    train(layers, clips, steps, seed)
    after = [probe(x, labels) for x in describe(layers, clips)]
    for number, (trained, untrained) in enumerate(zip(after, before, strict=True), start=1):
        print(f"layer {number}: {trained:.3f} (untrained {untrained:.3f})")
    return after, before


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
