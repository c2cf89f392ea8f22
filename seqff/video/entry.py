"""An entry of the manifest: everything known about a video without opening it again."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from fractions import Fraction
from itertools import groupby
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from seqff.video.container import MAX_PIXELS
from seqff.video.reader import VideoInfo
from seqff.video.timestamps import PARTS

Status = Literal["ok", "damaged", "unreadable", "no_video", "too_short", "timeout"]
Access = Literal["random", "forward"]
Runs = tuple[tuple[int, int], ...]
"""Run-length encoded differences of integers, as pairs (step, count); the first step is from 0."""

MOST_FRAMES = 10**8
"""More than 40 days at 25 frames per second; a larger claim is false, and would exhaust the memory."""
_READERS = ("", "decord", "pyav", "opencv", "array")
_HASH = re.compile(r"[0-9a-f]{32}|")
_LARGEST = 2**62
_LENGTHS = {
    "orientation": 4, "time_base": 2, "sample_aspect_ratio": 2, "stored_size": 2, "crop": 4, "samples": 2, "levels": 2,
    "shard": 2,
}  # fmt: skip
_RUNS = ("pts_runs", "key_runs", "mended_runs", "cut_runs", "still_runs")


def pack(numbers: Iterable[int]) -> Runs:
    """Encode integers, which mostly advance by equal steps; see `unpack`."""
    steps = np.diff(np.fromiter(numbers, dtype=np.int64), prepend=0).tolist()
    return tuple((step, len(list(same))) for step, same in groupby(steps))


def unpack(runs: Runs) -> NDArray[np.int64]:
    """Decode the numbers given to `pack`, int64 (count,)."""
    table = np.asarray(runs, dtype=np.int64).reshape(-1, 2)
    return np.cumsum(np.repeat(table[:, 0], table[:, 1]), dtype=np.int64)


class Stamp(NamedTuple):
    """Distinguishes a file from later versions at the same path; see `VideoEntry` for the fields."""

    bytes: int
    mtime_ns: int
    version: str = ""
    shard: tuple[int, int] = (0, 0)

    @property
    def whole(self) -> Stamp:
        """For a member of a shard, the stamp of the shard; for any other file, the stamp itself."""
        return Stamp(self.shard[1], self.mtime_ns, self.version) if self.shard[0] else self


@dataclass(frozen=True)
class VideoEntry:
    """The scan's findings about one video; lists of numbers are encoded (see `pack`)."""

    path: str  # relative to the root of the manifest, with forward slashes
    bytes: int = 0  # size of the file
    mtime_ns: int = 0  # modification time, nanoseconds since 1970; 0 for a remote file
    content_hash: str = ""  # hash of all bytes; the same for copies of a file
    # "ok"; "damaged" (only the first `frames` frames are sound); or unusable: "unreadable", "no_video", "too_short"
    # (fewer than 2 frames) and "timeout" (the decoder hung and was killed).
    status: Status = "unreadable"
    cause: str = ""  # why it is not "ok", or a remark; one line
    frames: int = 0  # number of readable frames, proven by decoding; for a damaged file, those before the damage
    height: int = 0  # px, as displayed: after rotation, with square pixels
    width: int = 0
    fps: float = 0.0  # frames per second; the mean if the rate varies
    codec: str = ""  # FFmpeg's name, "images" or "array"
    container: str = ""  # FFmpeg's name of the format
    orientation: tuple[int, int, int, int] = (1, 0, 0, 1)  # display matrix: x' = a x + c y, y' = b x + d y
    variable_rate: bool = False  # frames are unevenly spaced in time, or may be, because times were guessed
    reader: str = ""  # the exact reader: "decord" (then "pyav" is exact, too), "pyav", "opencv" (images) or "array"
    access: Access = "forward"  # whether that reader may seek ("random") or must decode from the first frame on
    pyav_access: Access = "forward"  # the same for "pyav", which is exact on every video
    time_base: tuple[int, int] = (1, 1)  # seconds per tick of the presentation times: numerator, denominator
    # Presentation times in ticks, as in the file, by which readers identify frames; empty if frames have none, or most
    # key frames share theirs. For numbered images with gaps, the position of each.
    pts_runs: Runs = ()
    key_runs: Runs = ()  # display indices of the key frames
    # Fingerprints of the key frames (see `decode_pass.fingerprint`), for containers whose times are unreliable after a
    # seek; else empty.
    key_prints: tuple[int, ...] = ()
    # If the file's times are unusable (missing, decreasing, jumping), the partly guessed presentation times, in
    # fractions of a tick (see `timestamps.PARTS`) from the first frame; else empty.
    mended_runs: Runs = ()
    cut_runs: Runs = ()  # each n with a shot cut between frames n and n + 1
    still_runs: Runs = ()  # each n for which frames n and n + 1 are the same
    duplicate_of: str = ""  # path of the first video with the same bytes, if there is one
    version: str = ""  # for a remote file, the entity tag or modification time given by its server
    sample_aspect_ratio: tuple[int, int] = (1, 1)  # width to height of a stored pixel
    stored_size: tuple[int, int] = (0, 0)  # (height, width) px in the file, before rotation, with its pixel shape
    crop: tuple[int, int, int, int] = (0, 0, 0, 0)  # px hidden at the (left, top, right, bottom) of the stored frame
    bits: int = 8  # bits per sample, as the pixel format declares
    color_range: str = ""  # "full", "limited", or "" if the file does not say
    samples: tuple[int, int] = (0, 0)  # minimum and maximum of gray and RGB pictures with more than 8 bits; else (0, 0)
    levels: tuple[int, int] = (0, 0)  # samples shown as 0 and 255; (0, 0): as the pixel format declares
    alpha: bool = False  # has transparent parts, composited on black if FFmpeg's decoder returns them
    interlaced: bool = False  # frames consist of two fields, from two moments
    video_streams: int = 1  # number of streams in the file, without cover pictures; one is read
    pages: int = 1  # number of pages of an image file
    # For a member of a shard: the offset of its bytes, and the size of the shard. Times and version are the shard's.
    shard: tuple[int, int] = (0, 0)

    @property
    def stamp(self) -> Stamp:
        """The stamp that shows whether the file is still the one that was scanned."""
        return Stamp(self.bytes, self.mtime_ns, self.version, self.shard)

    @property
    def usable(self) -> bool:
        """Whether the video can be used: sound, or damaged with at least 2 sound frames."""
        return self.status == "ok" or (self.status == "damaged" and self.frames >= 2)

    @property
    def best(self) -> tuple[str, Access]:
        """The reader to use and its access: for videos PyAV, the faster decoder, unless only decord may seek."""
        if self.reader == "decord" and (self.access == "forward" or self.pyav_access == "random"):
            return "pyav", self.pyav_access
        return self.reader, self.access

    @property
    def depth_remark(self) -> str:
        """Describe how the samples of a deep video are shown; empty for 8 bits."""
        if not any(self.samples):
            return ""
        black, white = self.levels if any(self.levels) else (0, 2**self.bits - 1)
        low, high = self.samples
        return f"samples from {low} to {high} in {self.bits} bits: {black} is shown black, {white} white"

    @property
    def rotation_degrees(self) -> int:
        """Clockwise rotation required by the file: 0, 90, 180 or 270."""
        a, b, _, _ = self.orientation
        return round(math.degrees(math.atan2(b, a))) % 360

    @property
    def pts(self) -> NDArray[np.int64]:
        """Times in ticks as in the file, int64 (frames,); (0,) if they do not identify frames. See `times_seconds`."""
        return unpack(self.pts_runs)

    @property
    def times_seconds(self) -> NDArray[np.float64]:
        """Presentation time of each frame, float64 (frames,), seconds from the first frame.

        Repaired if the file's times are unusable; derived from the frame rate if there are none.
        """
        seconds = self.time_base[0] / self.time_base[1]
        if self.mended_runs:
            return unpack(self.mended_runs).astype(np.float64) * (seconds / PARTS)
        if self.pts_runs:
            shown: NDArray[np.float64] = (self.pts - self.pts[0]) * seconds
            return shown
        return np.arange(self.frames, dtype=np.float64) / (self.fps or 1.0)

    @property
    def positions(self) -> NDArray[np.int64]:
        """Position of each frame, int64 (frames,), in frames from 0; missing images count."""
        if self.codec == "images" and self.pts_runs:
            pts = self.pts
            return pts - int(pts[0])
        return np.arange(self.frames, dtype=np.int64)

    @property
    def key_frames(self) -> NDArray[np.int64]:
        """Display indices of the key frames, int64."""
        return unpack(self.key_runs)

    @property
    def shot_cuts(self) -> NDArray[np.int64]:
        """Each n with a shot cut between frames n and n + 1, int64."""
        return unpack(self.cut_runs)

    @property
    def still_pairs(self) -> NDArray[np.int64]:
        """Each n for which frames n and n + 1 are the same, int64."""
        return unpack(self.still_runs)

    def at_rate(self, fps: float) -> VideoEntry:
        """Return the entry with another frame rate, if it has no times of its own (images, arrays)."""
        if self.codec not in ("images", "array") or not self.frames or fps == self.fps:
            return self
        rate = Fraction(fps).limit_denominator(1_000_000)
        return replace(self, fps=fps, time_base=(rate.denominator, rate.numerator) if self.pts_runs else (1, 1))

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON, without fields that have their default."""
        return {field.name: value for field in fields(self) if (value := getattr(self, field.name)) != field.default}

    @classmethod
    def from_dict(cls, values: dict[str, Any], *, sizes: bool = True) -> VideoEntry:
        """Create an entry from the return value of `to_dict`, which is validated: manifests may be untrusted.

        Args:
            values: the fields.
            sizes: check that the numbers are consistent; not for earlier versions, in which some had another meaning.

        Raises:
            TypeError: a field is missing, unknown, or has the wrong type.
            ValueError: a value is impossible.
        """
        given = {name: _tuples(value) for name, value in values.items()}
        defaults = {field.name: "" if field.name == "path" else field.default for field in fields(cls)}
        _check_types(given, defaults)
        if sizes:
            _check_sizes({**defaults, **given})
        return cls(**given)


def only_pyav(entry: VideoEntry) -> str:
    """Describe what other decoders, which return final pixels, would omit; empty if they return the same pixels."""
    if any(entry.crop):
        return "does not crop, as this file asks for"
    if entry.alpha:
        return "does not compose transparent parts on black"
    return "does not scale samples by the depth that is used" if entry.samples != (0, 0) else ""


def _check_types(values: Mapping[str, Any], defaults: Mapping[str, Any]) -> None:
    """Raise unless every value has the type of its field's default; lists count as tuples."""
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


def _check_sizes(values: Mapping[str, Any]) -> None:
    """Raise unless the numbers of an entry, whose types are already checked, are consistent."""
    frames, key_frames = values["frames"], _count(values["key_runs"])
    wrong = [name for name, length in _LENGTHS.items() if len(values[name]) != length]
    wrong += [name for name in ("time_base", "sample_aspect_ratio") if min(values[name], default=0) < 1]
    wrong += [
        name for name in ("stored_size", "crop", "samples", "levels", "shard") if min(values[name], default=0) < 0
    ]
    wrong += ["shard"] * (values["shard"][0] > 0 and values["reader"] in ("opencv", "array"))
    wrong += ["orientation"] * any(abs(sign) > 1 for sign in values["orientation"])
    for name, allowed in (
        ("status", get_args(Status)),
        ("reader", _READERS),
        ("access", get_args(Access)),
        ("pyav_access", get_args(Access)),
        ("frames", range(MOST_FRAMES + 1)),
        ("bits", range(1, 33)),
    ):
        wrong += [name] * (values[name] not in allowed)
    wrong += ["height and width"] * (values["height"] * values["width"] > 4 * MAX_PIXELS)  # square pixels may need more
    wrong += [name for name in _RUNS if any(count < 1 for _, count in values[name])]
    wrong += [name for name in ("pts_runs", "mended_runs") if values[name] and _count(values[name]) != frames]
    wrong += [name for name in ("key_runs", "cut_runs", "still_runs") if _last(values[name]) >= max(frames, 1)]
    wrong += ["key_prints"] * (bool(values["key_prints"]) and len(values["key_prints"]) != key_frames)
    if values["status"] in ("ok", "damaged") and frames:
        wrong += [name for name in ("height", "width", "reader", "content_hash") if not values[name]]
    if wrong:
        raise ValueError(f"{values['path']!r:.80}: {', '.join(wrong)} cannot be so")


def _count(runs: Runs) -> int:
    return sum(count for _, count in runs)


def _last(runs: Runs) -> int:
    """Return the last of the ascending indices in runs; if they are not ascending, a number beyond any index."""
    if any(step < (0 if place == 0 else 1) or (step == 0 and count > 1) for place, (step, count) in enumerate(runs)):
        return _LARGEST
    return sum(step * count for step, count in runs)


def _tuples(value: Any) -> Any:
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value


def video_info(path: str, entry: VideoEntry, size: tuple[int, int] | None) -> VideoInfo:
    """Describe the frames that a reader of this entry returns at this size (height, width)."""
    height, width = size or (entry.height, entry.width)
    return VideoInfo(
        path=path,
        frames=entry.frames,
        height=height,
        width=width,
        fps=entry.fps,
        times_seconds=entry.times_seconds,
        codec=entry.codec,
        rotation_degrees=entry.rotation_degrees,
    )
