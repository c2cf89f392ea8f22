"""Coordinates of a video's frames (frame number, seconds, shot, picture), and its pairs.

Shot cuts are respected by default, because frames on either side show different things. Repeated pictures are kept: at
    distance 0 they are within every tolerance and have no gradient, and a fixed camera would lose its still frames.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from seqff.config import PairsConfig
from seqff.video import VideoEntry
from seqff.video.rows import chosen, column, filled

Unit = Literal["frames", "seconds"]
_SECONDS = re.compile(r"(\d+\.?\d*|\.\d+) ?s")
TIE = 1e-3
"""Margin of comparisons of times, as a share of half a frame, so that rounding does not affect them."""


@dataclass(frozen=True)
class Coordinates:
    """Coordinates of T frames of one video; None where the settings do not need them. Batches have the same as tensors.

    Args:
        time: (T,) int64, frame numbers, counting missing frames.
        seconds: (T,) float64, presentation times.
        half_frame: (T,) float64, half the usual frame interval, seconds; given with `seconds`.
        shot: (T,) int64, number of preceding shot cuts.
        picture: (T,) int64, number of preceding changes of the picture.
    """

    time: NDArray[np.int64]
    seconds: NDArray[np.float64] | None = None
    half_frame: NDArray[np.float64] | None = None
    shot: NDArray[np.int64] | None = None
    picture: NDArray[np.int64] | None = None

    def at(self, indices: NDArray[np.int64]) -> Coordinates:
        """Return the coordinates of some of the frames."""
        return Coordinates(*(None if column is None else column[indices] for column in vars(self).values()))  # type: ignore[arg-type]


def distances(config: PairsConfig) -> tuple[float, float, Unit]:
    """Return (gap, far, unit) for `FrameBatch.relation`.

    Raises:
        ValueError: one is neither a number of frames nor seconds, or their units differ.
    """
    if isinstance(config.gap, int) and isinstance(config.far, int):
        return config.gap, config.far, "frames"
    gap, far = _SECONDS.fullmatch(str(config.gap)), _SECONDS.fullmatch(str(config.far))
    if gap is None or far is None:
        raise ValueError(
            "pairs.gap and pairs.far must both be frames, such as 1 and 8, or both seconds, such as 0.2s and 2s, "
            f"got {config.gap} and {config.far}"
        )
    return float(gap[1]), float(far[1]), "seconds"


def coordinates(entry: VideoEntry, config: PairsConfig) -> Coordinates:
    """Return the coordinates of all frames of a video that `config` needs."""
    seconds, half_frame, shot, picture = None, None, None, None
    numbers = np.arange(entry.frames)
    if distances(config)[2] == "seconds":
        seconds = entry.times_seconds[: entry.frames]
        half_frame = np.full(entry.frames, np.median(np.diff(seconds)) / 2)
    if config.skip != "none":
        shot = np.searchsorted(entry.shot_cuts, numbers)
    if config.skip == "still":
        changed = np.delete(numbers[:-1], entry.still_pairs[entry.still_pairs < entry.frames - 1])
        picture = np.searchsorted(changed, numbers)
    return Coordinates(entry.positions if has_gaps(entry) else numbers, seconds, half_frame, shot, picture)


def has_gaps(entry: VideoEntry) -> bool:
    """Return whether a video has missing frames, according to the numbers of its images."""
    return entry.codec == "images" and bool(entry.pts_runs)


def partners(entry: VideoEntry, config: PairsConfig) -> NDArray[np.int64]:
    """Return the number of each frame's positive, (frames,) int64; `frames` if it has none."""
    where, numbers, (gap, _, _) = coordinates(entry, config), np.arange(entry.frames), distances(config)
    if where.seconds is None or where.half_frame is None:
        partner = np.searchsorted(where.time, where.time + gap)
        found = partner < entry.frames
        found[found] = where.time[partner[found]] == where.time[found] + gap
    else:
        wanted, lean = where.seconds + gap, TIE * where.half_frame
        partner = np.searchsorted(where.seconds, wanted - where.half_frame - lean)
        at = np.minimum(partner, entry.frames - 1)
        found = (partner < entry.frames) & (where.seconds[at] < wanted + where.half_frame - lean) & (partner > numbers)
    first, second = numbers[found], partner[found]
    kept = np.ones(len(first), dtype=bool)
    if where.shot is not None:
        kept &= where.shot[first] == where.shot[second]
    if where.picture is not None:
        kept &= where.picture[first] != where.picture[second]
    result = np.full(entry.frames, entry.frames, dtype=np.int64)
    result[first[kept]] = second[kept]
    return result


def have_pairs(entries: Sequence[VideoEntry], config: PairsConfig) -> NDArray[np.bool_]:
    """Return which videos have a pair, (n,) bool; for most the length decides, the others are examined.

    Raises:
        ValueError: see `find_starts`.
    """
    gap, _, unit = distances(config)
    found: NDArray[np.bool_] = column(entries, "frames") > gap
    asked = filled(entries, "pts_runs") & (column(entries, "codec") == "images")
    if unit == "seconds":
        asked[:] = True
    if config.skip != "none":
        asked |= filled(entries, "cut_runs")
    if config.skip == "still":
        asked |= filled(entries, "still_runs")
    for place, entry in zip(np.flatnonzero(asked), chosen(entries, asked), strict=True):
        starts = find_starts(entry, config)
        found[place] = starts is None or len(starts) > 0
    return found


def find_starts(entry: VideoEntry, config: PairsConfig) -> NDArray[np.int64] | None:
    """Find the frames at which a clip may start so that it contains a pair.

    Args:
        entry: manifest entry of the video.
        config: `gap`, `clip_frames`, `skip`.

    Returns:
        Ascending frame numbers; empty if the video has no pair; None if clips may start anywhere.

    Raises:
        ValueError: the video has pairs, but none fits into a clip.
    """
    last = entry.frames - min(config.clip_length, entry.frames)  # latest start
    gap, _, unit = distances(config)
    skipped = (config.skip != "none" and entry.cut_runs) or (config.skip == "still" and entry.still_runs)
    if unit == "frames" and not skipped and not has_gaps(entry):
        return None if entry.frames > gap else np.zeros(0, dtype=np.int64)
    partner = partners(entry, config)
    if (partner == entry.frames).all():
        return np.zeros(0, dtype=np.int64)
    nearest = np.minimum.accumulate(partner[::-1])[::-1]  # end of the first pair that starts here or later
    starts = np.flatnonzero(nearest[: last + 1] < np.arange(last + 1) + config.clip_length)
    if not len(starts):
        needed = int((partner - np.arange(entry.frames))[partner < entry.frames].min()) + 1
        raise ValueError(
            f"{entry.path} ({entry.fps:.4g} frames per second): no clip of {config.clip_length} frames holds "
            f"a pair: pairs.clip_frames must be at least {needed}"
        )
    return None if len(starts) == last + 1 else starts
