"""Training: from a folder of videos to a run folder."""

from __future__ import annotations

import itertools
import logging
import math
import time
from dataclasses import dataclass, field
from pathlib import Path

import torch
from tqdm import tqdm

from seqff.config import TrainConfig
from seqff.config_io import to_dict
from seqff.devices import choose_device
from seqff.errors import RunError
from seqff.nets import Encoder, build_encoder, load_encoder, save_encoder
from seqff.pairs import FrameBatch, PairStream, Unit, distances
from seqff.training.checkpoint import list_checkpoints, load_checkpoint, save_checkpoint
from seqff.training.interrupt import stop_between_steps
from seqff.training.learner import LayerLearner, build_learners, learning_rate
from seqff.training.run import MANIFEST, METRICS, MetricsLog, check_run, create_run
from seqff.transform import fit_transform
from seqff.video import scan

log = logging.getLogger(__name__)


@dataclass
class Run:
    """What a training left.

    Args:
        path: the run folder.
        encoder: the trained encoder, on the CPU in eval mode.
        figures: the last logged figures, `layer/name` -> value.
        seconds: spent on steps in this process.
    """

    path: Path
    encoder: Encoder
    figures: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0


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
    """Train an encoder on videos, every layer by its own objective.

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
    if config.steps < 1:
        raise ValueError(f"steps must be at least 1, got {config.steps}")
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
    if not going_on:
        create_run(run, settings)
    if not known.exists():  # a kill may have come between any two files
        manifest.save(known)
    if not list_checkpoints(run):
        save_encoder(encoder, run, untrained=True)
    return _train(run, encoder, learners, stream, config, progress=progress)


def _train(
    run: Path,
    encoder: Encoder,
    learners: list[LayerLearner],
    stream: PairStream,
    config: TrainConfig,
    *,
    progress: bool,
) -> Run:
    """Take the steps that are left, with a checkpoint now and then, at the end, and when interrupted."""
    step = _resume(run, encoder, learners)
    metrics = MetricsLog(run / METRICS, step=step)
    device = next(encoder.parameters()).device
    gap, far, unit = distances(config.pairs)
    figures: dict[str, float] = {}
    began, seen = time.monotonic(), 0
    bar = tqdm(total=config.steps, initial=step, unit="step", desc="train", disable=None if progress else True)
    with bar, stop_between_steps() as stopping:
        for batch in itertools.islice(stream.batches(step), config.steps - step):
            rate = learning_rate(step, config.steps, config.optim)
            for learner in learners:
                learner.set_rate(rate)
            train_step(learners, batch.to(device), gap=gap, far=far, unit=unit)
            step, seen = step + 1, seen + len(batch.frames)
            bar.update()
            if step % config.log_every == 0 or step == config.steps:
                figures = read_figures(learners)
                elapsed = round(time.monotonic() - began, 3) or 0.001
                metrics.write({"step": step, "lr": rate, "frames": len(batch.frames), "seconds": elapsed, **figures})
                bar.set_postfix_str(summary(learners, figures, seen / elapsed))
            stop = stopping()
            if step % config.checkpoint_every == 0 or step == config.steps or stop:
                _save(run, step, encoder, learners)
            if stop and step < config.steps:
                log.warning("stopped after step %d of %d; the same command with --resume goes on", step, config.steps)
                raise KeyboardInterrupt
    return Run(run, load_encoder(run), figures, time.monotonic() - began)


def _resume(run: Path, encoder: Encoder, learners: list[LayerLearner]) -> int:
    """Put everything where the last checkpoint left it, and return the steps taken so far."""
    checkpoints = list_checkpoints(run)
    if not checkpoints:
        return 0
    step = load_checkpoint(checkpoints[-1], learners)
    save_encoder(encoder, run)  # a kill may have come after the checkpoint and before the encoder
    return step


def _save(run: Path, step: int, encoder: Encoder, learners: list[LayerLearner]) -> None:
    save_checkpoint(run, step, learners)
    save_encoder(encoder, run)


def read_figures(learners: list[LayerLearner]) -> dict[str, float]:
    """Fetch the figures of the last step from the device as `layer/name` -> value; not finite becomes an error.

    Raises:
        RunError: a loss is not a finite number.
    """
    figures = {
        f"{learner.name}/{name}": float(value) for learner in learners for name, value in learner.figures.items()
    }
    broken = [name for name, value in figures.items() if not math.isfinite(value)]
    if broken:
        raise RunError(f"{', '.join(broken)} is not a finite number: lower the learning rate (optim.lr)")
    return figures


def summary(learners: list[LayerLearner], figures: dict[str, float], frames_per_second: float) -> str:
    """Say the losses of all layers and the speed in a few characters, for the progress bar."""
    losses = " ".join(f"{figures[f'{learner.name}/loss']:.2f}" for learner in learners)
    return f"loss {losses}, {frames_per_second:.0f} frames/s"
