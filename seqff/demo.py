"""Run the whole pipeline once on generated clips: scan, train, extract, probe."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from seqff.claim import Claim
from seqff.config import TrainConfig
from seqff.features import extract
from seqff.files import claim_folder, write_json
from seqff.pairs.synthetic import write_digit_clips
from seqff.probes import ProbeResult, probe
from seqff.train import train
from seqff.video import scan

MARKER = "demo.json"


@dataclass(frozen=True)
class Demo:
    """The demo's folder (videos, manifest.sqlite, run, features, probe) and its probe result."""

    path: Path
    result: ProbeResult


def demo_config(steps: int) -> TrainConfig:
    """The default settings with a net of half the width, for speed, and color jitter, because colors are random."""
    config = TrainConfig()
    encoder = replace(config.encoder, widths=(16, 32, 64, 64))
    return replace(config, steps=steps, encoder=encoder, pairs=replace(config.pairs, color_jitter=1.0))


def demo(
    *,
    out: str | Path | None = None,
    clips: int = 800,
    steps: int = 600,
    seed: int = 0,
    device: str = "auto",
    overwrite: bool = False,
    progress: bool = True,
) -> Demo:
    """Write labeled clips of handwritten digits in small scenes as video files, and run the pipeline on them.

    Each clip shows a digit among other objects, in random colors, filmed by a panning camera in changing light.

    Args:
        out: folder for everything; None creates one in the temporary folder.
        clips: number of clips, 100 to 1797.
        steps: training steps.
        seed: seed of clips, training and probe.
        device: "auto", "cpu" or "cuda".
        overwrite: delete the result of an earlier demo in `out`.
        progress: show progress bars if stderr is a terminal.

    Returns:
        The folder and the probe's result.

    Raises:
        RunError: `out` exists and may not be overwritten, or contains something other than a demo.
    """
    folder = Path(tempfile.mkdtemp(prefix="seqff-demo-")) if out is None else Path(out)
    with Claim(folder):
        # deletes the whole folder, so that no clip of an earlier demo remains
        claim_folder(folder, marker=MARKER, overwrite=overwrite)
        write_json(folder / MARKER, {"clips": clips, "steps": steps, "seed": seed})
        videos, run, features = folder / "videos", folder / "run", folder / "features"
        write_digit_clips(videos, clips=clips, scenes=True, seed=seed, progress=progress)
        manifest = folder / "manifest.sqlite"
        scan(videos, out=manifest, progress=progress)
        config = demo_config(steps)
        train(manifest, out=run, config=config, seed=seed, device=device, progress=progress)
        extract(run, manifest, out=features, device=device, progress=progress)
        result = probe(features, labels="folder", out=folder / "probe", seed=seed, progress=progress)
        return Demo(folder, result)
