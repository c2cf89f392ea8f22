"""Learning from frames as they come: what a robot calls, and what `seqff train --stream` is made of."""

from __future__ import annotations

import math
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from seqff.config import TrainConfig
from seqff.config_io import to_dict
from seqff.devices import world_size
from seqff.errors import RunError, SeqffError
from seqff.grid_mean import grid_mean
from seqff.nets import Encoder, load_encoder
from seqff.online.buffer import StreamBuffer
from seqff.online.facts import add_up, read_facts, write_facts
from seqff.online.reader import check_live
from seqff.online.session import Session, StreamFacts
from seqff.online.stamps import FrameClock
from seqff.pairs import distances
from seqff.training.callbacks.checkpoints import check_saving
from seqff.training.callbacks.loggers import check_loggers
from seqff.training.run_folder import MANIFEST, check_run, claim_run, create_run
from seqff.transform import FrameTransform, fit_transform
from seqff.video.images import resized
from seqff.video.reader import Frames

GRID = 2
"""Cells along each side that `features` pools maps to, as `seqff extract` does by default."""


class Source(Protocol):
    """Where the frames come from; `dropped` are those that nobody took in time."""

    dropped: int

    def facts(self) -> dict[str, Any]:
        """Return what came and what was lost, as plain data."""


class StreamLearner:
    """Trains an encoder on frames that come once; see `stream_learner`. Not to be used by two threads at a time.

    Attributes:
        path: the run folder.
        config: all settings.
        frames: how many it has been given in this process.
    """

    def __init__(
        self,
        out: Path,
        config: TrainConfig,
        *,
        given: Encoder | None,
        seed: int,
        device: torch.device,
        resume: bool,
        overwrite: bool,
        progress: bool,
    ) -> None:
        if world_size() > 1:
            raise ValueError("a stream comes to one process: start without torchrun")
        check_live(config.live)
        check_saving(config)
        check_loggers(config)
        self.settings = {"seed": seed, **({} if given is None else {"init": given.hash()}), **to_dict(config)}
        self._claim = claim_run(out)
        try:
            self.going_on = check_run(out, self.settings, resume=resume, overwrite=overwrite)
            if self.going_on and (out / MANIFEST).exists():
                raise RunError(f"{out} is a training on videos, and cannot go on with a stream: choose another folder")
        except BaseException:
            self._claim.close()
            raise
        self.path, self.config, self.frames = out, config, 0
        self._given, self._seed, self._device, self._progress = given, seed, device, progress
        self._clock = FrameClock(config.live.fps, config.pairs)
        self._before = read_facts(out) if self.going_on else {}
        self._source: Source | None = None
        self._last: float | None = None
        self._session: Session | None = None

    def begin(self, shape: tuple[int, int] | None = None) -> bool:
        """Make the encoder, and open the run folder, if it is known which input it has.

        Args:
            shape: (height, width) of the frames, px; None if only the run or the encoder to begin with can say.

        Returns:
            Whether there is an encoder now.
        """
        if self._session is None and (transform := self._transform(shape)) is not None:
            buffer = StreamBuffer(transform, self.config, self._seed)
            try:
                session = Session(buffer, self.config, self._given, seed=self._seed, device=self._device)
                if not self.going_on:
                    create_run(self.path, self.settings)
                facts = StreamFacts(lambda: {"stream_frames": self.frames, "dropped": self.dropped}, self.write_facts)
                session.open(self.path, facts, progress=self._progress)
            except BaseException:
                self._claim.close()
                raise
            self._session = session
        return self._session is not None

    def _transform(self, shape: tuple[int, int] | None) -> FrameTransform | None:
        if self._given is not None:
            return self._given.transform
        if self.going_on:
            try:
                return load_encoder(self.path, untrained=True).transform
            except RunError:  # it was stopped before the first step
                pass
        return None if shape is None else fit_transform(self.config.pairs.size_px, [shape], fit=self.config.pairs.fit)

    def observe(self, frame: Frames, time: float | None = None) -> bool:
        """Take in a frame, and learn from it and what came before when enough is new.

        Args:
            frame: uint8 (height, width, 3), RGB, of any size; it is copied.
            time: when it was seen, seconds by a clock of yours that does not run backwards; None for frames that are
                evenly spaced. Always or never.

        Returns:
            Whether the layers have taken a step.

        Raises:
            TypeError, ValueError: no such frame, or a time before that of the last one.
            SeqffError: a layer has collapsed, and `on_collapse` is "stop".
            RunError: a loss is not a finite number, or a checkpoint cannot be written.
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
        """Take in a frame of a source whose clock may begin anew (see `FrameClock.next`); otherwise as `observe`."""
        self.begin(frame.shape[:2])
        session = self._begun()
        self.frames += 1
        image = fit_frame(frame, session.encoder.transform)
        return session.add(image, self._clock.next(image, seconds, skipped=skipped, cut=cut))

    @property
    def step(self) -> int:
        """Steps taken, those of resumed processes included."""
        return 0 if self._session is None else self._session.trainer.step

    @property
    def done(self) -> bool:
        """Whether all steps that the settings ask for are taken; what is observed then is not learned from."""
        return self._session is not None and self._session.done

    @property
    def encoder(self) -> Encoder:
        """The net as it is now, which goes on learning; `save` leaves a copy in the run folder.

        Raises:
            SeqffError: it is made when the first frame comes, and none has (give `size` to have it made at once).
        """
        return self._begun().encoder

    @property
    def figures(self) -> dict[str, float]:
        """The last figures that were logged, `layer/name` -> value."""
        return {} if self._session is None else dict(self._session.trainer.metrics)

    @torch.no_grad()
    def features(self, frame: Frames) -> dict[str, NDArray[np.float32]]:
        """Return the features of a frame by the encoder as it is now; the frame is not learned from.

        Args:
            frame: uint8 (height, width, 3), RGB.

        Returns:
            Name of each layer -> (C * 4,) float32, means over a 2 x 2 grid, as `seqff extract` stores them.
        """
        check_frame(frame)
        session = self._begun()
        image = fit_frame(frame, session.encoder.transform)
        x = session.encoder.transform.scale(torch.from_numpy(image)[None]).to(self._device)
        names = [info.name for info in session.encoder.feature_info]
        session.encoder.eval()
        try:
            maps = session.encoder(x)
        finally:
            session.encoder.train()
        return {n: grid_mean(h.float(), GRID).flatten().cpu().numpy() for n, h in zip(names, maps, strict=True)}

    def save(self) -> Path:
        """Write a checkpoint and the encoder now, and return the run folder.

        Raises:
            SeqffError: no frame has come yet.
            RunError: the folder cannot be written.
        """
        self._begun().save()
        self.write_facts()
        return self.path

    def follow(self, source: Source) -> None:
        """Say where the frames come from, for the log and stream.json."""
        self._source = source

    @property
    def dropped(self) -> int:
        """Frames that came too fast to be learned from, in this process."""
        return 0 if self._source is None else self._source.dropped

    def facts(self) -> dict[str, Any]:
        """Return what came and what was lost, in this process and those before it: the content of stream.json."""
        source = {"source": "frames given to observe"} if self._source is None else self._source.facts()
        return add_up(self._before, {"frames": self.frames, "sessions": 1, **source})

    def write_facts(self) -> None:
        """Write stream.json."""
        write_facts(self.path, self.facts())

    def close(self) -> None:
        """End the session: `metrics.jsonl` is complete. Nothing is saved by this."""
        if self._session is not None:
            self._session.trainer.close()
        self._claim.close()

    def _begun(self) -> Session:
        if self._session is None:
            raise SeqffError(
                "no frame has come yet, and the encoder waits for the first to know its shape (or for size)"
            )
        return self._session

    def __enter__(self) -> StreamLearner:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def check_frame(frame: Any) -> None:
    """Raise TypeError or ValueError unless this is a frame, uint8 (height, width, 3)."""
    if not isinstance(frame, np.ndarray):
        raise TypeError(f"a frame must be a numpy array, uint8 (height, width, 3), got {type(frame).__name__}")
    if frame.ndim != 3 or frame.shape[2] != 3 or not frame.size or frame.dtype != np.uint8:
        raise ValueError(f"a frame must be uint8 (height, width, 3), RGB, got {frame.dtype} {frame.shape}")


def fit_frame(frame: Frames, transform: FrameTransform) -> Frames:
    """Return a frame at the size of the encoder's input: resized, its middle cut out or filled up with bars."""
    image = resized(frame, *transform.decode_size(*frame.shape[:2]))
    return transform.framed(torch.from_numpy(image)[None])[0].numpy()
