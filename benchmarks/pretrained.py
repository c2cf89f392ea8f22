"""Effect of local learning on a network that was trained with labels.

    python -m benchmarks.pretrained ../shared/data

DATA contains jhmdb/. A ResNet-18 is trained with labels on every second action, and its weights are saved under
torchvision's names. On the other actions it then learns without labels, from those weights at the default learning
rate, at a tenth and at a hundredth of it, and from fresh weights. Its stages are probed by source on these actions,
compared with the unchanged weights and the untrained net. Finished results are not repeated; every result is a line of
benchmarks/results/pretrained.json. About 8 CPU minutes with the default steps.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

import seqff
from benchmarks.measuring import arguments
from benchmarks.records import Records, machine
from seqff.config import OptimConfig, TrainConfig
from seqff.config_io import overlaid
from seqff.nets import Encoder
from seqff.nets.backbones import STAGES
from seqff.training.supervised import train_supervised

NAME, SIZE_PX, FOLDS = "resnet18", 48, 5
GROUPS = r"s(?P<group>\d+)_"
BASE = {
    "pairs": {"size_px": SIZE_PX, "videos_per_batch": 8},
    "encoder": {"name": NAME, "norm": "none"},
    "monitor_every": 0,
}
PACE = {"a tenth": 0.1, "the default": 1.0, "a hundredth": 0.01}
"""Learning rates relative to the default."""


def halves(source: Path, folder: Path) -> tuple[Path, Path]:
    """Link the videos of every second action, and those of the others; return both folders."""
    actions = sorted(path for path in source.iterdir() if path.is_dir())
    for name, part in (("taught", actions[::2]), ("other", actions[1::2])):
        for action in part:
            link = folder / name / action.name
            link.parent.mkdir(parents=True, exist_ok=True)
            if not link.is_symlink():
                link.symlink_to(action.resolve())
    return folder / "taught", folder / "other"


def torchvision_state(encoder: Encoder) -> dict[str, torch.Tensor]:
    """Return the weights of a torchvision network under torchvision's names."""
    state = {}
    for key, value in encoder.state_dict().items():
        _, layer, body, part, *rest = key.split(".")
        if body == "body":
            state[".".join([STAGES[encoder.config.name][int(layer)][0][int(part)], *rest])] = value
    return state


def teach(videos: Path, out: Path, steps: int, seed: int) -> tuple[Path, float]:
    """Train with labels; return the weights file and the accuracy on the last frames."""
    config = overlaid(TrainConfig(), {**BASE, "steps": steps, "optim": {"name": "adamw", "lr": 1e-3}})
    labels = {entry.path: entry.path.partition("/")[0] for entry in seqff.scan(videos, progress=False).usable}
    run = train_supervised(videos, labels, out=out / "taught", config=config, seed=seed)
    file = out / f"{NAME}.pth"
    torch.save(torchvision_state(run.encoder), file)
    return file, float(run.metrics.get("stage4/accuracy", float("nan")))


def learn(videos: Path, out: Path, share: float, weights: Path | None, steps: int, seed: int) -> Path:
    """Train without labels at a share of the default rate, from given or fresh weights; return the run folder."""
    encoder = {**BASE["encoder"], "weights": str(weights or "")}  # type: ignore[dict-item]
    settings = {**BASE, "encoder": encoder, "steps": steps, "optim": {"lr": share * OptimConfig().lr}}
    config = overlaid(TrainConfig(), settings)
    return seqff.train(videos, out=out, config=config, seed=seed, resume=True).path


def probed(store: Any, out: Path) -> dict[str, Any]:
    """Probe by source and return the result."""
    return seqff.probe(store, labels="folder", groups=GROUPS, folds=FOLDS, out=out, overwrite=True).to_dict()


def rows(result: dict[str, Any], kind: str) -> dict[str, float]:
    """Return the accuracy of each stage, trained or untrained."""
    layers = result["layers"] if kind == "trained" else [layer["untrained"] for layer in result["layers"]]
    names = [layer["name"] for layer in result["layers"]]
    return {name: round(layer["accuracy"], 4) for name, layer in zip(names, layers, strict=True)}


def measure(data: Path, out: Path, results: Records, seed: int, *, taught_steps: int, steps: int) -> None:
    """Run all variants and record each."""
    taught, other = halves(data / "jhmdb", out / "videos")
    home = out / f"seed{seed}_{taught_steps}_{steps}"
    weights, told = teach(taught, home, taught_steps, seed)
    network = {"name": NAME, "weights": str(weights), "size_px": SIZE_PX}
    options: dict[str, Any] = {"every": 4, "grid": 1, "resume": True}
    key = {"seed": seed, "steps": steps, "taught_steps": taught_steps}

    def keep(way: str, accuracy: dict[str, float], **more: Any) -> None:
        print(f"{way:44}", *(f"{name} {value:.3f}" for name, value in accuracy.items()), flush=True)
        results.keep({"way": way, **key, "accuracy": accuracy, **more, **machine()}, by=("way", *key))

    known = [record["way"] for record in results.read() if all(record[name] == key[name] for name in key)]
    first = home / "probes" / "as it is"
    if "as it is" not in known:
        store = seqff.extract(videos=other, encoder=network, out=home / "features" / "as it is", **options)
        result = probed(store, first)
        keep("untrained", rows(result, "untrained"))
        pixels = round(result["pixels"]["accuracy"], 4)
        facts = {"videos": result["videos"], "pixels": pixels, "majority": result["majority"], "told_right": told}
        keep("as it is", rows(result, "trained"), **facts)
    ways = [(f"learned at {name} rate", share, weights) for name, share in PACE.items()]
    for way, share, begun in [*ways, ("learned from fresh weights", 1.0, None)]:
        if way in known:
            continue
        run = learn(other, home / "runs" / way, share, begun, steps, seed)
        measured = way == ways[0][0]  # a run's untrained net is the given weights, with new batch norm statistics
        baselines = ("untrained",) if measured else ()
        result = probed(
            seqff.extract(run, other, out=home / "features" / way, baselines=baselines, **options),
            home / "probes" / way,
        )
        if measured:
            keep("as it is, batch norms measured anew", rows(result, "untrained"))
        gains = seqff.compare([first, home / "probes" / way]).differences
        keep(way, rows(result, "trained"), gains={name: gain for name, (gain,) in gains.items()})


def main(given: Sequence[str] | None = None) -> int:
    """Run the benchmark."""
    parser = arguments(__doc__)
    parser.add_argument("data", type=Path, help="folder with the data sets")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--taught-steps", type=int, default=300, help="with labels")
    parser.add_argument("--steps", type=int, default=100, help="without")
    parser.add_argument("--out", type=Path, default=Path("runs/pretrained"))
    options = parser.parse_args(given)
    if not (options.data / "jhmdb").is_dir():
        sys.exit(f"{options.data / 'jhmdb'} is not there")
    results = Records.of("pretrained") if options.json is None else Records(options.json)
    steps = {"taught_steps": options.taught_steps, "steps": options.steps}
    measure(options.data, options.out, results, options.seed, **steps)
    return 0


if __name__ == "__main__":
    sys.exit(main())
