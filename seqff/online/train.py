"""`seqff train --stream`: a source is read to its end, or for as long as is wanted."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from typing import Any

from seqff.allocator import freed_memory_kept
from seqff.errors import SeqffError
from seqff.nets import load_encoder
from seqff.online.kinds import StreamLike, open_stream
from seqff.online.learner import StreamLearner
from seqff.online.reader import StreamReader
from seqff.online.start import build_learner
from seqff.training.interrupt import stop_between_steps
from seqff.training.loop import Run
from seqff.transform import fit_transform

log = logging.getLogger(__name__)


def train_on_stream(stream: StreamLike, **settings: Any) -> Run:
    """Train on a source that comes once; see `seqff.train`.

    Args:
        stream: the source.
        settings: what `build_learner` takes.

    Returns:
        The run, with what came and what was lost.

    Raises:
        SeqffError: the source cannot be opened, or not again (then what was learned is in a checkpoint); the run
            folder cannot be used; or the source ended before the first step.
        KeyboardInterrupt: SIGINT or SIGTERM came; what was learned is in a checkpoint.
    """
    with build_learner(**settings) as learner:
        live, began = learner.config.live, time.monotonic()
        if live.minutes < 0:
            raise ValueError(f"live.minutes must be at least 0, got {live.minutes}")
        source = open_stream(stream, live, size=partial(_decode_size, learner.config.pairs.size_px))
        source.recall(learner.facts().get("state", {}))
        until = began + 60 * live.minutes if live.minutes else float("inf")
        with stop_between_steps() as stopping, freed_memory_kept(), StreamReader(source, live) as reader:
            learner.follow(reader)
            _follow(learner, reader, lambda: not stopping() and time.monotonic() < until and not learner.done)
            if learner.step:
                learner.save()
            if stopping() and not learner.done:
                log.warning(
                    "stopped after step %d; the same command with --resume goes on with the frames that come then",
                    learner.step,
                )
                raise KeyboardInterrupt
        if not learner.step:
            raise SeqffError(f"{source.name} ended after {learner.frames} frames, too few for a first step")
        encoder = load_encoder(learner.path, like=learner.encoder)
        return Run(learner.path, encoder, learner.figures, time.monotonic() - began, learner.facts())


def _follow(learner: StreamLearner, reader: StreamReader, go_on: Callable[[], bool]) -> None:
    """Learn from the frames of a source for as long as is wanted; if it fails, what was learned is saved."""
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


def _decode_size(size_px: int, height: int, width: int) -> tuple[int, int]:
    """Return the size to decode at: what the encoder will see of such a stream."""
    return fit_transform(size_px, [(height, width)]).decode_size(height, width)
