"""Training: from a folder of videos to a run folder."""

from __future__ import annotations

from pathlib import Path

import torch

from seqff.config import TrainConfig
from seqff.config_io import to_dict
from seqff.devices import choose_device
from seqff.nets import build_encoder, save_encoder
from seqff.pairs import FrameBatch, PairStream, Unit
from seqff.training.build import build_trainer
from seqff.training.checkpoint import list_checkpoints
from seqff.training.learner import LayerLearner, build_learners
from seqff.training.loop import Run, take_steps
from seqff.training.run import MANIFEST, check_run, create_run
from seqff.transform import fit_transform
from seqff.video import scan


def train_step(
    learners: list[LayerLearner], batch: FrameBatch, *, gap: float, far: float, unit: Unit = "frames"
) -> None:
    """Train every layer on a batch, bottom to top; each layer's graph is gone before the next one's is built."""
    relation = batch.relation(gap=gap, far=far, unit=unit)
    h = batch.frames
    for learner in learners:
        h = learner.update(h, relation)


def train(
    videos: str | Path | list[str] | list[Path],
    *,
    out: str | Path,
    config: TrainConfig | None = None,
    seed: int = 0,
    device: str = "auto",
    resume: bool = False,
    overwrite: bool = False,
    max_bad: float = 0.05,
    progress: bool = True,
) -> Run:
    """Train an encoder on videos, by default every layer by its own objective (see `TrainConfig.trainer`).

    Args:
        videos: a folder (searched recursively), a file, a list of files, or a manifest that `scan` wrote.
        out: the run folder to write: settings, manifest, metrics.jsonl, checkpoints, encoder. Must not exist, unless
            resume or overwrite is given.
        config: all settings; None for the defaults.
        seed: of the initial weights, the batches and the augmentation.
        device: "auto", "cpu" or "cuda".
        resume: go on with the run in `out` from its last checkpoint; starts it if there is none.
        overwrite: delete the run in `out` first.
        max_bad: largest share of the videos that may be unreadable.
        progress: show progress bars (on a terminal).

    Returns:
        The run: its folder and the trained encoder.

    Raises:
        SeqffError: the videos, the run folder or its checkpoint cannot be used.
        ValueError: settings that do not fit each other or the videos.
    """
    config = config or TrainConfig()
    run = Path(out)
    target = choose_device(device)
    settings = {"seed": seed, **to_dict(config)}
    going_on = check_run(run, settings, resume=resume, overwrite=overwrite)
    known = run / MANIFEST
    manifest = scan(known if going_on and known.exists() else videos, max_bad=max_bad, progress=progress)
    transform = fit_transform(config.pairs.size_px, [(entry.height, entry.width) for entry in manifest.usable])
    stream = PairStream(manifest, transform, config.pairs, seed=seed, workers=config.workers, max_bad=max_bad)
    stream.fill_cache(progress=progress)
    encoder = build_encoder(config.encoder, transform, seed=seed)
    encoder = encoder.to(target, memory_format=torch.channels_last)  # type: ignore[call-overload]
    learners = build_learners(encoder, config, seed=seed)
    trainer = build_trainer(learners, config, cache=run / "cache")
    if not going_on:
        create_run(run, settings)
    if not known.exists():  # a kill may have come between any two files
        manifest.save(known)
    if not list_checkpoints(run):
        save_encoder(encoder, run, untrained=True)
    return take_steps(run, encoder, learners, trainer, stream, config, progress=progress)
