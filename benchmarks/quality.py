"""What the features are worth: presets on data sets over seeds, in one table, beside untrained nets, pixels and twins.

    python benchmarks/quality.py ../shared/data --out runs/quality
    python benchmarks/quality.py ../shared/data --sets fashion-static --presets default --seeds 0 1 2 --twins end_to_end
    python benchmarks/quality.py ../shared/data --presets default clapp lpl --equal-seconds --out runs/equal

DATA holds weizmann/ and images/{mnist,fashion_mnist}.npz; sets whose files are absent are skipped and named. On
"weizmann-seen" and "digits" the encoder sees all videos, without labels, and the probe splits them by group; everywhere
else it never sees the test videos. Row "all" is a probe on all layers side by side, "best" the best layer. With
--equal-seconds each preset gets as many steps as take the default's time, which goes first; a YAML file of settings may
stand for a preset. Finished work is not done again; other settings need another --out, or file of settings. Writes
quality.json and quality.png beside the runs.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from quality_sets import SETS, VideoSet
from seeds import claim, one_seed

import seqff
from seqff.config import TrainConfig
from seqff.config_io import load_config, load_preset, read_yaml
from seqff.errors import ConfigError
from seqff.features import FeatureStore, write_store
from seqff.files import read_json, write_json

TWINS = ("end_to_end", "supervised")
TURNS = 5
Row = dict[str, float]
"""Accuracies of one layer: trained, untrained and, where asked for, the twins."""


def side_by_side(store: FeatureStore, folder: Path) -> FeatureStore:
    """Write a store whose arrays are all layers side by side, each standardised so that none outweighs the others."""
    if (folder / "meta.json").exists():
        return FeatureStore.open(folder)
    arrays = {}
    for name, prefix in (("all", ""), ("untrained/all", "untrained/")):
        layers = [store.to_numpy(f"{prefix}{layer}") for layer in store.names if layer.startswith("layer")]
        scaled = [(x - x.mean(0)) / (x.std(0) + 1e-6) / np.sqrt(x.shape[1]) for x in layers]  # no labels are used
        arrays[name] = np.concatenate(scaled, axis=1)
    trained_on = store.meta.get("trained_on")
    return write_store(folder, arrays, videos=store.videos, trained_on=trained_on)


def rows_of(result: dict[str, Any]) -> dict[str, Row]:
    """Accuracies by layer from a results.json."""
    rows = {}
    for layer in result["layers"]:
        others = [name for name in ("untrained", *TWINS) if layer.get(name)]
        rows[layer["name"]] = {"trained": layer["accuracy"], **{name: layer[name]["accuracy"] for name in others}}
    return rows


def with_best(rows: dict[str, Row]) -> dict[str, Row]:
    """Add the best layer of each column, chosen by hindsight and alike for all."""
    columns = next(iter(rows.values()))
    return {**rows, "best": {name: max(row[name] for row in rows.values()) for name in columns}}


def seen(videos: VideoSet, config: TrainConfig, seed: int, out: Path, *, twins: Sequence[str]) -> dict[str, Any]:
    """Train on all videos, probe by group; of the twins, the one without labels, as the other would have seen them."""
    asked: dict[str, Any] = {"videos": videos.videos, "labels": "folder", "groups": videos.groups}
    result = one_seed(config, seed, out=out, **asked)
    rows = rows_of(result)
    if "end_to_end" in twins:
        twin = one_seed(replace(config, trainer="end_to_end"), seed, out=out / "end_to_end", **asked)
        for layer in twin["layers"]:
            rows[layer["name"]]["end_to_end"] = layer["accuracy"]
    home = out / f"seed{seed}"
    store = side_by_side(FeatureStore.open(home / "features"), home / "all")
    together = seqff.probe(store, labels="folder", groups=videos.groups, out=None, seed=seed)
    return {
        "rows": with_best(rows) | rows_of(together.to_dict()),
        "pixels": result["pixels"]["accuracy"],
        "train_seconds": result["train_seconds"],
    }


def unseen(videos: VideoSet, config: TrainConfig, seed: int, out: Path, *, twins: Sequence[str]) -> dict[str, Any]:
    """Train without the test videos, fold by fold."""
    evaluation = seqff.evaluate(
        videos.videos,
        out=out,
        groups=videos.groups,
        splits=videos.splits,
        folds=videos.unseen_folds or None,
        baselines=twins,
        config=config,
        seeds=[seed],
        resume=True,
    )
    result = evaluation.results[seed].to_dict()
    return {"rows": with_best(rows_of(result)), "pixels": result["pixels"]["accuracy"]}


def one_run(
    videos: VideoSet, config: TrainConfig, seed: int, out: Path, *, twins: Sequence[str] = ()
) -> dict[str, Any]:
    """Take one seed the whole way, or read what an earlier call with the same settings found."""
    beside = out.parent / f"{out.name}_asked_{seed}.json"  # not in it: `evaluate` begins with a folder of its own
    claim(beside, config, twins=sorted(twins))
    finished = out / f"quality_{seed}.json"
    if finished.exists():
        return dict(json.loads(finished.read_text()))
    way = unseen if videos.splits or videos.unseen_folds else seen
    rows = way(videos, config, seed, out, twins=twins)
    run = next((out / f"seed{seed}").rglob("config.yaml"))  # folds of a set are as long as each other
    found = {"seed": seed, "steps": read_yaml(run)["steps"], **rows}
    finished.write_text(json.dumps(found, indent=1))
    return found


def settings_of(preset: str) -> TrainConfig:
    """The settings of a preset, or those in a YAML file."""
    return load_config(preset) if preset.endswith((".yaml", ".yml")) else load_preset(preset)


def equal_steps(videos: VideoSet, config: TrainConfig, steps: int) -> int:
    """Steps that take the time of so many of the default's: both are timed in turns, step by step."""
    both = (config, load_preset("default"))
    seconds = [
        [seqff.dry_run(videos.videos, config=each, progress=False).step_seconds for each in both] for _ in range(TURNS)
    ]
    own, other = np.median(seconds, axis=0)
    return max(1, round(steps * other / own))


def one(name: str, preset: str, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Take one set and preset the whole way."""
    out = Path(options.out)
    videos = SETS[name][1](Path(options.data), out / "videos")
    config = settings_of(preset)
    preset = Path(preset).name
    if options.steps:
        config = replace(config, steps=options.steps)
    place = out / name / preset
    if options.equal_seconds and preset != "default":
        known = out / f"{name}_{preset}_steps.json"
        if not known.exists():
            steps = read_json(out / name / "default" / f"quality_{options.seeds[0]}.json")["steps"]
            write_json(known, {"steps": equal_steps(videos, config, steps)})
        config = replace(config, steps=read_json(known)["steps"])
    return [
        {"set": name, "preset": preset, **one_run(videos, config, seed, place, twins=options.twins)}
        for seed in options.seeds
    ]


def table(results: Sequence[dict[str, Any]]) -> str:
    """Markdown: a line a layer, mean ± sd over seeds."""
    columns = list(next(iter(results[0]["rows"].values())))
    lines = [f"| layer | {' | '.join(columns)} | trained - untrained |", "|---" * (len(columns) + 2) + "|"]
    for layer in results[0]["rows"]:
        rows = [result["rows"][layer] for result in results]
        values = {name: np.array([row[name] for row in rows]) for name in columns if name in rows[0]}
        cells = [f"{values[n].mean():.3f} ± {values[n].std():.3f}" if n in values else "" for n in columns]
        lines.append(f"| {layer} | {' | '.join(cells)} | {(values['trained'] - values['untrained']).mean():+.3f} |")
    return "\n".join([*lines, f"| pixels | {np.mean([result['pixels'] for result in results]):.3f} |"])


def draw(found: dict[tuple[str, str], list[dict[str, Any]]], path: Path) -> None:
    """Trained against untrained, a panel a set, a line a preset."""
    from matplotlib.figure import Figure

    sets = sorted({name for name, _ in found})
    figure = Figure(figsize=(4 * len(sets), 3.5), layout="constrained")
    for place, name in enumerate(sets):
        axes = figure.add_subplot(1, len(sets), place + 1, title=name, ylabel="accuracy" if not place else "")
        for (of, preset), results in found.items():
            if of == name:
                layers = [layer for layer in results[0]["rows"] if layer.startswith("layer")]
                mean = [np.mean([result["rows"][layer]["trained"] for result in results]) for layer in layers]
                axes.plot(layers, mean, marker="o", label=preset)
                if preset == "default" or (name, "default") not in found:
                    base = [np.mean([result["rows"][layer]["untrained"] for result in results]) for layer in layers]
                    axes.plot(layers, base, color="grey", linestyle="--", label=f"untrained ({preset})")
        axes.legend(fontsize=7)
    figure.savefig(path, dpi=120)


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="folder with weizmann/ and images/")
    parser.add_argument("--sets", nargs="+", choices=sorted(SETS), default=sorted(SETS))
    parser.add_argument("--presets", nargs="+", default=["default"], help="names or YAML files")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=None, help="instead of each preset's own")
    parser.add_argument("--equal-seconds", action="store_true", help="as many steps as take the default's time")
    parser.add_argument(
        "--twins",
        nargs="*",
        choices=TWINS,
        default=(),
        help="also by backpropagation; supervised: where test videos are unseen",
    )
    parser.add_argument("--out", default="runs/quality")
    options = parser.parse_args()
    if options.equal_seconds and options.presets[0] != "default":
        parser.error("--equal-seconds is beside the default: name it first of --presets")
    try:
        for preset in options.presets:
            settings_of(preset)
    except ConfigError as error:
        parser.error(str(error))
    Path(options.out).mkdir(parents=True, exist_ok=True)
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for name in options.sets:
        if not (Path(options.data) / SETS[name][0]).exists():
            print(f"{name} skipped: {Path(options.data) / SETS[name][0]} is not there", file=sys.stderr)
            continue
        for preset in options.presets:
            results = found[name, preset] = one(name, preset, options)
            steps = results[0]["steps"]
            print(f"\n{name}, {preset}, {steps} steps, seeds {options.seeds}\n\n{table(results)}", flush=True)
    if found:
        every = [result for results in found.values() for result in results]
        (Path(options.out) / "quality.json").write_text(json.dumps(every, indent=1) + "\n")
        draw(found, Path(options.out) / "quality.png")
    return 0


if __name__ == "__main__":
    sys.exit(main())
