"""lightly's SimCLR and VICReg on a ResNet-18 from scratch, in the CPU time of seqff's default.

    python -m benchmarks.peers ../shared/data --lightly SITE_PACKAGES --sets jhmdb turntable-90

No package is bundled: --lightly is a folder with lightly and its dependencies (`pip install --no-deps --target FOLDER
    lightly lightning-utilities lightly-utils aenum`). Without it nothing is run. The frames are those that seqff trains
    on, at the same size. Networks, losses and augmentations are lightly's, with the optimizer of its examples (SGD,
    rate 0.06). Training stops after the CPU seconds of seqff's default on the same set and processor, as measured by
    `benchmarks.quality`, or after --seconds. Features and probes are seqff's, with the same folds. Results are lines of
    benchmarks/results/peers.json.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

import seqff
from benchmarks.measuring import arguments
from benchmarks.quality import probed
from benchmarks.records import Records, machine, processor
from benchmarks.sets import SETS, VideoSet

BATCH = 128
SIZE_PX = 64
METHODS = ("simclr", "vicreg")


class Frames(Dataset[list[torch.Tensor]]):
    """All frames of a set, each as two augmented views, (3, SIZE_PX, SIZE_PX) float32."""

    def __init__(self, videos: Path, transform: Callable[[Any], list[torch.Tensor]]) -> None:
        from PIL import Image

        self.transform, self.images = transform, list[Any]()
        manifest = seqff.scan(videos, progress=False)
        for entry in manifest.usable:
            scale = SIZE_PX / min(entry.height, entry.width)
            size = (round(entry.height * scale), round(entry.width * scale))
            with seqff.open_video(Path(manifest.root) / entry.path, size=size, entry=entry) as reader:
                self.images += [Image.fromarray(frame) for frame in reader.at(np.arange(entry.frames))]

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, place: int) -> list[torch.Tensor]:
        return self.transform(self.images[place])


def parts(method: str) -> tuple[Any, nn.Module, nn.Module]:
    """Return lightly's transform, projection head and loss of a method."""
    from lightly import loss, transforms
    from lightly.models.modules import heads

    if method == "simclr":
        return transforms.SimCLRTransform(SIZE_PX), heads.SimCLRProjectionHead(512, 512, 128), loss.NTXentLoss()
    return transforms.VICRegTransform(SIZE_PX), heads.VICRegProjectionHead(512, 2048, 2048), loss.VICRegLoss()


def train(videos: Path, method: str, seed: int, seconds: float, weights: Path) -> tuple[int, float]:
    """Train for a number of CPU seconds and write the network's weights under torchvision's names.

    Returns:
        Steps and CPU seconds, decoding included.
    """
    from torchvision.models import resnet18

    began = time.process_time()
    torch.manual_seed(seed)
    transform, head, loss = parts(method)
    net = resnet18()
    net.fc = nn.Identity()
    optimizer = torch.optim.SGD([*net.parameters(), *head.parameters()], lr=0.06, momentum=0.9, weight_decay=5e-4)
    loader = DataLoader(Frames(videos, transform), BATCH, shuffle=True, drop_last=True)
    steps = 0
    for first, second in itertools.chain.from_iterable(itertools.repeat(loader)):
        optimizer.zero_grad()
        loss(head(net(first)), head(net(second))).backward()
        optimizer.step()
        steps += 1
        if time.process_time() - began >= seconds:
            break
    weights.parent.mkdir(parents=True, exist_ok=True)
    torch.save(net.state_dict(), weights)
    return steps, time.process_time() - began


def one_run(videos: VideoSet, method: str, seed: int, seconds: float, out: Path) -> dict[str, Any]:
    """Train, extract and probe: `steps`, `train_seconds`, and `layers` with the accuracies of trained and untrained."""
    weights = out / "weights.pt"
    steps, used = train(videos.videos, method, seed, seconds, weights)
    encoder = {"name": "resnet18", "weights": str(weights), "size_px": SIZE_PX}
    result = probed(videos, {"encoder": encoder, "videos": videos.videos}, seed, out / "features")
    layers = [
        {"name": layer["name"], "trained": layer["accuracy"], "untrained": layer["untrained"]["accuracy"]}
        for layer in result["layers"]
    ]
    return {"steps": steps, "train_seconds": round(used, 1), "layers": layers}


def _parse() -> argparse.Namespace:
    parser = arguments(__doc__, json=False)
    parser.add_argument("data", type=Path, help="folder with the data sets")
    parser.add_argument("--lightly", type=Path, default=None, help="folder with the package lightly")
    parser.add_argument("--sets", nargs="+", choices=SETS, default=["jhmdb", "turntable-90"], metavar="SET")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS, metavar="METHOD")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--seconds", type=float, default=None, help="CPU seconds; default: those of seqff's default")
    parser.add_argument("--out", type=Path, default=Path("runs/peers"))
    parser.add_argument("--results", type=Path, default=None, help="file of results; else benchmarks/results/...")
    return parser.parse_args()


def main() -> int:
    """Run the benchmark."""
    options = _parse()
    if options.lightly is None:
        print("not run: give --lightly FOLDER, a folder that holds the package lightly", file=sys.stderr)
        return 0
    sys.path.append(str(options.lightly))
    results = Records.of("peers") if options.results is None else Records(options.results)
    for name in options.sets:
        needs, prepare = SETS[name]
        if not (options.data / needs).exists():
            print(f"{name} skipped: {options.data / needs} is not there", file=sys.stderr)
            continue
        videos = prepare(options.data, options.out / "videos")
        for method, seed in itertools.product(options.methods, options.seeds):
            beside = Records.of("quality").find(set=name, settings="default", processor=processor())
            if options.seconds is None and beside is None:
                sys.exit(f"{name}: benchmarks.quality has no time of the default on this processor: give --seconds")
            seconds = options.seconds or beside["train_seconds"]
            key = {"set": name, "method": f"lightly {method}, ResNet-18", "seed": seed}
            known = results.find(**key)
            if known is None:
                found = one_run(videos, method, seed, seconds, options.out / name / method / f"seed{seed}")
                known = results.keep({**key, **found, **machine()}, by=tuple(key))
            best = {kind: max(layer[kind] for layer in known["layers"]) for kind in ("trained", "untrained")}
            print(
                f"{name:14} {known['method']:28} seed {seed}  best {best['trained']:.3f} (untrained "
                f"{best['untrained']:.3f}), {known['steps']} steps, {known['train_seconds']:.0f} CPU s",
                flush=True,
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
