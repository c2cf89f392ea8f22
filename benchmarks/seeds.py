"""Train, extract and probe over several seeds, and print one table: mean over seeds, trained beside untrained.

Example (the table in README.md):
    python benchmarks/seeds.py ../shared/data/weizmann --groups '(?P<group>[a-z]+)_' --seeds 0 1 2 --out runs/weizmann
What is finished already is not done again, so an interrupted benchmark goes on where it was. Other settings need
another --out.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

import seqff
from seqff.config import TrainConfig
from seqff.config_io import load_config, to_dict
from seqff.files import read_json, write_json


def claim(path: Path, config: TrainConfig, **asked: Any) -> None:
    """Write down what the results beside a file are of; end the program where those of other settings lie."""
    mine = json.loads(json.dumps({"config": to_dict(config), **asked}))
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, mine)
    elif read_json(path) != mine:
        sys.exit(f"{path.parent} holds results of other settings ({path.name} says which): give another --out")


def one_seed(
    config: TrainConfig, seed: int, *, videos: str | Path, out: str | Path, labels: str, groups: str | None
) -> dict[str, Any]:
    """Take one seed the whole way, or read what an earlier call with the same settings left in `out`."""
    folder = Path(out) / f"seed{seed}"
    claim(folder / "asked.json", config, videos=str(Path(videos).resolve()), labels=labels, groups=groups)
    finished = folder / "result.json"
    if finished.exists():
        return dict(json.loads(finished.read_text()))
    began = time.monotonic()
    seqff.train(videos, out=folder / "run", config=config, seed=seed, resume=True)
    trained = time.monotonic() - began
    seqff.extract(folder / "run", videos, out=folder / "features", resume=True)
    probe = seqff.probe(
        folder / "features",
        labels=labels,
        groups=groups,
        out=folder / "probe",
        seed=seed,
        overwrite=True,
    )
    result = {"seed": seed, "train_seconds": round(trained, 1), **probe.to_dict()}
    finished.write_text(json.dumps(result, indent=1))
    return result


def table(results: list[dict[str, Any]]) -> str:
    """Markdown: a row a layer, mean over seeds and standard deviation."""
    lines = ["| layer | trained | untrained | difference |", "|---|---|---|---|"]
    for place, layer in enumerate(results[0]["layers"]):
        trained = np.array([result["layers"][place]["accuracy"] for result in results])
        untrained = np.array([result["layers"][place]["untrained"]["accuracy"] for result in results])
        cells = [f"{values.mean():.3f} ± {values.std():.3f}" for values in (trained, untrained)]
        lines.append(f"| {layer['name']} | {cells[0]} | {cells[1]} | {(trained - untrained).mean():+.3f} |")
    pixels = np.mean([result["pixels"]["accuracy"] for result in results])
    lines.append(f"| pixels | | {pixels:.3f} | |")
    seconds = [result["train_seconds"] for result in results]
    seeds = ", ".join(str(result["seed"]) for result in results)
    lines += ["", f"seeds {seeds}; training {min(seconds):.0f} to {max(seconds):.0f} s each"]
    return "\n".join(lines)


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", help="folder of videos")
    parser.add_argument("--labels", default="folder")
    parser.add_argument("--groups", default=None)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--config", default=None, help="YAML with settings; without it the defaults")
    parser.add_argument("--steps", type=int, default=None)
    parser.add_argument("--out", default="runs/seeds")
    arguments = parser.parse_args()
    if not Path(arguments.videos).exists():
        print(f"skipped: {arguments.videos} is not there", file=sys.stderr)
        return 0
    config = load_config(arguments.config) if arguments.config else TrainConfig()
    if arguments.steps:
        config = dataclasses.replace(config, steps=arguments.steps)
    results = [
        one_seed(
            config,
            seed,
            videos=arguments.videos,
            out=arguments.out,
            labels=arguments.labels,
            groups=arguments.groups,
        )
        for seed in arguments.seeds
    ]
    print(table(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
