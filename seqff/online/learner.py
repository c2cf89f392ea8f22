"""Online learning frame by frame: the interface for robots, and the core of `seqff train --stream`."""

from __future__ import annotations

import itertools
import logging
import math
import os
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from seqff.config import TrainConfig
from seqff.devices import choose_device, world_size
from seqff.errors import RunError, SeqffError
from seqff.files import write_json
from seqff.grid_mean import grid_mean
from seqff.nets import Encoder, build_encoder, load_encoder, save_encoder, with_statistics
from seqff.online.buffer import FrameClock, StreamBuffer
from seqff.online.reader import check_live
from seqff.online.statistics import add_up, read_statistics
from seqff.pairs import distances
from seqff.random_streams import RandomStream
from seqff.training.batches import Example, example
from seqff.training.calibrate import BATCHES, calibrate
from seqff.training.learner import build_learners
from seqff.training.run_folder import STREAM, check_run, claim_run, create_run
from seqff.training.setup import begin_with, build_trainer, run_settings
from seqff.training.strategies import build_strategy
from seqff.training.trainer import Callback, StepReport, Trainer
from seqff.transform import FrameTransform, fit_transform
from seqff.video.images import resized
from seqff.video.reader import Frames

log = logging.getLogger(__name__)
GRID = 2
"""Cells per side that `features` pools maps to, the default of `seqff extract`."""
LATE = 5000
"""Number of frames without a first step after which a warning is logged."""


class Source(Protocol):
    """The origin of the frames; `dropped` counts those that were not consumed in time."""

    dropped: int

    def statistics(self) -> dict[str, Any]:
        """Return counts of received and lost frames as plain data."""


class StreamLearner:
    """Trains an encoder on frames as they arrive; see `stream_learner`. Not thread-safe.

    Attributes:
        path: the run folder; nothing is written before the first frame.
        config: all settings.
        frames: number of frames observed in this process.
        source: origin of the frames, for stream.json; None if a program passes them.
    """

    def __init__(
        self,
        out: Path,
        config: TrainConfig,
        *,
        init: str | os.PathLike[str] | Encoder | None,
        seed: int,
        device: str,
        resume: bool,
        overwrite: bool,
        progress: bool,
    ) -> None:
        if world_size() > 1:
            raise ValueError("a stream comes to one process: start without torchrun")
        check_live(config.live)
        self.path, self.frames, self._seed, self._progress = out, 0, seed, progress
        self.config, self._given = begin_with(init, config)
        self._device = choose_device(device)
        self.settings = run_settings(self.config, self._given, seed=seed)
        self._claim = claim_run(out)
        try:
            self.going_on = check_run(out, self.settings, resume=resume, overwrite=overwrite, stream=True)
        except BaseException:
            self._claim.close()
            raise
        self._clock = FrameClock(config.live.fps, config.pairs)
        self._before = read_statistics(out) if self.going_on else {}
        self.source: Source | None = None
        self._last: float | None = None
        self._trainer: Trainer | None = None

    def begin(self, shape: tuple[int, int] | None = None) -> None:
        """Build the encoder and open the run folder, if the input size is known.

        Args:
            shape: (height, width) of the frames, px; None to use that of the run or the initial encoder, if any.
        """
        if self._trainer is None and (transform := self._transform(shape)) is not None:
            try:
                self._trainer = self._build_trainer(transform)
            except BaseException:
                self._claim.close()
                raise

    def _transform(self, shape: tuple[int, int] | None) -> FrameTransform | None:
        if self._given is not None:
            return self._given.transform
        if self.going_on:
            try:
                return load_encoder(self.path, untrained=True).transform
            except RunError:  # interrupted before the first step
                pass
        return None if shape is None else fit_transform(self.config.pairs.size_px, [shape], fit=self.config.pairs.fit)

    def _build_trainer(self, transform: FrameTransform) -> Trainer:
        """Build the trainer and the buffer, and restore the last checkpoint if there is one."""
        config = self.config
        self._buffer = StreamBuffer(transform, config, self._seed)
        fresh = self._given or build_encoder(config.encoder, transform, seed=self._seed)
        encoder: Encoder = fresh.to(self._device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        # A stream is one video, so terms between videos have nothing to learn and the others get all channels.
        alone = replace(config, objective=replace(config.objective, video_channels=0.0))
        learners = build_learners(encoder, alone, seed=self._seed)
        strategy = build_strategy(learners, config, endless=True)
        self._mixtures = any(learner.objective.needs_mixtures for learner in learners)
        if not self.going_on:
            create_run(self.path, self.settings)
        trainer, self._checkpointer, _ = build_trainer(
            self.path, encoder, learners, strategy, config, [StreamStatistics(self)], progress=self._progress
        )
        self._started = trainer.step > 0
        if self._started:
            log.warning(
                "continues from step %d; a stream cannot be replayed: the reservoir starts empty, and training uses "
                "new frames", trainer.step,
            )  # fmt: skip
        return trainer

    def observe(self, frame: Frames, time: float | None = None) -> bool:
        """Add a frame, and take a training step if enough new frames have arrived.

        Args:
            frame: uint8 (height, width, 3), RGB, of any size; it is copied.
            time: capture time in seconds, by any clock that does not run backwards; None for evenly spaced frames.
                Give it always or never.

        Returns:
            Whether the layers have taken a step.

        Raises:
            TypeError, ValueError: the frame is invalid, or its time is before the previous one.
            SeqffError: a layer has collapsed, and `on_collapse` is "stop".
            RunError: a loss is not finite, or a checkpoint cannot be written.
        """
        check_frame(frame)
        if (time is None) != (self._last is None) and self.frames:
            raise ValueError("time must be given with every frame or with none")
        if time is None and distances(self.config.pairs)[2] == "seconds" and not self.config.live.fps:
            raise ValueError("pairs.gap in seconds needs times: give time with every frame, or fps (live.fps)")
        if time is not None:
            time = float(time)
            if not math.isfinite(time) or (self._last is not None and time < self._last):
                raise ValueError(f"time must not run backwards: {time} s after {self._last} s")
            self._last = time
        return self.take(frame, time)

    def take(self, frame: Frames, seconds: float | None, *, skipped: int = 0, cut: bool = False) -> bool:
        """Like `observe`, for a source whose clock may restart (see `FrameClock.next`)."""
        self.begin(frame.shape[:2])
        trainer = self._begun()
        self.frames += 1
        image = fit_frame(frame, trainer.encoder.transform)
        stamp = self._clock.next(image, seconds, skipped=skipped, cut=cut)
        if self.done or not self._buffer.add(image, stamp):
            if not self._started and self.frames == LATE:
                log.warning(
                    "%d frames have come, and no step could be taken: there are %d of %d clips that nothing broke "
                    "(lost connections, dropped frames, shot cuts), and the past must reach back twice pairs.far",
                    LATE, self._buffer.reservoir.count, self._buffer.clips,
                )  # fmt: skip
            return False
        if not self._started:
            self._start(trainer)
        trainer.fit([self._example(trainer.step)])
        self._buffer.absorb()
        return True

    def _start(self, trainer: Trainer) -> None:
        """Save the untrained net in the run folder, and calibrate tolerances before the first step."""
        self._buffer.check_pairs()
        first = (self._buffer.batch(0, number).frames.to(self._device) for number in range(BATCHES))
        save_encoder(with_statistics(trainer.encoder, first), self.path, untrained=True)
        calibrate(trainer.learners, (self._example(0, number) for number in itertools.count()))
        self._started = True

    def _example(self, *key: int) -> Example:
        mixing = RandomStream.MIXTURES.generator(self._seed, *key) if self._mixtures else None
        return example(self._buffer.batch(*key), self.config, self._device, mixing)

    @property
    def step(self) -> int:
        """Number of steps taken, including those of resumed processes."""
        return 0 if self._trainer is None else self._trainer.step

    @property
    def done(self) -> bool:
        """Whether all steps in the settings are taken; further frames are not learned from."""
        return 0 < self.config.steps <= self.step

    @property
    def encoder(self) -> Encoder:
        """The current encoder, still in training; `save` writes a copy to the run folder.

        Raises:
            SeqffError: there is no encoder before the first frame, unless `size` was given.
        """
        return self._begun().encoder

    @property
    def metrics(self) -> dict[str, float]:
        """The last logged metrics, `layer/name` -> value."""
        return {} if self._trainer is None else dict(self._trainer.metrics)

    @torch.no_grad()
    def features(self, frame: Frames) -> dict[str, NDArray[np.float32]]:
        """Return the features of a frame by the current encoder, without learning from it.

        Args:
            frame: uint8 (height, width, 3), RGB.

        Returns:
            Name of each layer -> (C * 4,) float32, means over a 2 x 2 grid, as `seqff extract` stores them.
        """
        check_frame(frame)
        encoder = self.encoder
        image = fit_frame(frame, encoder.transform)
        x = encoder.transform.scale(torch.from_numpy(image)[None]).to(self._device)
        names = [info.name for info in encoder.feature_info]
        encoder.eval()
        try:
            maps = encoder(x)
        finally:
            encoder.train()
        return {n: grid_mean(h.float(), GRID).flatten().cpu().numpy() for n, h in zip(names, maps, strict=True)}

    def save(self) -> Path:
        """Write a checkpoint and the encoder, and return the run folder.

        Raises:
            SeqffError: there was no frame yet.
            RunError: the folder cannot be written.
        """
        step, saved = self._begun().step, self._checkpointer.saved
        if saved != step or not saved:
            self._checkpointer.on_checkpoint(step)
        self.write_statistics()
        return self.path

    def statistics(self) -> dict[str, Any]:
        """Return counts of received and lost frames, in this process and earlier ones: the content of stream.json."""
        source = {"source": "frames given to observe"} if self.source is None else self.source.statistics()
        return add_up(self._before, {"frames": self.frames, "sessions": 1, **source})

    def write_statistics(self) -> None:
        """Write stream.json."""
        write_json(self.path / STREAM, self.statistics())

    def close(self) -> None:
        """End the training and complete `metrics.jsonl`; does not save."""
        if self._trainer is not None:
            self._trainer.close()
        self._claim.close()

    def _begun(self) -> Trainer:
        if self._trainer is None:
            raise SeqffError(
                "no frame has come yet, and the encoder waits for the first to know its shape (or for size)"
            )
        return self._trainer

    def __enter__(self) -> StreamLearner:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class StreamStatistics(Callback):
    """Logs counts of received and lost frames with the metrics, and writes stream.json with every checkpoint."""

    def __init__(self, learner: StreamLearner) -> None:
        self.learner = learner

    def after_step(self, report: StepReport) -> None:
        source = self.learner.source
        report.extra |= {"stream_frames": self.learner.frames, "dropped": source.dropped if source else 0}

    def on_checkpoint(self, step: int) -> None:
        self.learner.write_statistics()


def check_frame(frame: Any) -> None:
    """Raise TypeError or ValueError unless `frame` is uint8 (height, width, 3)."""
    if not isinstance(frame, np.ndarray):
        raise TypeError(f"a frame must be a numpy array, uint8 (height, width, 3), got {type(frame).__name__}")
    if frame.ndim != 3 or frame.shape[2] != 3 or not frame.size or frame.dtype != np.uint8:
        raise ValueError(f"a frame must be uint8 (height, width, 3), RGB, got {frame.dtype} {frame.shape}")


def fit_frame(frame: Frames, transform: FrameTransform) -> Frames:
    """Return a frame at the encoder's input size: resized, then center-cropped or padded with bars."""
    image = resized(frame, *transform.decode_size(*frame.shape[:2]))
    return transform.framed(torch.from_numpy(image)[None])[0].numpy()
