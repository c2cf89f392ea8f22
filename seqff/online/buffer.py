"""From the frames of a stream to batches: the newest clips, and past ones from the reservoir."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqff.config import TrainConfig
from seqff.errors import SeqffError
from seqff.online.clip_buffer import ClipBuffer, Reservoir
from seqff.online.stamps import FrameStamp
from seqff.pairs import FrameBatch, distances
from seqff.pairs.augment import augment
from seqff.pairs.plan import check_settings
from seqff.random_streams import RandomStream
from seqff.transform import FrameTransform
from seqff.video.reader import Frames


class StreamBuffer:
    """Cuts a stream into clips and makes batches of them, in memory that is taken once.

    A batch is as large as one of files, `pairs.videos_per_batch * pairs.clips_per_video` clips: those of the last
    `live.new_frames` frames, and for the rest an even draw of all that came before. The stream is one video, so that
    negatives are its own frames at least `far` away.

    Args:
        transform: size and scaling of the encoder's input.
        config: sizes of batches and of the reservoir, distances, augmentation.
        seed: of all draws.

    Raises:
        ValueError: settings that do not fit each other.
    """

    def __init__(self, transform: FrameTransform, config: TrainConfig, seed: int) -> None:
        check_settings(config.pairs)
        self.transform, self.config, self.seed = transform, config.pairs, seed
        self.gap, self.far, self.unit = distances(config.pairs)
        self.clips = config.pairs.videos_per_batch * config.pairs.clips_per_video
        new, held = config.live.new_frames // config.pairs.clip_frames, config.live.reservoir_frames
        places = held // config.pairs.clip_frames
        if not 1 <= new < self.clips:
            raise ValueError(
                f"live.new_frames={config.live.new_frames} are {new} clips of {config.pairs.clip_frames} "
                f"(pairs.clip_frames): it must be at least 1, and less than the {self.clips} of a batch "
                "(pairs.videos_per_batch * pairs.clips_per_video)"
            )
        if places < self.clips:
            raise ValueError(f"live.reservoir_frames={held} are {places} clips: it must hold a batch of {self.clips}")
        shape = (config.pairs.clip_frames, transform.height, transform.width)
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
        if len(self._stamps) < self.config.clip_frames:
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
                f"no clip of {self.config.clip_frames} frames holds a pair {self.gap:g} s apart "
                f"(pairs.gap): pairs.clip_frames must be {needed}"
            )
