"""Entry points for training on a stream: read a source to its end, or pass frames one by one."""

from __future__ import annotations

import dataclasses
import logging
import os
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from seqff.allocator import freed_memory_kept
from seqff.config import TrainConfig
from seqff.config_io import Settings, load_settings
from seqff.errors import SeqffError
from seqff.nets import Encoder, load_encoder
from seqff.online.learner import StreamLearner
from seqff.online.reader import StreamReader
from seqff.online.sources import StreamLike, open_stream
from seqff.training.callbacks.interrupt import stop_between_steps
from seqff.training.run_folder import Run
from seqff.transform import fit_transform

log = logging.getLogger(__name__)


def train_on_stream(stream: StreamLike, *, out: Path, config: TrainConfig, **options: Any) -> Run:
    """Train on a source that can only be read once; see `seqff.train`.

    Returns:
        The run, with counts of received and lost frames.

    Raises:
        SeqffError: the source cannot be opened or reconnected (progress is saved in a checkpoint), the run folder
            cannot be used, or the source ended before the first step.
        KeyboardInterrupt: SIGINT or SIGTERM was received; progress is saved in a checkpoint.
    """
    with StreamLearner(out, config, **options) as learner:
        live, pairs, began = learner.config.live, learner.config.pairs, time.monotonic()
        if live.minutes < 0:
            raise ValueError(f"live.minutes must be at least 0, got {live.minutes}")

        def decode_size(height: int, width: int) -> tuple[int, int]:
            return fit_transform(pairs.size_px, [(height, width)]).decode_size(height, width)

        source = open_stream(stream, live, size=decode_size)
        source.recall(learner.statistics().get("state", {}))
        until = began + 60 * live.minutes if live.minutes else float("inf")
        with stop_between_steps() as stopping, freed_memory_kept(), StreamReader(source, live) as reader:
            learner.source = reader
            _follow(learner, reader, lambda: not stopping() and time.monotonic() < until and not learner.done)
            if learner.step:
                learner.save()
            if stopping() and not learner.done:
                log.warning(
                    "stopped after step %d; the same command with --resume continues with new frames",
                    learner.step,
                )
                raise KeyboardInterrupt
        if not learner.step:
            raise SeqffError(f"{source.name} ended after {learner.frames} frames, too few for a first step")
        encoder = load_encoder(learner.path, like=learner.encoder)
        return Run(learner.path, encoder, learner.metrics, time.monotonic() - began, learner.statistics())


def _follow(learner: StreamLearner, reader: StreamReader, go_on: Callable[[], bool]) -> None:
    """Learn from a source until it ends or `go_on` returns False; saves the progress if it fails."""
    with closing(reader.frames(go_on)) as frames:
        while True:
            try:
                arrival = next(frames, None)
            except Exception:
                if learner.step:
                    learner.save()
                raise
            if arrival is None:
                return
            learner.take(arrival.image, arrival.seconds, skipped=arrival.skipped, cut=arrival.cut)


def stream_learner(
    *,
    out: str | os.PathLike[str],
    config: Settings | None = None,
    preset: str = "default",
    size: tuple[int, int] | None = None,
    fps: float | None = None,
    init: str | os.PathLike[str] | Encoder | None = None,
    seed: int = 0,
    device: str = "auto",
    resume: bool = False,
    overwrite: bool = False,
    progress: bool = False,
) -> StreamLearner:
    """Learn online from frames passed by a program: `learner.observe(frame, time)`.

    Each layer learns by its own objective, as in `train`. A step is taken after every `live.new_frames` frames; its
    batch consists of them and a uniform sample of the past, so that distant frames span the whole stream. Memory is
    bounded: `live.reservoir_frames` frames at the encoder's size. The run folder is like that of any training.

    Args:
        out: run folder to write. Must not exist, unless resume or overwrite is given.
        config: all settings, or those that differ from the preset; see `seqff.train`. Training ends with the frames, or
            after config.steps.
        preset: name of a published method in `seqff.presets`.
        size: (height, width) of the frames, px; None chooses the encoder's input size at the first frame.
        fps: frames per second, if constant (`live.fps`); longer intervals then count as missing frames.
        init: initial encoder, or its folder; None for random weights.
        seed: seed of the initial weights, the sampling and the augmentation.
        device: "auto", "cpu" or "cuda".
        resume: continue the run in `out` from its last checkpoint; starts it if there is none. Earlier frames are lost:
            the reservoir fills with new ones.
        overwrite: delete the run in `out` first.
        progress: show a progress bar; without a terminal, log a line per minute to stderr.

    Returns:
        The learner; close it, or use it in a `with` block. It writes checkpoints as configured, and on `save()`.

    Raises:
        SeqffError: the run folder or its checkpoint cannot be used.
        ValueError: inconsistent settings.

    Example::

        with seqff.stream_learner(out="runs/robot") as learner:
            for frame in camera:
                learner.observe(frame, time.monotonic())
            learner.save()
    """
    config = load_settings(config, preset)
    if fps is not None:
        config = dataclasses.replace(config, live=dataclasses.replace(config.live, fps=float(fps)))
    ways = {"resume": resume, "overwrite": overwrite, "progress": progress}
    learner = StreamLearner(Path(out), config, init=init, seed=seed, device=device, **ways)
    learner.begin(size)
    return learner
