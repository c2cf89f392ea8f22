"""The frames of a stream in memory: when each was, the newest clips, an even draw of the past, and batches of both."""

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
"""Distances in time that the usual one is the median of."""


@dataclass(frozen=True)
class FrameStamp:
    """Where a frame stands in its stream.

    Args:
        number: of the frame, missing ones counted as far as they are known.
        seconds: since the first frame.
        half_frame: half the usual distance of two frames, seconds.
        shot: how many shot cuts and lost connections come before it.
        picture: how many changes of the picture come before it.
        follows: it is the next frame after the one before.
    """

    number: int
    seconds: float
    half_frame: float
    shot: int
    picture: int
    follows: bool


class FrameClock:
    """Gives each frame of a stream its coordinates.

    A lost connection may have lasted for any time, clocks of sources begin anew: across such a cut the number goes on
    by one, and the time by the usual distance of two frames. What is stated is therefore at most what was, and a
    negative that is `far` away by these coordinates was at least so far away.

    Args:
        fps: frames per second of the stream, if known: a longer distance in time then counts as missing frames. 0 if
            not known.
        config: whether cuts and repeated pictures matter.
    """

    def __init__(self, fps: float, config: PairsConfig) -> None:
        self.fps, self._looks = fps, config.skip != "none"
        self._usual: deque[float] = deque(maxlen=USUAL)
        self._levels: deque[float] = deque(maxlen=AROUND)
        self._change, self._clock = Change(), 0.0
        self._last: FrameStamp | None = None

    def next(self, image: Frames, seconds: float | None, *, skipped: int = 0, cut: bool = False) -> FrameStamp:
        """Return where a frame stands.

        Args:
            image: uint8 (height, width, 3).
            seconds: by the source's clock; None if it has none.
            skipped: frames known to be missing before it.
            cut: it is of another connection or file than the frame before.
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
        """Return the seconds since the frame before: measured, or the least there can have been."""
        if cut or seconds is None:
            usual = float(np.median(self._usual)) if self._usual else 0.0
            passed = (skipped + 1) / self.fps if self.fps else usual
            if seconds is None and not cut:
                self._usual.append(passed)
            return passed
        self._usual.append((seconds - clock) / (skipped + 1))
        return seconds - clock

    def _look(self, image: Frames, *, cut: bool) -> tuple[bool, bool]:
        """Say whether a new shot begins with this frame, and whether it shows another picture than the one before."""
        if not self._looks:
            return cut, True
        level = self._change(image)
        turned = cut or is_cut(level, np.array(self._levels))
        if not cut:
            self._levels.append(level)
        return turned, cut or level >= STILL


class ClipBuffer:
    """Places for clips, taken from the system at once; nothing grows later.

    Attributes:
        count: places in use, the first ones.
        images: uint8 (places, T, height, width, 3).
        number, shot, picture: int64 (places, T); see `FrameStamp`.
        seconds: float64 (places, T).
        half_frame: float64 (places, T).
    """

    def __init__(self, places: int, frames: int, height: int, width: int) -> None:
        self.count = 0
        self.images = np.full((places, frames, height, width, 3), 1, dtype=np.uint8)  # pages of zeros are not taken yet
        self.number, self.shot, self.picture = (np.zeros((places, frames), dtype=np.int64) for _ in range(3))
        self.seconds, self.half_frame = (np.zeros((places, frames), dtype=np.float64) for _ in range(2))

    def __len__(self) -> int:
        return len(self.images)

    @property
    def nbytes(self) -> int:
        """Bytes of memory."""
        return sum(value.nbytes for value in vars(self).values() if isinstance(value, np.ndarray))

    def put(self, place: int, images: Sequence[Frames], stamps: Sequence[FrameStamp]) -> None:
        """Write a clip into a place, over what is there."""
        self.count = max(self.count, place + 1)
        for row, (image, stamp) in enumerate(zip(images, stamps, strict=True)):
            self.images[place, row] = image
            self.number[place, row], self.seconds[place, row] = stamp.number, stamp.seconds
            self.half_frame[place, row] = stamp.half_frame
            self.shot[place, row], self.picture[place, row] = stamp.shot, stamp.picture

    def copy(self, place: int, source: ClipBuffer, at: int) -> None:
        """Write the clip that is in another's place into one of these."""
        self.count = max(self.count, place + 1)
        for name, value in vars(self).items():
            if isinstance(value, np.ndarray):
                value[place] = getattr(source, name)[at]


class Reservoir(ClipBuffer):
    """An even draw of all clips that were ever offered: each is held with the same probability.

    Reference: Vitter 1985, algorithm R, doi:10.1145/3147.3165.
    """

    def __init__(self, places: int, frames: int, height: int, width: int, random: np.random.Generator) -> None:
        super().__init__(places, frames, height, width)
        self.offered, self._random = 0, random

    def offer(self, source: ClipBuffer, at: int) -> None:
        """Hold a clip, in an empty place or instead of another; or pass it over."""
        place = self.offered if self.offered < len(self) else int(self._random.integers(self.offered + 1))
        self.offered += 1
        if place < len(self):
            self.copy(place, source, at)

    def draw(self, count: int, random: np.random.Generator) -> NDArray[np.int64]:
        """Return the places of `count` different clips, (count,) int64."""
        return random.choice(self.count, count, replace=False)


class StreamBuffer:
    """Cuts a stream into clips and makes batches of them, in memory that is taken once.

    A batch is as large as one of files, `pairs.videos_per_batch * pairs.clips_per_video` clips: those of the last
    `live.new_frames` frames, and for the rest an even draw of all that came before. The stream is one video, so that
    negatives are its own frames at least `far` away.

    Raises:
        ValueError: settings that do not fit each other.
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
        """Bytes of all frames and coordinates that are held; the same from the first frame on."""
        return self.fresh.nbytes + self.reservoir.nbytes + self._images.nbytes

    def add(self, image: Frames, stamp: FrameStamp) -> bool:
        """Take in a frame.

        Args:
            image: uint8 (height, width, 3), of the transform's size; it is copied.
            stamp: where it stands.

        Returns:
            Whether a batch is due: enough new clips are there, and a past that reaches twice as far as `far`.
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
        """Offer the new clips to the reservoir, and make room for others."""
        for place in range(self.fresh.count):
            self.reservoir.offer(self.fresh, place)
        self.fresh.count = 0

    def batch(self, *key: int) -> FrameBatch:
        """Make a batch of all new clips and a draw of past ones; what is held stays as it is.

        Args:
            key: of the draw and the augmentation, beside the seed.
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
        time = np.arange(count * frames) + np.repeat(np.arange(count), frames)  # which leaps between clips
        augment(clips.flatten(0, 1), self.transform, self.config, random, time=time, out=out)
        return out

    def check_pairs(self) -> None:
        """Raise SeqffError if no clip is long enough to hold a pair, by the times that have come."""
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
