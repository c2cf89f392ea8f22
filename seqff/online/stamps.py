"""When the frames of a stream were: by these numbers and times, no two stand further apart than they did."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from seqff.config import PairsConfig
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
