"""ClipBuffer of a stream that are held in memory: a fixed number of them, and of the past an even draw."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from seqff.online.stamps import FrameStamp
from seqff.video.reader import Frames


class ClipBuffer:
    """Places for clips, taken from the system at once; nothing grows later.

    Args:
        places: how many.
        frames: T, of a clip.
        height: px.
        width: px.

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

    Args:
        places: how many are held.
        frames: T, of a clip.
        height: px.
        width: px.
        random: decides which are held.

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
