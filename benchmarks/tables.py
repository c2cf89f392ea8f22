"""The tables of docs/results.md, docs/layers.md and the README, generated from benchmarks/results/*.json.

Examples:
    python -m benchmarks.tables            # writes all three
    python -m benchmarks.tables --check    # exits with 1 if they are out of date
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.measuring import arguments
from benchmarks.records import Record, Records
from benchmarks.size_curve import size_curve

ROOT = Path(__file__).parents[1]
PAGE, LAYERS, README = ROOT / "docs" / "results.md", ROOT / "docs" / "layers.md", ROOT / "README.md"
CURVE = ROOT / "docs" / "size.svg"
SHOWN = {
    "jhmdb": "film clips, 21 actions, by source",
    "turntable-90": "42 objects on a turntable, views every 90°",
    "weizmann-seen": "10 actions, fixed camera, by subject",
}
"""Sets shown in the README, with their titles."""
TWIN = "+trainer=end_to_end"
"""Suffix of settings trained end to end by backpropagation."""
EQUAL = "@equal"
"""Suffix of settings given the training time of the default."""
SIZES = {
    "default+encoder.widths=[8,16,64,128]": "half as wide",
    "default": "the default",
    "default+steps=5121": "three times the steps",
    "default+encoder.widths=[32,64,256,512]": "twice as wide",
    "default+pairs.size_px=96": "frames of 96 px",
    "default+pairs.size_px=96+encoder.widths=[32,64,256,512]": "twice as wide, frames of 96 px",
    "default+encoder.name=resnet18": "ResNet-18",
    "default+encoder.name=convnext_tiny": "ConvNeXt (tiny)",
}
"""Settings whose accuracy on film clips is plotted against training time."""
NAMES = {
    "jhmdb": "Film clips, 21 actions, by source; encoder has seen all clips, without labels",
    "jhmdb-unseen": "The same, encoder trained without the test sources",
    "jhmdb-rest": "Clips of odd-numbered sources only, never used to choose settings",
    "turntable-90": "42 objects on a turntable, learned from views every 90 degrees",
    "turntable-45": "The same, every 45 degrees",
    "turntable-90-rest": "Odd-numbered objects only, never used to choose settings; every 90 degrees",
    "weizmann-seen": "Weizmann actions, leave one subject out; encoder has seen all clips",
    "weizmann-unseen": "Weizmann actions, encoder trained without the test subjects",
    "fashion-plain": "Fashion-MNIST moving over black",
    "fashion-static": "Fashion-MNIST moving over a static texture",
    "fashion-moving": "Fashion-MNIST moving over a moving texture",
    "mnist-plain": "MNIST moving over black",
    "mnist-static": "MNIST moving over a static texture",
    "mnist-moving": "MNIST moving over a moving texture",
    "digits": "Digits moving over a moving texture (800 clips)",
}
"""Sets in page order, with their titles."""


STUDY = {
    "jhmdb-study": "film clips of even sources",
    "turntable-study": "objects of even numbers",
    "weizmann-study": "six Weizmann subjects",
    "wall-study": "Weizmann's people in front of one wall",
}
"""Sets for choosing settings, with their titles."""
FIRST = "default+encoder.widths=[16]+encoder.kernels=[7]+encoder.strides=[2]+encoder.pools=[1]"
"""The default's first layer alone: no gradient reaches it from above, so it learns the same without the others."""


def of(records: Sequence[Record], name: str, settings: str) -> list[Record]:
    """The records of a set and settings, by seed."""
    return sorted((r for r in records if r["set"] == name and r["settings"] == settings), key=lambda r: r["seed"])


def layers(records: Sequence[Record], column: str) -> np.ndarray:
    """Accuracies, (seeds, layers)."""
    return np.array([[layer[column] for layer in record["layers"]] for record in records])


def mean(values: np.ndarray) -> str:
    """Mean over seeds, with the standard deviation where there are several."""
    return f"{values.mean():.3f}" + (f" ± {values.std():.3f}" if len(values) > 1 else "")


def seeds_of(records: Sequence[Record]) -> str:
    """Seeds of records."""
    return ", ".join(str(record["seed"]) for record in records)


def set_table(records: Sequence[Record]) -> str:
    """One row per layer: trained, untrained, difference."""
    trained, untrained = layers(records, "trained"), layers(records, "untrained")
    rows = ["| layer | trained | untrained | difference |", "|---|---|---|---|"]
    for place, layer in enumerate(records[0]["layers"]):
        gain = 100 * (trained[:, place] - untrained[:, place])
        rows.append(
            f"| {layer['name']} | {mean(trained[:, place])} | {mean(untrained[:, place])} | {gain.mean():+.1f} |"
        )
    best, before = trained.max(axis=1), untrained.max(axis=1)
    rows.append(f"| best | {mean(best)} | {mean(before)} | {100 * (best - before).mean():+.1f} |")
    if records[0]["pixels"] is not None:
        rows.append(f"| pixels | | {np.mean([record['pixels'] for record in records]):.3f} | |")
    return "\n".join(rows)


def summary(records: Sequence[Record], settings: str) -> str:
    """One row per set: gains of the layers, best layers, pixels, seeds."""
    rows = [
        "| set | layers over untrained, points | best layer | untrained's best | pixels | steps | seeds |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in NAMES:
        found = of(records, name, settings)
        if not found:
            continue
        trained, untrained = layers(found, "trained"), layers(found, "untrained")
        gains = " ".join(f"{gain:+.1f}" for gain in 100 * (trained - untrained).mean(axis=0))
        pixels = np.mean([record["pixels"] for record in found])
        seeds = seeds_of(found)
        rows.append(
            f"| {name} | {gains} | {mean(trained.max(axis=1))} | {untrained.max(axis=1).mean():.3f} | {pixels:.3f} "
            f"| {found[0]['steps']} | {seeds} |"
        )
    return "\n".join(rows)


def others(records: Sequence[Record]) -> str:
    """One row per set and non-default settings: gains, best layer, and the default's best layer."""
    rows = [
        "| set | settings | layers over untrained, points | best layer | default's best | steps | seeds |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in NAMES:
        shown = {record["settings"] for record in records if record["set"] == name and EQUAL not in record["settings"]}
        for settings in sorted(shown - {"default"}):
            found = of(records, name, settings)
            seeds = [record["seed"] for record in found]
            beside = [record for record in of(records, name, "default") if record["seed"] in seeds]
            gains = 100 * (layers(found, "trained") - layers(found, "untrained")).mean(axis=0)
            best = layers(beside, "trained").max(axis=1).mean() if beside else float("nan")
            rows.append(
                f"| {name} | `{settings}` | {' '.join(f'{gain:+.1f}' for gain in gains)} "
                f"| {mean(layers(found, 'trained').max(axis=1))} | {best:.3f} | {found[0]['steps']} "
                f"| {', '.join(map(str, seeds))} |"
            )
    return "\n".join(rows) if len(rows) > 2 else ""


def first_layer(records: Sequence[Record]) -> str:
    """One row per change of settings: gains of the first layer, trained alone, on the sets for choosing settings."""
    found = [record for record in records if record["settings"].startswith(FIRST) and record["set"] in STUDY]
    changes = sorted({record["settings"].removeprefix(FIRST).removeprefix("+") for record in found})
    rows = [f"| change | {' | '.join(STUDY.values())} |", "|---" * (1 + len(STUDY)) + "|"]
    for change in changes:
        cells = []
        for name in STUDY:
            ones = of(found, name, f"{FIRST}+{change}".rstrip("+"))
            gains = 100 * (layers(ones, "trained") - layers(ones, "untrained")).ravel() if ones else []
            each = ", ".join(f"{gain:+.1f}" for gain in gains)
            cells.append(f"{np.mean(gains):+.1f} ({each})" if len(gains) else "")
        rows.append(f"| {f'`{change}`' if change else 'none'} | {' | '.join(cells)} |")
    return "\n".join(rows) if changes else ""


def equal_time(records: Sequence[Record]) -> str:
    """One row per method: best layers on each set, given the training time of the default."""
    found = [record for record in records if record["settings"].endswith(EQUAL)]
    sets = [name for name in NAMES if any(record["set"] == name for record in found)]
    methods = sorted({record["settings"] for record in found}, key=lambda text: (not text.startswith("default"), text))
    rows = [f"| settings | {' | '.join(sets)} |", "|---" * (1 + len(sets)) + "|"]
    for method in methods:
        cells = []
        for name in sets:
            ones = of(found, name, method)
            if ones:
                best, before = (layers(ones, column).max(axis=1) for column in ("trained", "untrained"))
                lowest = 100 * (layers(ones, "trained") - layers(ones, "untrained")).mean(axis=0).min()
                gain = f"{100 * (best - before).mean():+.1f}, lowest layer {lowest:+.1f}"
                cells.append(f"{mean(best)} ({gain}; {ones[0]['steps']} steps; seeds {seeds_of(ones)})")
            else:
                cells.append("")
        rows.append(f"| `{method.removesuffix(EQUAL)}` | {' | '.join(cells)} |")
    return "\n".join(rows) if methods else ""


def peers(records: Sequence[Record], others: Sequence[Record]) -> str:
    """One row per set and method: training time and best layer; seqff first, then the alternatives."""
    rows = ["| set | way | CPU minutes | best layer | untrained's best | seeds |", "|---|---|---|---|---|---|"]
    for name in sorted({record["set"] for record in others}, key=list(NAMES).index):
        ours = {"seqff": "default@equal", "seqff, the same net end to end": f"default{TWIN}@equal"}
        ways = {title: of(records, name, settings) for title, settings in ours.items()}
        for method in sorted({record["method"] for record in others}):
            ways[method] = [one for one in others if one["set"] == name and one["method"] == method]
        for title, found in ways.items():
            if found:
                best, before = (layers(found, column).max(axis=1) for column in ("trained", "untrained"))
                minutes = np.mean([one["train_seconds"] for one in found]) / 60
                rows.append(
                    f"| {name} | {title} | {minutes:.1f} | {mean(best)} | {before.mean():.3f} | {seeds_of(found)} |"
                )
    return "\n".join(rows) if len(rows) > 2 else ""


def sized(records: Sequence[Record]) -> list[tuple[str, Record, Record | None]]:
    """Title, record and end-to-end record of each size on film clips with seed 0, by increasing cost."""
    found = []
    for settings, title in SIZES.items():
        local, twin = (
            [one for one in of(records, "jhmdb", key) if one["seed"] == 0] for key in (settings, settings + TWIN)
        )
        if local:
            found.append((title, local[0], twin[0] if twin else None))
    return sorted(found, key=lambda one: float(one[1]["train_seconds"]))


def sizes(records: Sequence[Record]) -> str:
    """One row per size: training time, gains over untrained, best layers of local and end-to-end training."""
    rows = [
        "| net | steps | training, CPU minutes | layers over untrained, points | best layer | untrained's best "
        "| end to end, best layer |",
        "|---|---|---|---|---|---|---|",
    ]
    for title, local, twin in sized(records):
        gains = 100 * (layers([local], "trained") - layers([local], "untrained"))[0]
        best, before = (layers([local], column).max() for column in ("trained", "untrained"))
        beside = "" if twin is None else f"{layers([twin], 'trained').max():.3f}"
        rows.append(
            f"| {title} | {local['steps']} | {local['train_seconds'] / 60:.1f} "
            f"| {' '.join(f'{gain:+.1f}' for gain in gains)} | {best:.3f} | {before:.3f} "
            f"| {beside} |"
        )
    return "\n".join(rows) if len(rows) > 2 else ""


def curve() -> str:
    """The same as an SVG plot: best layer over CPU minutes of training, local and end to end."""
    points = []
    for title, local, twin in sized(Records.of("quality").read()):
        points.append((title, local["train_seconds"] / 60, layers([local], "trained").max(), True))
        if twin is not None and twin["processor"] == local["processor"]:  # otherwise times are not comparable
            points.append(("end to end", twin["train_seconds"] / 60, layers([twin], "trained").max(), False))
    return size_curve(points)


def short(records: Sequence[Record]) -> str:
    """The README's table: best layers trained, untrained and, where measured, end to end; pixels."""
    twins = {name: of(records, name, f"default{TWIN}") for name in SHOWN}
    heads = ["videos", "trained", "untrained", *["end to end"] * any(twins.values()), "pixels", "seeds"]
    rows = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for name, title in SHOWN.items():
        found = of(records, name, "default")
        if found:
            best, before = (layers(found, column).max(axis=1) for column in ("trained", "untrained"))
            twin = mean(layers(twins[name], "trained").max(axis=1)) if twins[name] else ""
            if twin and seeds_of(twins[name]) != seeds_of(found):
                twin += f" (seed {seeds_of(twins[name])})"
            beside = [twin] * any(twins.values())
            pixels = np.mean([record["pixels"] for record in found])
            cells = [title, mean(best), f"{before.mean():.3f}", *beside, f"{pixels:.3f}", seeds_of(found)]
            rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def demo(records: Sequence[Record]) -> str:
    """The table of `make demo`."""
    rows = ["| layer | trained | untrained |", "|---|---|---|"]
    rows += [
        f"| {layer['name']} | {layer['trained']:.3f} | {layer['untrained']:.3f} |"
        for record in records
        for layer in record["layers"]
    ]
    return "\n".join(rows)


def best_layers(records: Sequence[Record]) -> str:
    """One row per set: its best layer by the mean over seeds, and the accuracies of all layers."""
    found = {name: of(records, name, "default") for name in NAMES}
    found = {name: ones for name, ones in found.items() if ones}
    heads = [layer["name"] for layer in next(iter(found.values()))[0]["layers"]]
    rows = [f"| videos | best | {' | '.join(heads)} |", "|---" * (2 + len(heads)) + "|"]
    for name, ones in found.items():
        means = layers(ones, "trained").mean(axis=0)
        cells = [f"{value:.3f}" for value in means]
        rows.append(f"| {NAMES[name]} | **{heads[int(means.argmax())]}** | {' | '.join(cells)} |")
    return "\n".join(rows)


def between(text: str, mark: str, content: str) -> str:
    """The text with the content between <!-- mark --> and <!-- /mark --> replaced."""
    before, _, rest = text.partition(f"<!-- {mark} -->")
    _, _, after = rest.partition(f"<!-- /{mark} -->")
    return f"{before}<!-- {mark} -->\n{content}\n<!-- /{mark} -->{after}"


def readme() -> str:
    """The README with its tables."""
    text = between(README.read_text(), "results", short(Records.of("quality").read()))
    return between(text, "demo", demo(Records.of("demo").read()))


def layers_page() -> str:
    """The page on layers with its table."""
    return between(LAYERS.read_text(), "layers", best_layers(Records.of("quality").read()))


def page() -> str:
    """The page docs/results.md."""
    records = Records.of("quality").read()
    machines = sorted({record["processor"] for record in records})
    parts = [
        "# Results",
        "`python -m benchmarks.tables` generates this page from `benchmarks/results/`. It shows the accuracy of a "
        "linear probe on each layer, compared with the same net untrained and with raw pixels. Every number comes from "
        "`python -m benchmarks.quality DATA --sets SET --settings SETTINGS --seeds SEEDS`. "
        f"The processor was {'; '.join(machines) or 'none yet'}.",
        "## The default on all sets",
        summary(records, "default"),
    ]
    for name, title in NAMES.items():
        found = of(records, name, "default")
        if found:
            parts += [f"## {title}", f"`{name}`, {found[0]['steps']} steps.", set_table(found)]
    rows = equal_time(records)
    if rows:
        parts += [
            "## Published methods at the default's time",
            "Each is seqff's implementation, layer by layer on seqff's net, with Muon. Each gets as many steps as "
            "fit in the training time of the default (`--equal-seconds`). The numbers are accuracies of the best "
            "layer, with the gain over the untrained net in points in parentheses.",
            rows,
        ]
    rows = peers(records, Records.of("peers").read())
    if rows:
        parts += [
            "## Compared with self-supervised training of a ResNet-18",
            "A method from lightly trains a ResNet-18 from scratch on the same frames and stops after the CPU time of "
            "seqff's default (`python -m benchmarks.peers DATA --lightly FOLDER`). The probes are the same. Such a "
            "network needs far more time: the rows show what this time budget achieves, not which method is better.",
            rows,
        ]
    rows = sizes(records)
    if rows:
        parts += [
            "## Size",
            "Film clips by source, seed 0: the effect and cost of a larger net, larger frames and more steps.",
            "![Accuracy over CPU minutes](size.svg)",
            rows,
        ]
    rows = first_layer(records)
    if rows:
        parts += [
            "## The first layer",
            "The first layer gains least. These are its gains over the untrained layer in points, mean and each seed, "
            f"when it is trained alone (settings `{FIRST}` and the change), on the sets for choosing settings. One "
            "test video is 0.4 points on film clips, 1.7 on six Weizmann subjects and 1.1 in front of the wall.",
            rows,
        ]
    beside = others(records)
    if beside:
        parts += ["## Other settings", beside]
    return "\n\n".join(parts) + "\n"


def main() -> int:
    """Write or check the page."""
    parser = arguments(__doc__, json=False)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if a page is out of date")
    pages = {PAGE: page(), LAYERS: layers_page(), README: readme(), CURVE: curve()}
    if parser.parse_args().check:
        return int(any(path.read_text() != text for path, text in pages.items()))
    for path, text in pages.items():
        path.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
