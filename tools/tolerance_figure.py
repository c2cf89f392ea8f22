"""Draw docs/tolerance.svg: the effect of tolerance and margin, and distances under an untrained encoder.

    python tools/tolerance_figure.py docs/tolerance.svg

Left: the formulas. Right: distances under an untrained encoder, on 64 clips of the demo, with the default settings.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import matplotlib
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

import seqff
from seqff.config import TrainConfig
from seqff.nets import build_encoder
from seqff.objectives.pairwise import squared_distances, unit
from seqff.pairs import PairStream, distances
from seqff.pairs.synthetic import write_digit_clips
from seqff.training import build_learners
from seqff.transform import fit_transform

TOLERANCE, MARGIN = 0.1, 1.5
BLUE, ORANGE, GREY = "#1f77b4", "#d95f02", "#666666"
BATCHES = 4


def draw_formulas(axes: Axes) -> None:
    """Draw the hinges of a positive and of a negative, and the logistic form of the first."""
    d = np.linspace(0, 2, 400)
    scale = 10
    axes.plot(d, np.maximum(0, d - TOLERANCE), color=BLUE, label="positive: max(0, d − δ)")
    soft = np.logaddexp(0, scale * (d - TOLERANCE)) / scale
    axes.plot(d, soft, color=BLUE, linestyle=":", label=f"its logistic form, s = {scale}")
    axes.plot(d, np.maximum(0, MARGIN - d), color=ORANGE, label="negative: max(0, m − d)")
    for place, name in ((TOLERANCE, f"δ = {TOLERANCE}"), (MARGIN, f"m = {MARGIN}")):
        axes.axvline(place, color=GREY, linewidth=0.8)
        axes.text(place + 0.02, 1.82, name, color=GREY)
    axes.set(
        xlabel="squared distance d of the pair", ylabel="loss", ylim=(0, 2), xlim=(0, 2), title="What a pair costs"
    )
    axes.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.45, 0.88))


@torch.no_grad()
def measure(folder: Path) -> tuple[list[str], dict[tuple[str, str], list[Tensor]]]:
    """Return the names of the layers, and (pooling, kind of pair) -> distances per layer, untrained."""
    config = TrainConfig()
    write_digit_clips(folder / "videos", clips=64, progress=False)
    manifest = seqff.scan(folder / "videos", out=folder / "manifest.json", progress=False)
    transform = fit_transform(config.pairs.size_px, [(entry.height, entry.width) for entry in manifest.usable])
    learners = build_learners(build_encoder(config.encoder, transform, seed=0), config, seed=0)
    found: dict[tuple[str, str], list[list[Tensor]]] = {}
    stream = PairStream(manifest, transform, config.pairs, seed=0)
    gap, far, frames_or_seconds = distances(config.pairs)
    for _, batch in zip(range(BATCHES), stream.batches(), strict=False):
        relation = batch.relation(gap=gap, far=far, unit=frames_or_seconds)
        h = batch.frames
        for place, learner in enumerate(learners):
            h = learner.run_layer(h).float()
            for sees, z in (("default", learner.head(h)[:, : learner.objective.dim]), ("global", h.mean(dim=(2, 3)))):
                d = squared_distances(unit(z))
                kinds = {"positive": d[tuple(relation.positive.T)], "other": d[relation.other_video]}
                for kind, values in kinds.items():
                    found.setdefault((sees, kind), [[] for _ in learners])[place].append(values)
    return [learner.name for learner in learners], {
        key: [torch.cat(batches) for batches in layers] for key, layers in found.items()
    }


def draw_distances(axes: Axes, names: list[str], found: dict[tuple[str, str], list[Tensor]]) -> None:
    """Draw median and middle 80 % of the distances, by layer."""
    texts = {"positive": "next frame", "other": "other video", "default": "cells, head", "global": "global mean"}
    shifts = {("default", "positive"): -0.21, ("default", "other"): -0.07, ("global", "positive"): 0.07}
    for (sees, kind), layers in found.items():
        low, middle, high = (
            np.array([np.quantile(values.numpy(), share) for values in layers]) for share in (0.1, 0.5, 0.9)
        )
        axes.errorbar(
            np.arange(len(names)) + shifts.get((sees, kind), 0.21),
            middle,
            yerr=[middle - low, high - middle],
            fmt="o" if sees == "default" else "s",
            color=BLUE if kind == "positive" else ORANGE,
            markerfacecolor="white" if sees == "global" else None,
            markersize=5,
            linewidth=1,
            label=f"{texts[kind]}, {texts[sees]}",
        )
        print(sees, kind, " ".join(f"{value:.2g}" for value in middle))
    for place, name in ((TOLERANCE, f"δ = {TOLERANCE}"), (MARGIN, f"m = {MARGIN}")):
        axes.axhline(place, color=GREY, linewidth=0.8)
        axes.text(len(names) - 0.55, place, name, color=GREY, va="center")
    axes.set(yscale="log", ylabel="squared distance d", title="Where an untrained encoder begins")
    axes.set_xticks(range(len(names)), names)
    axes.legend(frameon=False, fontsize=8, loc="lower right")


def main() -> None:
    """Measure and draw."""
    matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "seqff", "font.family": "sans-serif"})
    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    draw_formulas(left)
    with tempfile.TemporaryDirectory() as folder:
        draw_distances(right, *measure(Path(folder)))
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(sys.argv[1], metadata={"Date": None, "Creator": None})


if __name__ == "__main__":
    main()
