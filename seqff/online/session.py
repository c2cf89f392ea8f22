"""One process's part of a training on a stream: the layers, what they are fed with, and the run folder."""

from __future__ import annotations

import itertools
import logging
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from tqdm import tqdm

from seqff.nets import Encoder, build_encoder, save_encoder, with_statistics
from seqff.online.buffer import StreamBuffer
from seqff.online.moments import Moment
from seqff.pairs import FrameBatch
from seqff.training.activations import Example
from seqff.training.build import build_trainer
from seqff.training.calibrate import BATCHES, calibrate
from seqff.training.journal import Journal
from seqff.training.learner import build_learners
from seqff.training.loop import MIXTURES, example
from seqff.training.parallel.ranks import ALONE
from seqff.training.parallel.stages import Stage
from seqff.training.run import create_run
from seqff.training.saving import Saver
from seqff.training.steps import Steps
from seqff.training.watch import Watch
from seqff.video.info import Frames

if TYPE_CHECKING:
    from seqff.online.learner import StreamLearner

log = logging.getLogger(__name__)
LATE = 5000
"""Frames after which it is said that there is no first step yet."""


class Session:
    """Takes a step whenever the buffer has enough that is new.

    Args:
        owner: its run folder, settings and facts.
        buffer: of the stream.
        given: the encoder to begin with; None for fresh weights.
        seed: of the weights and all draws.
        device: where to compute.
        progress: show a progress bar (on a terminal).

    Attributes:
        encoder: the net that learns.
        steps: takes the steps.
        saved: step of the last checkpoint of this process; 0 if there is none.

    Raises:
        SeqffError: the run folder or its checkpoint cannot be used.
        ValueError: settings that do not fit each other.
    """

    def __init__(
        self,
        owner: StreamLearner,
        buffer: StreamBuffer,
        given: Encoder | None,
        seed: int,
        device: torch.device,
        *,
        progress: bool,
    ) -> None:
        config = owner.config
        self.owner, self.buffer, self.config, self.seed, self.device = owner, buffer, config, seed, device
        encoder = given or build_encoder(config.encoder, buffer.transform, seed=seed)
        self.encoder: Encoder = encoder.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        # a stream is one video: no term between videos has anything to learn, so the others have all channels
        alone = replace(config, objective=replace(config.objective, video_channels=0.0))
        self.learners = build_learners(self.encoder, alone, seed=seed)
        trainer = build_trainer(self.learners, config, endless=True)
        self.mixtures = any(learner.objective.needs_mixtures for learner in self.learners)
        if not owner.going_on:
            create_run(owner.path, owner.settings)
        stage = Stage(self.learners, trainer, (lambda: (_ for _ in ()), 0, self.mixtures), config, ALONE)
        watch = Watch(self.learners, config)  # beside the layers as they are before any checkpoint
        saver = Saver(owner.path, self.encoder, self.learners, self.learners, config, ALONE)
        step = saver.resume().step
        journal = Journal(owner.path, watch, ALONE, step=step, loggers=config.loggers)
        bar = tqdm(
            total=config.steps or None, initial=step, unit="step", desc="train", disable=None if progress else True
        )
        self.steps = Steps(stage, watch, saver, journal, config, ALONE, bar, step=step)
        self.saved, self._started, self._began = step, step > 0, time.monotonic()
        if step:
            log.warning(
                "goes on from step %d; a stream cannot be replayed, and the frames of before are gone: it learns from "
                "those that come, its past begins now", step,
            )  # fmt: skip

    def add(self, image: Frames, moment: Moment) -> bool:
        """Take in a frame, and take a step if one is due; say whether one was taken."""
        if self.owner.done or not self.buffer.add(image, moment):
            if not self._started and self.owner.frames == LATE:
                log.warning(
                    "%d frames have come, and no step could be taken: there are %d of %d stretches that nothing broke "
                    "(lost connections, dropped frames, shot cuts), and the past must reach back twice pairs.far",
                    LATE, self.buffer.reservoir.count, self.buffer.stretches,
                )  # fmt: skip
            return False
        if not self._started:
            self._start()
        facts = {"stream_frames": self.owner.frames, "dropped": self.owner.dropped}
        decision = self.steps.take(*self._example(self.steps.step), lambda: False, facts)
        self.buffer.absorb()
        if decision.save:
            self.saved = self.steps.step
            self.owner.write_facts()
        if decision.collapsed:
            raise self.steps.collapsed()
        return True

    def _start(self) -> None:
        """Leave the untrained net in the run folder, and measure what is to be measured before the first step."""
        self.buffer.check_pairs()
        first = (self._batch(0, number).frames.to(self.device) for number in range(BATCHES))
        save_encoder(with_statistics(self.encoder, first), self.owner.path, untrained=True)
        calibrate(self.learners, (self._example(0, number) for number in itertools.count()))
        self._started = True

    def _batch(self, *key: int) -> FrameBatch:
        return self.buffer.batch(*key)

    def _example(self, *key: int) -> Example:
        mixing = np.random.default_rng([self.seed, MIXTURES, *key]) if self.mixtures else None
        return example(self._batch(*key), self.config, self.device, mixing)

    def save(self) -> None:
        """Write a checkpoint."""
        self.steps.save()
        self.saved = self.steps.step

    def close(self) -> None:
        """Let the journal and the bar finish."""
        self.steps.journal.close()
        self.steps.bar.close()
