"""A batch: a set of frames with coordinates (video, time, ...) that determine positives and negatives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

from seqff.devices import sent
from seqff.pairs.coordinates import TIE, Coordinates, Unit
from seqff.relation import Relation


def relate(
    video: Tensor,
    time: Tensor,
    *,
    gap: float,
    far: float,
    half_frame: Tensor | None = None,
    shot: Tensor | None = None,
    picture: Tensor | None = None,
) -> Relation:
    """Derive the relations of a batch from its coordinates.

    Args:
        video: (N,) int64, identity of the video of each row; copies of a file share one.
        time: (N,) int64, frame number of each row; or (N,) float64, its presentation time in seconds.
        gap: distance of a positive, in the unit of `time`.
        far: smallest distance of a negative in the same video, in the unit of `time`.
        half_frame: (N,) float64, for times in seconds: half a frame interval of the row's video. A positive is a frame
            within half a frame interval of `gap` later: the nearest one, if frames are evenly spaced.
        shot: (N,) int64, number of the row's shot; frames of different shots are not positives.
        picture: (N,) int64, number of the row's picture; identical pictures are not positives.

    Returns:
        The relation. Frames of one video closer than `far` and not `gap` apart are neither positive nor negative; nor
        are frames `gap` apart with a shot cut in between or the same picture.

    Raises:
        ValueError: a gap below one frame, far <= gap, or mismatched shapes.
    """
    if gap <= 0 or (half_frame is None and gap < 1) or far <= gap:
        raise ValueError(
            f"gap must be at least 1 frame (or above 0 seconds) and far larger than gap, got gap={gap}, far={far}"
        )
    if video.shape != time.shape or video.ndim != 1:
        raise ValueError(f"video and time must both be (N,), got {tuple(video.shape)} and {tuple(time.shape)}")
    same = video[:, None] == video[None, :]
    ahead = time[None, :] - time[:, None]
    if half_frame is None:
        near = same & (ahead == gap)
        distant = same & (ahead.abs() >= far)
    else:
        half = half_frame[:, None]
        off, lean = ahead - gap, TIE * half
        near = same & (ahead > 0) & (off >= -half - lean) & (off < half - lean)
        distant = same & (ahead.abs() >= far - lean) & ~(near | near.T)
    if shot is not None:
        near = near & (shot[:, None] == shot[None, :])
    if picture is not None:
        near = near & (picture[:, None] != picture[None, :])
    return Relation(positive=near.nonzero(), same_video=distant, other_video=~same, video=video)


@dataclass(frozen=True)
class FrameBatch:
    """Frames of several videos.

    Args:
        frames: (N, 3, H, W) float32.
        video: (N,) int64, number of each row's video; copies of a file share a number.
        time: (N,) int64, the row's frame number in its video, counting missing images.
        seconds: (N,) float64, presentation times; None unless gap and far are in seconds.
        half_frame: (N,) float64, half a frame interval of the row's video, seconds; given with `seconds`.
        shot: (N,) int64, number of the shot within the video; None if pairs may span cuts.
        picture: (N,) int64, number of the picture within the video, the same for repeated frames; None if these may
            pair.
    """

    frames: Tensor
    video: Tensor
    time: Tensor
    seconds: Tensor | None = None
    half_frame: Tensor | None = None
    shot: Tensor | None = None
    picture: Tensor | None = None

    @classmethod
    def of(cls, frames: Tensor, video: Tensor, where: Sequence[Coordinates]) -> FrameBatch:
        """Build a batch from frames, the video of each row, and the coordinates of consecutive parts."""
        columns = zip(*(vars(part).values() for part in where), strict=True)
        rows = (None if part[0] is None else torch.from_numpy(np.concatenate(part)) for part in columns)
        return cls(frames, video, *rows)  # type: ignore[arg-type]  # the first is never None

    def to(self, device: torch.device | str) -> FrameBatch:
        """Return the batch on a device."""
        tensors: list[Tensor | None] = [getattr(self, field.name) for field in fields(self)]
        return FrameBatch(*(t if t is None else sent(t, device) for t in tensors))  # type: ignore[arg-type]

    def relation(self, *, gap: float, far: float, unit: Unit = "frames") -> Relation:
        """Derive positives and negatives among the rows (see `relate`).

        Raises:
            ValueError: unit="seconds" for a batch without presentation times.
        """
        time, half_frame = (self.time, None) if unit == "frames" else (self.seconds, self.half_frame)
        if time is None:
            raise ValueError(
                "this batch has no presentation times: give pairs.gap and pairs.far in seconds, such as 0.2s and 2s"
            )
        where = {"half_frame": half_frame, "shot": self.shot, "picture": self.picture}
        return relate(self.video, time, gap=gap, far=far, **where)
