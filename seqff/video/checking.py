"""Whether what a manifest says of a video can be: manifests come from strangers, too."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from seqff.video.source import MAX_PIXELS

MOST_FRAMES = 10**8
"""More than 40 days at 25 frames a second: a claim that no video bears out, and that memory would be taken for."""
_HASH = re.compile(r"[0-9a-f]{32}|")
_STATES = ("ok", "damaged", "unreadable", "no_video", "too_short", "timeout")
_READERS = ("", "decord", "pyav", "opencv", "array")
_LARGEST = 2**62
_LENGTHS = {
    "orientation": 4, "time_base": 2, "sample_aspect_ratio": 2, "stored_size": 2, "crop": 4, "samples": 2, "levels": 2,
}  # fmt: skip
_RUNS = ("pts_runs", "key_runs", "mended_runs", "cut_runs", "still_runs")


def check_types(values: Mapping[str, Any], defaults: Mapping[str, Any]) -> None:
    """Raise unless every value is of the kind its field has.

    Args:
        values: of an entry, by name; lists are tuples.
        defaults: of its fields.

    Raises:
        TypeError: one is of another kind, or no such field.
        ValueError: a number is larger than any that is meant, or the hash is none.
    """
    for name, value in values.items():
        if name not in defaults:
            raise TypeError(f"an entry has no {name!r}")
        kinds = (int, float) if type(defaults[name]) is float else (type(defaults[name]),)
        if type(value) not in kinds:
            raise TypeError(f"{name} is {value!r:.40}, must be of type {kinds[-1].__name__}")
        if isinstance(value, tuple):
            pairs = value if name in _RUNS else (value,)
            if not all(type(pair) is tuple and (name not in _RUNS or len(pair) == 2) for pair in pairs):
                raise TypeError(f"{name} holds something else than pairs")
            if not all(type(number) is int and abs(number) <= _LARGEST for pair in pairs for number in pair):
                raise ValueError(f"{name} holds something else than whole numbers up to 2^62")
        elif isinstance(value, (int, float)) and not (math.isfinite(value) and 0 <= value <= _LARGEST):
            raise ValueError(f"{name} is {value!r:.40}, must be from 0 to 2^62")
    if not _HASH.fullmatch(values.get("content_hash", "")):
        raise ValueError(f"content_hash is {values['content_hash']!r:.80}, must be 32 digits from 0 to f")


def check_sizes(values: Mapping[str, Any]) -> None:
    """Raise unless the figures of an entry agree with each other.

    Args:
        values: of all its fields, by name, whose types were checked.

    Raises:
        ValueError: they do not.
    """
    frames, key_frames = values["frames"], _count(values["key_runs"])
    wrong = [name for name, length in _LENGTHS.items() if len(values[name]) != length]
    wrong += [name for name in ("time_base", "sample_aspect_ratio") if min(values[name], default=0) < 1]
    wrong += [name for name in ("stored_size", "crop", "samples", "levels") if min(values[name], default=0) < 0]
    wrong += ["orientation"] * any(abs(sign) > 1 for sign in values["orientation"])
    wrong += ["status"] * (values["status"] not in _STATES) + ["reader"] * (values["reader"] not in _READERS)
    wrong += [name for name in ("access", "pyav_access") if values[name] not in ("random", "forward")]
    wrong += ["frames"] * (frames > MOST_FRAMES)
    wrong += ["height and width"] * (values["height"] * values["width"] > 4 * MAX_PIXELS)  # square pixels may be more
    wrong += ["bits"] * (not 1 <= values["bits"] <= 32)
    wrong += [name for name in _RUNS if any(count < 1 for _, count in values[name])]
    wrong += [name for name in ("pts_runs", "mended_runs") if values[name] and _count(values[name]) != frames]
    wrong += [name for name in ("key_runs", "cut_runs", "still_runs") if _reach(values[name]) >= max(frames, 1)]
    wrong += ["key_prints"] * (bool(values["key_prints"]) and len(values["key_prints"]) != key_frames)
    if values["status"] in ("ok", "damaged") and frames:
        wrong += [name for name in ("height", "width", "reader", "content_hash") if not values[name]]
    if wrong:
        raise ValueError(f"{values['path']!r:.80}: {', '.join(wrong)} cannot be so")


def _count(runs: tuple[tuple[int, int], ...]) -> int:
    return sum(count for _, count in runs)


def _reach(runs: tuple[tuple[int, int], ...]) -> int:
    """Returns the last of the ascending indices that runs give; what is no such list reaches too far."""
    if any(step < (0 if place == 0 else 1) or (step == 0 and count > 1) for place, (step, count) in enumerate(runs)):
        return _LARGEST
    return sum(step * count for step, count in runs)
