"""`seqff.train`: from videos or a stream to a run folder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, Literal, overload

from seqff.allocator import freed_memory_kept
from seqff.config_io import CONFIG, Settings, load_settings, seed_of
from seqff.devices import choose_device, restarts, world_size
from seqff.distributed.train import train_together
from seqff.files import check_folder
from seqff.nets import Encoder, load_encoder
from seqff.online import StreamLike
from seqff.online.train import train_on_stream
from seqff.training.callbacks.interrupt import stop_between_steps
from seqff.training.dry_run import dry_run_of
from seqff.training.dry_run_result import DryRun
from seqff.training.run_folder import Run, claim_run
from seqff.training.setup import assemble, begin_with, build, open_training, run_settings

Videos = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]


@overload
def train(
    videos: Videos | None = None,
    *,
    out: str | os.PathLike[str],
    stream: StreamLike | None = None,
    config: Settings | None = None,
    preset: str = "default",
    steps: int | None = None,
    init: str | os.PathLike[str] | Encoder | None = None,
    seed: int | None = None,
    device: str = "auto",
    resume: bool = False,
    overwrite: bool = False,
    max_bad: float = 0.05,
    dry_run: Literal[False] = False,
    progress: bool = True,
) -> Run: ...


@overload
def train(
    videos: Videos | None = None,
    *,
    out: str | os.PathLike[str] | None = None,
    stream: StreamLike | None = None,
    config: Settings | None = None,
    preset: str = "default",
    steps: int | None = None,
    init: str | os.PathLike[str] | Encoder | None = None,
    seed: int | None = None,
    device: str = "auto",
    resume: bool = False,
    overwrite: bool = False,
    max_bad: float = 0.05,
    dry_run: Literal[True],
    progress: bool = True,
) -> DryRun: ...


def train(
    videos: Videos | None = None,
    *,
    out: str | os.PathLike[str] | None = None,
    stream: StreamLike | None = None,
    config: Settings | None = None,
    preset: str = "default",
    steps: int | None = None,
    init: str | os.PathLike[str] | Encoder | None = None,
    seed: int | None = None,
    device: str = "auto",
    resume: bool = False,
    overwrite: bool = False,
    max_bad: float = 0.05,
    dry_run: bool = False,
    progress: bool = True,
) -> Run | DryRun:
    """Train an encoder on videos, by default every layer with its own objective (see `TrainConfig.trainer`).

    Under torchrun, all processes make the same call and share the work (see `TrainConfig.stages` and docs/scaling.md).

    Args:
        videos: a folder (searched recursively), a file, a list of files, or a manifest that `scan` wrote.
            None with a stream.
        out: the run folder to create: settings, manifest, metrics.jsonl, checkpoints, encoder. Must not exist, unless
            resume or overwrite is given. None only with dry_run.
        stream: instead of videos, a source that is read once: a camera's number, an address, a named pipe, a growing
            folder, an iterator of frames (uint8 (height, width, 3), each alone or as (seconds, frame)), or a function
            that returns such an iterator, called again when the previous one fails (OSError, EOFError). See
            docs/stream.md.
        config: all settings (`TrainConfig`), or changes to the preset: a mapping such as
            `{"pairs": {"size_px": 96}}`, the path of a YAML file, or the folder of a run to repeat.
        preset: name of a published method in `seqff.presets`.
        steps: batches to train on; overrides the settings.
        init: the initial encoder, which is copied: your own (`Encoder.from_sequential`), or the folder of a run or of a
            pretrained encoder. Its transform sets the frame size, and it serves as the run's untrained net. None for
            fresh weights.
        seed: seed of initial weights, batches and augmentation; None for 0, or that of the run in `config`.
        device: "auto", "cpu" or "cuda".
        resume: continue the run in `out` from its last checkpoint, or start it if there is none. With more steps than
            before the run is extended, and its learning-rate schedule stretched. A stream cannot be replayed and
            continues with new frames.
        overwrite: delete the run in `out` first.
        max_bad: largest share of the videos that may be unreadable.
        dry_run: only return the plan, based on one round of videos and a few steps that are discarded. Nothing is
            written except the scan's manifest in the user's cache folder, which the training then reuses.
        progress: show progress bars, or one line per minute on stderr if it is not a terminal.

    Returns:
        The run: its folder and the trained encoder; for a dry run, the plan.

    Raises:
        SeqffError: the videos, the stream, the run folder or its checkpoint cannot be used; unknown setting or preset.
        ValueError: `out` is missing, or settings do not fit each other or the videos.
    """
    if out is None and not dry_run:
        raise ValueError("give a folder for the run (out, --out); only a dry run (--dry-run) needs none")
    seed, config, run = seed_of(config, seed, init), load_settings(config, preset, steps=steps), Path(out or "")
    if config.steps < 0 and stream is None:
        raise ValueError(f"steps must be at least 1, or 0 for as many as fit the videos, got {config.steps}")
    if dry_run:
        if videos is None or stream is not None:
            raise ValueError("a dry run (--dry-run) needs videos: the frames of a stream are not known in advance")
        if out is not None:
            check_folder(run, marker=CONFIG, overwrite=overwrite, resume=resume)
        return dry_run_of(videos, config, init=init, seed=seed, device=device, max_bad=max_bad, progress=progress)
    if restarts():  # torchrun repeats the command: the existing run is this one
        resume, overwrite = True, False
    if stream is not None and videos is None:
        ways = {"resume": resume, "overwrite": overwrite, "progress": progress}
        return train_on_stream(stream, out=run, config=config, init=init, seed=seed, device=device, **ways)
    if videos is None or stream is not None:
        raise ValueError("give either videos or a stream (seqff train VIDEOS ... or seqff train --stream SOURCE ...)")
    config, given = begin_with(init, config)
    settings, target = run_settings(config, given, seed=seed), choose_device(device)
    options: dict[str, Any] = {"resume": resume, "overwrite": overwrite, "max_bad": max_bad, "progress": progress}
    if world_size() > 1 or config.stages != 1:
        return train_together(run, videos, settings, config, given, seed=seed, device=target, **options)
    build_setup = partial(build, given=given, seed=seed, device=target, max_bad=max_bad, cache=run / "cache")
    with claim_run(run, restarted=restarts() > 0):
        setup = open_training(run, videos, settings, config, build_setup, **options)
        with freed_memory_kept(), stop_between_steps() as stopping:
            trainer, batches = assemble(run, setup, stopping, progress=progress)
            with trainer, closing(batches):
                trainer.fit(batches)
        return Run(run, load_encoder(run, like=setup.encoder), dict(trainer.metrics), trainer.seconds)
