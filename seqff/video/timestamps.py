"""Repair presentation times: keep increasing ones, remove discontinuities, interpolate missing ones."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from seqff.terminal import counted

PARTS = 60
"""Repaired times are in fractions 1 / PARTS of a tick, because frames may be closer than a tick."""
_AROUND = 5  # frames: a restarted clock stays behind for longer than this
_DELAY = 16  # maximum number of frames that a decoder delays

Known = list[tuple[int, int]]
"""Indices of frames and their times in ticks."""


def grows(times: Sequence[int | None]) -> bool:
    """Whether every frame has a time, and times increase strictly."""
    return None not in times and all(a < b for a, b in pairwise(times))  # type: ignore[operator]


def findable(pts: Sequence[int], keys: Iterable[int]) -> list[int]:
    """Return the key frames whose times are unique among all frames."""
    often = Counter(pts)
    return [key for key in keys if often[pts[key]] == 1]


def fewest_faults(pts: Sequence[int | None], dts: Sequence[int | None]) -> Sequence[int | None]:
    """Return presentation times, with decoding times where they are missing; or decoding times, if these decrease less.

    Similar to FFmpeg's `best_effort_timestamp`; an AVI, for example, has no presentation times.
    """
    return min([b if a is None else a for a, b in zip(pts, dts, strict=True)], dts, key=_faults)


def _faults(times: Sequence[int | None]) -> int:
    known = [time for time in times if time is not None]
    return len(times) - len(known) + sum(b <= a for a, b in pairwise(known))


def repaired(times: Sequence[int | None], usual: float, most: float) -> tuple[NDArray[np.int64], str]:
    """Return times that increase from frame to frame.

    Outliers are dropped, as few as possible, so that the others increase. After a clock restart or a jump ahead, the
    next frame follows the previous one at the usual interval. Times in between are interpolated.

    Args:
        times: time of each frame in ticks, as in the file; None if missing.
        usual: frame interval in ticks by the frame rate, above 0; intervals of the kept times take precedence.
        most: ticks; a longer step ahead is a discontinuity.

    Returns:
        int64 (frames,), in 1 / `PARTS` of a tick, from 0 at the first frame; and what was guessed, "" if nothing.
    """
    known = [(index, time) for index, time in enumerate(times) if time is not None]
    if len(known) < 2:
        return np.rint(np.arange(len(times)) * usual * PARTS).astype(np.int64), "no times in the file: guessed by rate"
    spans = [part for span in _between_resets(known) for part in _between_jumps(_growing(span), most)]
    steps = [(b - a) / (j - i) for part in spans for (i, a), (j, b) in pairwise(part)]
    usual = float(np.median(steps)) if steps else usual
    places, shown = [index for part in spans for index, _ in part], list[float]()
    for part in spans:
        (first, begin), before = part[0], len(shown)
        offset = shown[-1] + usual * (first - places[before - 1]) - begin if shown else -begin
        shown += [time + offset for _, time in part]
    every = np.arange(len(times))
    filled = np.interp(every, places, shown)
    filled += usual * (np.minimum(every - places[0], 0) + np.maximum(every - places[-1], 0))
    parts = np.rint((filled - filled[0]) * PARTS).astype(np.int64)
    parts = np.maximum.accumulate(parts - every) + every  # for many frames within a tick
    guessed, jumps = len(times) - len(places), len(spans) - 1
    if guessed == len(times) - 1 - known[-1][0] <= _DELAY and len(set(steps)) == 1:
        guessed = 0  # decoders return the last frames without times; with a constant rate this is not a guess
    said = [f"{guessed} of {len(times)} frames bear no time that fits: guessed from those around"] * bool(guessed)
    said += [f"times spliced at {counted(jumps, 'jump')} of the file's clock"] * bool(jumps)
    return parts, "; ".join(said)


def _between_resets(known: Known) -> list[Known]:
    """Split where the clock restarts: the next few times are before the last few."""
    parts, start = [], 0
    for at in range(1, len(known)):
        if known[at][1] < known[at - 1][1]:
            before = [time for _, time in known[max(start, at - _AROUND) : at]]
            after = [time for _, time in known[at : at + _AROUND]]
            if np.median(after) < np.median(before):
                parts.append(known[start:at])
                start = at
    return [*parts, known[start:]]


def _growing(known: Known) -> Known:
    """Return the longest increasing subsequence of times (Fredman 1975); of equal times the first."""
    last: list[int] = []  # the smallest final time of a subsequence of each length, and its position
    ends: list[int] = []
    came_from: list[int] = []
    for place, (_, time) in enumerate(known):
        length = bisect_left(last, time)
        came_from.append(ends[length - 1] if length else -1)
        if length == len(last):
            last.append(time)
            ends.append(place)
        elif time < last[length]:
            last[length], ends[length] = time, place
    kept, place = [], ends[-1]
    while place >= 0:
        kept.append(known[place])
        place = came_from[place]
    return kept[::-1]


def _between_jumps(known: Known, most: float) -> list[Known]:
    cuts = [at for at in range(1, len(known)) if known[at][1] - known[at - 1][1] > most]
    return [known[a:b] for a, b in pairwise([0, *cuts, len(known)])]
