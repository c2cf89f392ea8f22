"""Buffer a stream in memory: frame coordinates, the newest clips, a uniform sample of the past, and batches of both."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqff.config import PairsConfig, TrainConfig
from seqff.errors import SeqffError
from seqff.pairs import FrameBatch, distances
from seqff.pairs.augment import augment
from seqff.pairs.plan import check_settings
from seqff.random_streams import RandomStream
from seqff.transform import FrameTransform
from seqff.video.content import AROUND, STILL, Change, is_cut
from seqff.video.reader import Frames

USUAL = 32
"""Number of recent frame intervals whose median is the usual one."""


@dataclass(frozen=True)
class FrameStamp:
    """Coordinates of a frame in its stream.

    Args:
        number: frame number, including missing frames as far as known.
        seconds: time since the first frame.
        half_frame: half the usual frame interval, seconds.
        shot: number of shot cuts and lost connections before the frame.
        picture: number of changes of the picture before the frame.
        follows: whether it is the direct successor of the previous frame.
    """

    number: int
    seconds: float
    half_frame: float
    shot: int
    picture: int
    follows: bool


class FrameClock:
    """Assigns coordinates to the frames of a stream.

    A connection may be lost for any time, and clocks of sources may restart. Across such a cut, the number grows by one
    and the time by the usual frame interval. Distances are therefore never overstated: a negative that is `far` away by
    these coordinates really is.

    Args:
        fps: frames per second of the stream; longer intervals then count as missing frames. 0 if unknown.
        config: whether cuts and repeated pictures matter.
    """

    def __init__(self, fps: float, config: PairsConfig) -> None:
        self.fps, self._looks = fps, config.skip != "none"
        self._usual: deque[float] = deque(maxlen=USUAL)
        self._levels: deque[float] = deque(maxlen=AROUND)
        self._change, self._clock = Change(), 0.0
        self._last: FrameStamp | None = None

    def next(self, image: Frames, seconds: float | None, *, skipped: int = 0, cut: bool = False) -> FrameStamp:
        """Return the coordinates of the next frame.

        Args:
            image: uint8 (height, width, 3).
            seconds: time by the source's clock; None if it has none.
            skipped: number of frames known to be missing before it.
            cut: whether it is from another connection or file than the previous frame.
        """
        before, clock = self._last, self._clock
        if seconds is not None:
            cut, self._clock = cut or (before is not None and seconds < clock), seconds
        if before is None:
            self._change(image)
            self._last = FrameStamp(0, 0.0, 0.5 / self.fps if self.fps else 0.0, 0, 0, follows=False)
            return self._last
        ahead, passed = skipped + 1, self._passed(clock, seconds, skipped, cut=cut)
        if self.fps and not cut:
            ahead = max(ahead, round(passed * self.fps))
        turned, changed = self._look(image, cut=cut)
        usual = float(np.median(self._usual)) if self._usual else 0.0
        self._last = FrameStamp(
            before.number + ahead,
            before.seconds + passed,
            usual / 2,
            before.shot + turned,
            before.picture + changed,
            follows=ahead == 1 and not turned,
        )
        return self._last

    def _passed(self, clock: float, seconds: float | None, skipped: int, *, cut: bool) -> float:
        """Return the seconds since the previous frame: measured, or else a lower bound."""
        if cut or seconds is None:
            usual = float(np.median(self._usual)) if self._usual else 0.0
            passed = (skipped + 1) / self.fps if self.fps else usual
            if seconds is None and not cut:
                self._usual.append(passed)
            return passed
        self._usual.append((seconds - clock) / (skipped + 1))
        return seconds - clock

    def _look(self, image: Frames, *, cut: bool) -> tuple[bool, bool]:
        """Return whether a new shot begins with this frame, and whether its picture differs from the previous one."""
        if not self._looks:
            return cut, True
        level = self._change(image)
        turned = cut or is_cut(level, np.array(self._levels))
        if not cut:
            self._levels.append(level)
        return turned, cut or level >= STILL


class ClipBuffer:
    """Preallocated slots for clips; memory never grows.

    Attributes:
        count: number of slots in use, from the first.
        images: uint8 (slots, T, height, width, 3).
        number, shot, picture: int64 (slots, T); see `FrameStamp`.
        seconds: float64 (slots, T).
        half_frame: float64 (slots, T).
    """

    def __init__(self, places: int, frames: int, height: int, width: int) -> None:
        self.count = 0
        self.images = np.full((places, frames, height, width, 3), 1, dtype=np.uint8)  # not zeros: those map no memory
        self.number, self.shot, self.picture = (np.zeros((places, frames), dtype=np.int64) for _ in range(3))
        self.seconds, self.half_frame = (np.zeros((places, frames), dtype=np.float64) for _ in range(2))

    def __len__(self) -> int:
        return len(self.images)

    @property
    def nbytes(self) -> int:
        """Memory size in bytes."""
        return sum(value.nbytes for value in vars(self).values() if isinstance(value, np.ndarray))

    def put(self, place: int, images: Sequence[Frames], stamps: Sequence[FrameStamp]) -> None:
        """Write a clip into a slot, overwriting its content."""
        self.count = max(self.count, place + 1)
        for row, (image, stamp) in enumerate(zip(images, stamps, strict=True)):
            self.images[place, row] = image
            self.number[place, row], self.seconds[place, row] = stamp.number, stamp.seconds
            self.half_frame[place, row] = stamp.half_frame
            self.shot[place, row], self.picture[place, row] = stamp.shot, stamp.picture

    def copy(self, place: int, source: ClipBuffer, at: int) -> None:
        """Copy the clip in slot `at` of another buffer into a slot of this one."""
        self.count = max(self.count, place + 1)
        for name, value in vars(self).items():
            if isinstance(value, np.ndarray):
                value[place] = getattr(source, name)[at]


class Reservoir(ClipBuffer):
    """Uniform random sample of all clips offered so far.

    Reference: Vitter 1985, algorithm R, doi:10.1145/3147.3165.
    """

    def __init__(self, places: int, frames: int, height: int, width: int, random: np.random.Generator) -> None:
        super().__init__(places, frames, height, width)
        self.offered, self._random = 0, random

    def offer(self, source: ClipBuffer, at: int) -> None:
        """Keep a clip, in an empty slot or in place of another, or discard it."""
        place = self.offered if self.offered < len(self) else int(self._random.integers(self.offered + 1))
        self.offered += 1
        if place < len(self):
            self.copy(place, source, at)

    def draw(self, count: int, random: np.random.Generator) -> NDArray[np.int64]:
        """Return the slots of `count` different clips, (count,) int64."""
        return random.choice(self.count, count, replace=False)


class StreamBuffer:
    """Cuts a stream into clips and builds batches from them, in preallocated memory.

    A batch has as many clips as in training on files, `pairs.videos_per_batch * pairs.clips_per_video`: those of the
    last `live.new_frames` frames, and a uniform sample of all earlier clips. The stream is one video, so negatives are
    its own frames at least `far` away.

    Raises:
        ValueError: inconsistent settings.
    """

    def __init__(self, transform: FrameTransform, config: TrainConfig, seed: int) -> None:
        check_settings(config.pairs)
        self.transform, self.config, self.seed = transform, config.pairs, seed
        self.gap, self.far, self.unit = distances(config.pairs)
        self.clips = config.pairs.videos_per_batch * config.pairs.clips_per_video
        new, held = config.live.new_frames // config.pairs.clip_length, config.live.reservoir_frames
        places = held // config.pairs.clip_length
        if not 1 <= new < self.clips:
            raise ValueError(
                f"live.new_frames={config.live.new_frames} are {new} clips of {config.pairs.clip_length} "
                f"(pairs.clip_frames): it must be at least 1, and less than the {self.clips} of a batch "
                "(pairs.videos_per_batch * pairs.clips_per_video)"
            )
        if places < self.clips:
            raise ValueError(f"live.reservoir_frames={held} are {places} clips: it must hold a batch of {self.clips}")
        shape = (config.pairs.clip_length, transform.height, transform.width)
        self.fresh = ClipBuffer(new, *shape)
        self.reservoir = Reservoir(places, *shape, RandomStream.RESERVOIR.generator(seed))
        self._images = np.zeros((*shape, 3), dtype=np.uint8)
        self._stamps: list[FrameStamp] = []

    @property
    def nbytes(self) -> int:
        """Bytes of all frames and coordinates; constant from the first frame on."""
        return self.fresh.nbytes + self.reservoir.nbytes + self._images.nbytes

    def add(self, image: Frames, stamp: FrameStamp) -> bool:
        """Add a frame.

        Args:
            image: uint8 (height, width, 3), of the transform's size; it is copied.
            stamp: coordinates of the frame.

        Returns:
            Whether a batch is due: there are enough new clips, and the past spans at least twice `far`.
        """
        if not stamp.follows:
            self._stamps = []
        self._images[len(self._stamps)] = image
        self._stamps.append(stamp)
        if len(self._stamps) < self.config.clip_length:
            return False
        self.fresh.put(self.fresh.count, list(self._images), self._stamps)
        self._stamps = []
        if self.fresh.count < len(self.fresh):
            return False
        now = stamp.number if self.unit == "frames" else stamp.seconds
        if self.reservoir.count >= self.clips - len(self.fresh) and now >= 2 * self.far:
            return True
        self.absorb()
        return False

    def absorb(self) -> None:
        """Offer the new clips to the reservoir, and clear their slots."""
        for place in range(self.fresh.count):
            self.reservoir.offer(self.fresh, place)
        self.fresh.count = 0

    def batch(self, *key: int) -> FrameBatch:
        """Build a batch of all new clips and a sample of past ones; does not change the buffer.

        Args:
            key: selects, with the seed, the sample and the augmentation.
        """
        random = RandomStream.STREAM_BATCH.generator(self.seed, *key)
        old = self.reservoir.draw(self.clips - self.fresh.count, random)

        def rows(name: str) -> Tensor:
            new: NDArray[np.float64] = getattr(self.fresh, name)[: self.fresh.count]
            return torch.from_numpy(np.concatenate([new, getattr(self.reservoir, name)[old]]).reshape(-1))

        seconds = self.unit == "seconds"
        number = rows("number")
        return FrameBatch(
            self._augmented(old, random),
            torch.zeros_like(number),
            number,
            rows("seconds") if seconds else None,
            rows("half_frame") if seconds else None,
            rows("shot"),
            rows("picture") if self.config.skip == "still" else None,
        )

    def _augmented(self, old: NDArray[np.int64], random: np.random.Generator) -> Tensor:
        """Crop, flip and recolor the frames of a batch, (N, 3, height, width) float32."""
        images = np.concatenate([self.fresh.images[: self.fresh.count], self.reservoir.images[old]])
        clips = torch.from_numpy(images)
        count, frames = clips.shape[:2]
        size = (count * frames, 3, self.transform.height, self.transform.width)
        out = torch.empty(size, dtype=torch.float32, memory_format=torch.channels_last)
        time = np.arange(count * frames) + np.repeat(np.arange(count), frames)  # with a jump between clips
        augment(clips.flatten(0, 1), self.transform, self.config, random, time=time, out=out)
        return out

    def check_pairs(self) -> None:
        """Raise SeqffError if no clip so far is long enough to contain a pair."""
        if self.unit == "frames":
            return
        held = self.reservoir
        span = held.seconds[: held.count, -1] - held.seconds[: held.count, 0]
        if not bool((span + held.half_frame[: held.count, 0] >= self.gap).any()):
            usual = 2 * float(np.median(held.half_frame[: held.count]))
            needed = f"at least {round(self.gap / usual) + 1}" if usual else "larger"
            raise SeqffError(
                f"no clip of {self.config.clip_length} frames holds a pair {self.gap:g} s apart "
                f"(pairs.gap): pairs.clip_frames must be {needed}"
            )
