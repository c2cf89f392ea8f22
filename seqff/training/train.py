"""Training: from a folder of videos to a run folder."""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import torch

from seqff.config import TrainConfig
from seqff.config_io import to_dict
from seqff.devices import choose_device
from seqff.errors import RunError
from seqff.nets import Encoder
from seqff.pairs import FrameBatch, PairStream, Unit
from seqff.training.build import build_trainer
from seqff.training.init import begin_with
from seqff.training.learner import LayerLearner, build_learners
from seqff.training.loggers import check_loggers
from seqff.training.loop import Run, take_steps
from seqff.training.parallel.join import joined, own_device, quiet_but_leader
from seqff.training.parallel.ranks import ALONE, Ranks, restarts
from seqff.training.parallel.sharing import check_sharing
from seqff.training.run import MANIFEST, check_run, claim_run, lengthen, recorded_steps
from seqff.training.saving import check_saving
from seqff.training.setting_up import open_run, prepare, with_steps
from seqff.training.streaming.facts import STREAM
from seqff.training.streaming.train import train_on_stream
from seqff.training.trainers import Trainer
from seqff.video import Manifest, scan
from seqff.video.streams import StreamLike


def train_step(
    learners: list[LayerLearner], batch: FrameBatch, *, gap: float, far: float, unit: Unit = "frames"
) -> None:
    """Train every layer on a batch, bottom to top; each layer's graph is gone before the next one's is built."""
    relation = batch.relation(gap=gap, far=far, unit=unit)
    h = batch.frames
    for learner in learners:
        h = learner.update(h, relation)


def train(
    videos: str | Path | list[str] | list[Path] | None = None,
    *,
    out: str | Path,
    stream: StreamLike | None = None,
    config: TrainConfig | None = None,
    init: str | os.PathLike[str] | Encoder | None = None,
    seed: int = 0,
    device: str = "auto",
    resume: bool = False,
    overwrite: bool = False,
    max_bad: float = 0.05,
    progress: bool = True,
) -> Run:
    """Train an encoder on videos, by default every layer by its own objective (see `TrainConfig.trainer`).

    Under torchrun all processes call it alike and share the work (see `TrainConfig.parallel` and docs/scaling.md).

    Args:
        videos: a folder (searched recursively), a file, a list of files, or a manifest that `scan` wrote.
            None with a stream.
        out: the run folder to write: settings, manifest, metrics.jsonl, checkpoints, encoder. Must not exist, unless
            resume or overwrite is given.
        stream: instead of videos, what comes once: a camera's number, an address, a named pipe, a folder that grows,
            an iterator of frames (uint8 (height, width, 3), each alone or as (seconds, frame)), or a function that
            gives such an iterator, each time the one before has broken off (OSError, EOFError). See docs/stream.md.
        config: all settings; None for the defaults.
        init: the encoder to begin with, which stays as it is: one of your own (`Encoder.from_sequential`), or the
            folder of a run or of a pretrained encoder. Its transform says the size of the frames; the run's untrained
            net is this one. None for fresh weights.
        seed: of the initial weights, the batches and the augmentation.
        device: "auto", "cpu" or "cuda".
        resume: go on with the run in `out` from its last checkpoint; starts it if there is none. With more steps in
            `config` than before it is made longer, and the schedule of the learning rate stretched. A stream cannot be
            replayed: it goes on with the frames that come.
        overwrite: delete the run in `out` first.
        max_bad: largest share of the videos that may be unreadable.
        progress: show progress bars (on a terminal).

    Returns:
        The run: its folder and the trained encoder.

    Raises:
        SeqffError: the videos, the stream, the run folder or its checkpoint cannot be used.
        ValueError: settings that do not fit each other or the videos.
    """
    if restarts():  # torchrun gives the same command again: the run that is there is this one
        resume, overwrite = True, False
    if stream is not None and videos is None:
        ways = {"resume": resume, "overwrite": overwrite, "progress": progress}
        return train_on_stream(stream, out=out, config=config, init=init, seed=seed, device=device, **ways)
    if videos is None or stream is not None:
        raise ValueError("give either videos or a stream (seqff train VIDEOS ... or seqff train --stream SOURCE ...)")
    config, given = begin_with(init, config or TrainConfig())
    check_loggers(config)
    target = own_device(choose_device(device))
    with joined(config, target) as ranks, ExitStack() as held:
        shown = progress and ranks.leads
        with ranks.leader_first("start"), quiet_but_leader(ranks):
            if ranks.leads:
                held.enter_context(claim_run(Path(out)))
            parts = _set_up(
                videos,
                Path(out),
                config,
                ranks,
                given=given,
                seed=seed,
                device=target,
                resume=resume,
                overwrite=overwrite,
                max_bad=max_bad,
                progress=shown,
            )
        return take_steps(Path(out), *parts, progress=shown, ranks=ranks)


def _set_up(
    videos: str | Path | list[str] | list[Path],
    run: Path,
    config: TrainConfig,
    ranks: Ranks,
    *,
    given: Encoder | None,
    seed: int,
    device: torch.device,
    resume: bool,
    overwrite: bool,
    max_bad: float,
    progress: bool,
) -> tuple[Encoder, list[LayerLearner], Trainer, PairStream, TrainConfig]:
    """Build what learns and what it learns from, and settle the number of steps.

    The first rank also opens the run folder, in which the others look.
    """
    if resume:  # to where it was to end: its settings hold the number that was given or found
        config = replace(config, steps=config.steps or recorded_steps(run))
    settings = {"seed": seed, **({} if given is None else {"init": given.hash()}), **to_dict(config)}
    going_on = check_run(run, settings, resume=resume, overwrite=overwrite) if ranks.leads else True
    known = run / MANIFEST
    if ranks.leads and going_on and (run / STREAM).exists():
        raise RunError(f"{run} is a training on a stream, and cannot go on with videos: choose another folder")
    if not ranks.leads and not known.exists():
        raise RunError(f"{run}: rank {ranks.rank} does not see it: give a folder on a disk that all processes share")
    manifest = scan(known if going_on and known.exists() else videos, max_bad=max_bad, progress=progress)
    config = with_steps(config, manifest)
    encoder, learners, trainer, stream = build(
        manifest, config, given, seed=seed, device=device, max_bad=max_bad, ranks=ranks, run=run
    )
    if ranks.stage == 0:
        stream.fill_cache(progress=progress)
    if ranks.replicas > 1:
        check_sharing(learners, config)
    check_saving(config)
    if ranks.leads:
        settings["steps"] = config.steps
        if going_on:
            lengthen(run, settings)
        open_run(run, settings, manifest, encoder, stream, device=device, going_on=going_on)
    return encoder, learners, trainer, stream, config


def build(
    manifest: Manifest,
    config: TrainConfig,
    given: Encoder | None,
    *,
    seed: int,
    device: torch.device,
    max_bad: float = 0.05,
    ranks: Ranks = ALONE,
    run: Path | None = None,
) -> tuple[Encoder, list[LayerLearner], Trainer, PairStream]:
    """Build what learns and what it learns from; nothing is read or written yet.

    Args:
        manifest: of the videos.
        config: all settings.
        given: the encoder to begin with; None for a fresh one.
        seed: of weights, batches and augmentation.
        device: to compute on.
        max_bad: largest share of the videos that may turn out unreadable.
        ranks: this process among those that train together.
        run: the run folder, for the greedy trainer's cache.

    Raises:
        ValueError: settings that do not fit each other or the videos.
    """
    encoder, stream = prepare(manifest, config, given, seed=seed, device=device, max_bad=max_bad, ranks=ranks)
    learners = build_learners(encoder, config, seed=seed)
    cache = None if run is None else run / (f"cache_{ranks.rank}" if ranks.rank else "cache")
    return encoder, learners, build_trainer(learners, config, cache=cache), stream
