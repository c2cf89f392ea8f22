"""Where a learner of streams comes from."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

from seqff.config import TrainConfig
from seqff.devices import choose_device
from seqff.nets import Encoder
from seqff.online.learner import StreamLearner
from seqff.training.init import begin_with


def stream_learner(
    *,
    out: str | os.PathLike[str],
    config: TrainConfig | None = None,
    size: tuple[int, int] | None = None,
    fps: float | None = None,
    init: str | os.PathLike[str] | Encoder | None = None,
    seed: int = 0,
    device: str = "auto",
    resume: bool = False,
    overwrite: bool = False,
    progress: bool = False,
) -> StreamLearner:
    """Learn from frames as they come, for programs that see: `learner.observe(frame, time)`.

    Each layer learns by its own objective, as in `train`. A step is taken whenever `live.new_frames` frames have come;
    its batch holds them and an even draw of the past, so that distant frames span all that was seen. Memory is
    bounded: `live.reservoir_frames` frames at the encoder's size. The run folder is that of any training.

    Args:
        out: the run folder to write. Must not exist, unless resume or overwrite is given.
        config: all settings; None for the defaults. It learns for as long as frames come, or for config.steps.
        size: (height, width) of the frames to come, px; None waits for the first one to choose the encoder's input.
        fps: frames per second, if they are even (`live.fps`): a longer distance in time then counts as missing frames.
        init: the encoder to begin with, or the folder of one; None for fresh weights.
        seed: of the initial weights, the draws and the augmentation.
        device: "auto", "cpu" or "cuda".
        resume: go on with the run in `out` from its last checkpoint; starts it if there is none. The frames of before
            are gone: the reservoir fills with those that come.
        overwrite: delete the run in `out` first.
        progress: show a progress bar (on a terminal).

    Returns:
        The learner; close it, or use it in a `with`. It writes checkpoints as the settings say, and on `save()`.

    Raises:
        SeqffError: the run folder or its checkpoint cannot be used.
        ValueError: settings that do not fit each other.

    Example::

        with seqff.stream_learner(out="runs/robot") as learner:
            for frame in camera:
                learner.observe(frame, time.monotonic())
            learner.save()
    """
    if fps is not None:
        config = config or TrainConfig()
        config = dataclasses.replace(config, live=dataclasses.replace(config.live, fps=float(fps)))
    learner = build_learner(
        out=out,
        config=config,
        init=init,
        seed=seed,
        device=device,
        resume=resume,
        overwrite=overwrite,
        progress=progress,
    )
    learner.begin(size)
    return learner


def build_learner(
    *,
    out: str | os.PathLike[str],
    config: TrainConfig | None,
    init: str | os.PathLike[str] | Encoder | None,
    seed: int,
    device: str,
    **options: bool,
) -> StreamLearner:
    """Make a learner that writes nothing before its first frame; for the arguments see `stream_learner`."""
    config, given = begin_with(init, config or TrainConfig())
    return StreamLearner(Path(out), config, given=given, seed=seed, device=choose_device(device), **options)
