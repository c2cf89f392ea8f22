"""The layers that learn from a stream, what they are fed with, and their trainer."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import torch

from seqff.config import TrainConfig
from seqff.nets import Encoder, build_encoder, save_encoder, with_statistics
from seqff.online.buffer import StreamBuffer
from seqff.online.stamps import FrameStamp
from seqff.random_streams import RandomStream
from seqff.training.batches import Example, example
from seqff.training.calibrate import BATCHES, calibrate
from seqff.training.callbacks.checkpoints import Checkpointer
from seqff.training.callbacks.collapse import CollapseMonitor
from seqff.training.callbacks.metrics import MetricsWriter
from seqff.training.callbacks.progress import ProgressBar
from seqff.training.learner import build_learners
from seqff.training.strategies import build_strategy
from seqff.training.trainer import Callback, StepReport, Trainer
from seqff.video.reader import Frames

log = logging.getLogger(__name__)
LATE = 5000
"""Frames after which it is said that there is no first step yet."""


class StreamFacts(Callback):
    """Notes what came and what was lost beside the metrics, and writes it down with every checkpoint.

    Args:
        counts: gives what a line says of it.
        write: writes stream.json.
    """

    def __init__(self, counts: Callable[[], Mapping[str, float]], write: Callable[[], None]) -> None:
        self.counts, self.write = counts, write

    def after_step(self, report: StepReport) -> None:
        """See `Callback`."""
        report.facts |= self.counts()

    def on_checkpoint(self, step: int) -> None:
        """See `Callback`."""
        self.write()


class Session:
    """Takes a step whenever the buffer has enough that is new. Nothing is written before `open`.

    Args:
        buffer: of the stream.
        config: settings of the training.
        given: the encoder to begin with; None for fresh weights.
        seed: of the weights and all draws.
        device: where to compute.

    Attributes:
        encoder: the net that learns.
        learners: of its layers.

    Raises:
        ValueError: settings that do not fit each other.
    """

    def __init__(
        self, buffer: StreamBuffer, config: TrainConfig, given: Encoder | None, *, seed: int, device: torch.device
    ) -> None:
        self.buffer, self.config, self.seed, self.device, self.frames = buffer, config, seed, device, 0
        encoder = given or build_encoder(config.encoder, buffer.transform, seed=seed)
        self.encoder: Encoder = encoder.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        # a stream is one video: no term between videos has anything to learn, so the others have all channels
        alone = replace(config, objective=replace(config.objective, video_channels=0.0))
        self.learners = build_learners(self.encoder, alone, seed=seed)
        self.strategy = build_strategy(self.learners, config, endless=True)
        self.mixtures = any(learner.objective.needs_mixtures for learner in self.learners)

    def open(self, run: Path, facts: StreamFacts, *, progress: bool) -> None:
        """Go on from the last checkpoint in the run folder, if there is one.

        Args:
            run: the run folder.
            facts: what came of the stream.
            progress: show a progress bar (on a terminal).

        Raises:
            SeqffError: the run folder or its checkpoint cannot be used.
        """
        config = self.config
        monitor = CollapseMonitor(self.learners, config)  # beside the layers as they are before any checkpoint
        self.checkpointer = Checkpointer(run, self.encoder, self.learners, config)
        step = self.checkpointer.resume().step
        metrics = MetricsWriter(run, every=config.log_every, step=step, loggers=config.loggers)
        monitor.recall(metrics.kept)
        bar = ProgressBar(config.steps, step=step, shown=progress)
        callbacks = [facts, monitor, metrics, bar, self.checkpointer]
        self.trainer = Trainer(self.encoder, self.learners, self.strategy, callbacks, steps=config.steps, step=step)
        self.run, self._started = run, step > 0
        if step:
            log.warning(
                "goes on from step %d; a stream cannot be replayed, and the frames of before are gone: it learns from "
                "those that come, its past begins now", step,
            )  # fmt: skip

    @property
    def done(self) -> bool:
        """Whether all steps that the settings ask for are taken."""
        return 0 < self.config.steps <= self.trainer.step

    def add(self, image: Frames, stamp: FrameStamp) -> bool:
        """Take in a frame, and take a step if one is due; say whether one was taken."""
        self.frames += 1
        if self.done or not self.buffer.add(image, stamp):
            if not self._started and self.frames == LATE:
                log.warning(
                    "%d frames have come, and no step could be taken: there are %d of %d clips that nothing broke "
                    "(lost connections, dropped frames, shot cuts), and the past must reach back twice pairs.far",
                    LATE, self.buffer.reservoir.count, self.buffer.clips,
                )  # fmt: skip
            return False
        if not self._started:
            self._start()
        self.trainer.fit([self._example(self.trainer.step)])
        self.buffer.absorb()
        return True

    def _start(self) -> None:
        """Leave the untrained net in the run folder, and measure what is to be measured before the first step."""
        self.buffer.check_pairs()
        first = (self.buffer.batch(0, number).frames.to(self.device) for number in range(BATCHES))
        save_encoder(with_statistics(self.encoder, first), self.run, untrained=True)
        calibrate(self.learners, (self._example(0, number) for number in itertools.count()))
        self._started = True

    def _example(self, *key: int) -> Example:
        mixing = RandomStream.MIXTURES.generator(self.seed, *key) if self.mixtures else None
        return example(self.buffer.batch(*key), self.config, self.device, mixing)

    def save(self) -> None:
        """Write a checkpoint, unless the last one is of now."""
        if self.checkpointer.saved != self.trainer.step or not self.checkpointer.saved:
            self.checkpointer.on_checkpoint(self.trainer.step)
