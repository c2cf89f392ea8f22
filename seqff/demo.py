"""The whole way once: clips made on the spot, scan, train, extract, probe."""

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
    """What the demo left: its folder (videos, manifest.sqlite, run, features, probe) and the probe's result."""

    path: Path
    result: ProbeResult


def demo_config(steps: int) -> TrainConfig:
    """The default settings, with a net half as wide, for speed, and colors that mean nothing: each clip has its own."""
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
    """Write labelled clips of handwritten digits in small scenes as video files and take them the whole way.

    Each clip shows a digit among other things, in colors of their own, before a camera that pans, in changing light.

    Args:
        out: folder for everything; None makes a fresh one in the temporary folder.
        clips: how many clips, 100 to 1797.
        steps: training steps.
        seed: of clips, training and probe.
        device: "auto", "cpu" or "cuda".
        overwrite: delete what an earlier demo left in `out`.
        progress: show progress bars (on a terminal).

    Returns:
        The folder and the probe's result.

    Raises:
        RunError: `out` exists and is not to be overwritten, or holds something else than a demo.
    """
    folder = Path(tempfile.mkdtemp(prefix="seqff-demo-")) if out is None else Path(out)
    with Claim(folder):
        # whole, so that no clip of an earlier demo stays among the new ones
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
