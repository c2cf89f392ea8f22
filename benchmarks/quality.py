"""Accuracy of features: settings on data sets over seeds, compared with untrained nets, pixels and backpropagation.

    python -m benchmarks.quality ../shared/data --sets jhmdb turntable-90 weizmann-seen
    python -m benchmarks.quality ../shared/data --sets jhmdb --settings default default+trainer=end_to_end
    python -m benchmarks.quality ../shared/data --sets study --settings default default+objective.margin=1.0 --seeds 3 4
    python -m benchmarks.quality ../shared/data --settings default vicreg+optim.name=muon --equal-seconds

DATA contains jhmdb/, turntable/, weizmann/ and images/{mnist,fashion_mnist}.npz; sets with missing files are reported
and skipped. `study` means all sets on which settings are chosen, `reported` all others. On sets named "unseen" and on
moving images the encoder never sees the test videos; elsewhere it sees all videos, without labels.

Settings are a preset or a YAML file, followed by "+NAME=VALUE" for each change. With --equal-seconds each gets as many
steps as fit in the time of the first.

Finished results are not repeated. Every result is a line of benchmarks/results/quality.json, from which `python -m
benchmarks.tables` writes the tables of the docs; runs and features are kept in --out.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml

import seqff
from benchmarks.measuring import arguments
from benchmarks.records import Records, machine
from benchmarks.sets import SETS, STUDY_SETS, VideoSet
from seqff.config import TrainConfig
from seqff.config_io import load_config, load_preset, overlaid, read_yaml, to_dict
from seqff.errors import ConfigError

TURNS = 5


def settings_of(text: str) -> TrainConfig:
    """Parse `preset` or `file.yaml`, followed by changes: `default+optim.lr=1e-3+pairs.gap=2`.

    Raises:
        ConfigError: no such preset, file or setting, or a value of the wrong type.
    """
    name, *changes = text.split("+")
    config = load_config(name) if name.endswith((".yaml", ".yml")) else load_preset(name)
    for change in changes:
        key, equals, value = change.partition("=")
        if not equals:
            raise ConfigError(f"{text}: {change!r} is not NAME=VALUE")
        data = yaml.safe_load(value)
        for part in reversed(key.split(".")):
            data = {part: data}
        config = overlaid(config, data)
    return config


def digest(config: TrainConfig) -> str:
    """Return a short digest of settings, which identifies a result."""
    return hashlib.sha256(json.dumps(to_dict(config), sort_keys=True).encode()).hexdigest()[:12]


def one_run(videos: VideoSet, config: TrainConfig, seed: int, out: Path) -> dict[str, Any]:
    """Train, extract and probe one seed.

    Returns:
        `steps`, `train_seconds` (CPU time of one core; None if there are several trainings), `pixels`, `majority` and
        `layers`: for each its `name`, `trained` and `untrained` accuracy and the `interval` of their difference.
    """
    way = _unseen if videos.splits or videos.unseen_folds else _seen
    result, run, seconds = way(videos, config, seed, out)
    layers = []
    for layer in result["layers"]:
        row = {"name": layer["name"], "trained": layer["accuracy"]}
        if layer["untrained"]:
            row |= {"untrained": layer["untrained"]["accuracy"], "interval": layer["difference"]["interval"]}
        layers.append(row)
    return {
        "steps": read_yaml(run / "config.yaml")["steps"],
        "train_seconds": seconds,
        "pixels": None if result["pixels"] is None else result["pixels"]["accuracy"],
        "majority": result["majority"],
        "layers": layers,
    }


def _seen(videos: VideoSet, config: TrainConfig, seed: int, out: Path) -> tuple[dict[str, Any], Path, float | None]:
    """Train on all videos; probe by group or by frames inside videos."""
    began, known = time.process_time(), (out / "seconds.json")
    seqff.train(videos.videos, out=out / "run", config=config, seed=seed, resume=True)
    if not known.exists():
        known.write_text(json.dumps(round(time.process_time() - began, 1)))
    result = probed(videos, {"run": out / "run", "videos": videos.videos}, seed, out / "features")
    return result, out / "run", json.loads(known.read_text())


def probed(videos: VideoSet, source: Mapping[str, Any], seed: int, features: Path) -> dict[str, Any]:
    """Extract and probe a set, by group or by frames inside videos.

    Args:
        videos: the set.
        source: keyword arguments for `seqff.extract`.
        seed: seed of the probe.
        features: folder of the features.
    """
    inside = videos.split_frames is not None
    store = seqff.extract(**source, out=features, per="frame" if inside else "video", resume=True)
    asked: dict[str, Any] = {"split_frames": videos.split_frames} if inside else {"groups": videos.groups}
    return seqff.probe(store, labels="video" if inside else "folder", out=None, seed=seed, **asked).to_dict()


def _unseen(videos: VideoSet, config: TrainConfig, seed: int, out: Path) -> tuple[dict[str, Any], Path, float | None]:
    """Train without the test videos, fold by fold."""
    evaluation = seqff.evaluate(
        videos.videos,
        out=out,
        groups=videos.groups,
        splits=videos.splits,
        folds=videos.unseen_folds or None,
        config=config,
        seeds=[seed],
        resume=True,
    )
    return evaluation.results[seed].to_dict(), next(out.rglob("config.yaml")).parent, None


def equal_steps(videos: VideoSet, config: TrainConfig, first: TrainConfig, steps: int) -> int:
    """Return the steps that take the time of `steps` with the first settings; both are timed alternately."""
    dry = {"out": "never-written", "dry_run": True, "progress": False}
    seconds = [
        [seqff.train(videos.videos, config=each, **dry).step_seconds for each in (config, first)] for _ in range(TURNS)
    ]
    own, other = np.median(seconds, axis=0)
    return max(1, round(steps * other / own))


def line(record: dict[str, Any]) -> str:
    """Return a result in one line: gains over untrained by layer, and the best layer."""
    gains = " ".join(f"{100 * (layer['trained'] - layer['untrained']):+5.1f}" for layer in record["layers"])
    best = {name: max(layer[name] for layer in record["layers"]) for name in ("trained", "untrained")}
    return (
        f"{record['set']:20} {record['settings']:30} seed {record['seed']}  {gains}  best {best['trained']:.3f} "
        f"(untrained {best['untrained']:.3f}, pixels {record['pixels'] or float('nan'):.3f}), {record['steps']} steps"
    )


def _parse() -> argparse.Namespace:
    parser = arguments(__doc__, json=False)
    parser.add_argument("data", type=Path, help="folder with the data sets")
    parser.add_argument(
        "--sets", nargs="+", choices=[*SETS, *STUDY_SETS, "study", "reported"], default=["reported"], metavar="SET"
    )
    parser.add_argument("--settings", nargs="+", default=["default"], help="NAME[+SETTING=VALUE...]")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=None, help="instead of the number in the settings")
    parser.add_argument("--equal-seconds", action="store_true", help="as many steps as fit in the time of the first")
    parser.add_argument("--out", type=Path, default=Path("runs/quality"))
    parser.add_argument("--results", type=Path, default=None, help="file of results; else benchmarks/results/...")
    options = parser.parse_args()
    groups = {"study": list(STUDY_SETS), "reported": list(SETS)}
    options.sets = [name for given in options.sets for name in groups.get(given, [given])]
    return options


def measure(name: str, given: Sequence[str], options: argparse.Namespace, results: Records) -> None:
    """Run one set with all settings and seeds, and print one line per result."""
    needs, prepare = {**SETS, **STUDY_SETS}[name]
    if not (options.data / needs).exists():
        print(f"{name} skipped: {options.data / needs} is not there", file=sys.stderr)
        return
    videos = prepare(options.data, options.out / "videos")
    for seed in options.seeds:
        for text in given:
            config = settings_of(text)
            key = {"set": name, "settings": text + "@equal" * options.equal_seconds, "seed": seed}
            if options.steps:
                key["settings"] += f"+steps={options.steps}"
                config = replace(config, steps=options.steps)
            elif options.equal_seconds and text != given[0]:
                first = results.find(**key | {"settings": f"{given[0]}@equal"})
                assert first is not None  # it has just been measured
                known = results.find(**key)
                steps = known["steps"] if known else equal_steps(videos, config, settings_of(given[0]), first["steps"])
                config = replace(config, steps=steps)
            known = results.find(**key, digest=digest(config))
            if known is None:
                out = options.out / (videos.home or name) / f"{text.replace('/', '_')}_{digest(config)}" / f"seed{seed}"
                found = one_run(videos, config, seed, out)
                known = results.keep({**key, "digest": digest(config), **found, **machine()}, by=tuple(key))
            print(line(known), flush=True)


def main() -> int:
    """Run the benchmark."""
    options = _parse()
    try:
        for text in options.settings:
            settings_of(text)
    except ConfigError as error:
        sys.exit(f"--settings: {error}")
    results = Records.of("quality") if options.results is None else Records(options.results)
    for name in options.sets:
        measure(name, options.settings, options, results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
