"""Training: from a folder of videos to a run folder."""

from __future__ import annotations

import itertools
import os
from contextlib import closing
from pathlib import Path

import torch

from seqff.config import TrainConfig
from seqff.config_io import to_dict
from seqff.devices import choose_device
from seqff.errors import RunError
from seqff.nets import Encoder, build_encoder, save_encoder, with_statistics
from seqff.pairs import FrameBatch, PairStream, Unit
from seqff.training.build import build_trainer
from seqff.training.calibrate import BATCHES
from seqff.training.checkpoint import list_checkpoints
from seqff.training.init import begin_with
from seqff.training.learner import LayerLearner, build_learners
from seqff.training.loop import Run, take_steps
from seqff.training.parallel.join import joined, own_device, quiet_but_leader
from seqff.training.parallel.ranks import Ranks, restarts
from seqff.training.parallel.sharing import check_sharing
from seqff.training.run import MANIFEST, check_run, create_run
from seqff.training.saving import check_saving
from seqff.training.trainers import Trainer
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
        out: the run folder to write: settings, manifest, metrics.jsonl, checkpoints, encoder. Must not exist, unless
            resume or overwrite is given.
        config: all settings; None for the defaults.
        init: the encoder to begin with, which stays as it is: one of your own (`Encoder.from_sequential`), or the
            folder of a run or of a pretrained encoder. Its transform says the size of the frames; the run's untrained
            net is this one. None for fresh weights.
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
    config, given = begin_with(init, config or TrainConfig())
    target = own_device(choose_device(device))
    if restarts():  # torchrun gives the same command again: the run that is there is this one
        resume, overwrite = True, False
    with joined(config, target) as ranks:
        shown = progress and ranks.leads
        with ranks.leader_first("start"), quiet_but_leader(ranks):
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
        return take_steps(Path(out), *parts, config, progress=shown, ranks=ranks)


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
) -> tuple[Encoder, list[LayerLearner], Trainer, PairStream]:
    """Build what learns and what it learns from; the first rank also opens the run folder, in which the others look."""
    settings = {"seed": seed, **({} if given is None else {"init": given.hash()}), **to_dict(config)}
    going_on = check_run(run, settings, resume=resume, overwrite=overwrite) if ranks.leads else True
    known = run / MANIFEST
    if not ranks.leads and not known.exists():
        raise RunError(f"{run}: rank {ranks.rank} does not see it: give a folder on a disk that all processes share")
    manifest = scan(known if going_on and known.exists() else videos, max_bad=max_bad, progress=progress)
    fitted = fit_transform(config.pairs.size_px, [(entry.height, entry.width) for entry in manifest.usable])
    transform = fitted if given is None else given.transform
    stream = PairStream(
        manifest,
        transform,
        config.pairs,
        seed=seed,
        workers=config.workers,
        max_bad=max_bad,
        rank=ranks.replica,
        world=ranks.replicas,
    )
    if ranks.stage == 0:
        stream.fill_cache(progress=progress)
    encoder = given or build_encoder(config.encoder, transform, seed=seed)
    encoder = encoder.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    learners = build_learners(encoder, config, seed=seed)
    trainer = build_trainer(learners, config, cache=run / (f"cache_{ranks.rank}" if ranks.rank else "cache"))
    if ranks.replicas > 1:
        check_sharing(learners, config)
    check_saving(config)
    if ranks.leads:
        if not going_on:
            create_run(run, settings)
        if not known.exists():  # a kill may have come between any two files
            manifest.save(known)
        if not list_checkpoints(run):
            with closing(stream.batches()) as batches:  # type: ignore[type-var]  # a generator
                first = (batch.to(device).frames for batch in itertools.islice(batches, BATCHES))
                save_encoder(with_statistics(encoder, first), run, untrained=True)
    return encoder, learners, trainer, stream
