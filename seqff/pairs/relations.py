"""Relations between the rows of a batch: which frames are positives of each other, which negatives, which neither."""

from __future__ import annotations

from torch import Tensor

from seqff.pairs.coordinates import TIE
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
        video: (N,) int64, identity of the video of each row; duplicates of a file share one.
        time: (N,) int64, frame number of each row; or (N,) float64, its presentation time in seconds.
        gap: distance of a positive, in the unit of `time`.
        far: smallest distance of a negative in the same video, in the unit of `time`.
        half_frame: (N,) float64, for times in seconds: half a frame of the row's video. A positive is a frame shown
            within half a frame of `gap` later: the nearest one, where frames are evenly spaced.
        shot: (N,) int64, number of the row's shot; frames of different shots are no positives.
        picture: (N,) int64, number of the row's picture; the same picture twice is no positive.

    Returns:
        The relation. Frames of one video closer than `far` and not `gap` apart are neither positive nor negative,
        and so are frames `gap` apart with a shot cut between them or the same picture.

    Raises:
        ValueError: a gap below one frame, far <= gap, or shapes that differ.
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
