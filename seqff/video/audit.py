"""The seek audit: which reader may be trusted on a file, and whether it may seek."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqff.video.decode_pass import THUMB, DecodePass, fingerprint, sampled
from seqff.video.decord_reader import NativeDecord
from seqff.video.entry import Access
from seqff.video.info import Frames

_JUDGED_BY_CONTAINER = ("mpegts", "mpeg", "vob", "gif")  # decord agrees with itself there and is wrong all the same
_MOST_FRAMES = 20_000  # decord's queue would not bear a longer video at any useful size
_WINDOW = 8
_SHIFTS = 4


def probe_indices(frames: int, keys: Sequence[int]) -> list[int]:
    """Chooses the frames by which a reader's seeking is tried: around a few key frames, the middle, the tail.

    Args:
        frames: how many there are.
        keys: display indices of the key frames.

    Returns:
        Indices in falling order, so that each needs a seek of its own.
    """
    later = [key for key in keys if key > 0]
    chosen = {later[i] for i in np.linspace(0, len(later) - 1, 3).astype(int)} if later else set()
    wanted = {key + step for key in chosen for step in (-1, 0, 2)} | {frames // 2, frames - 1}
    return sorted((index for index in wanted if 0 <= index < frames), reverse=True)


def pyav_access(read: Callable[[int], Frames], seen: DecodePass, probes: Iterable[int]) -> Access:
    """Tries PyAV's seeking.

    Args:
        read: gives one frame at the size of the thumbnails.
        seen: the decode pass.
        probes: the frames to try.

    Returns:
        "random" when every frame is the one the decode pass showed.
    """
    return "random" if all(fingerprint(read(i)) == seen.prints[i] for i in probes) else "forward"


def decord_access(
    path: str, seen: DecodePass, probes: Sequence[int], decord: Any, beat: Callable[[], None]
) -> Access | None:
    """Decodes the video once more with decord and tries its seeking.

    Args:
        path: the file.
        seen: PyAV's decode pass.
        probes: the frames to try.
        decord: the module.
        beat: called after every frame.

    Returns:
        "random", "forward" when only decoding from the first frame on is right, None when decord is wrong or cannot.
    """
    names = seen.container.split(",")
    if seen.codec == "av1" or len(seen.pts) > _MOST_FRAMES:
        return None
    if any(name in _JUDGED_BY_CONTAINER for name in names):
        return None
    try:
        prints = _forward(path, seen, probes, decord, beat)
        if prints is None:
            return None
        if not _in_order(seen):
            return "forward"
        try_out = _skips if len(seen.key_packets) == 1 else _seeks  # with no key frame but the first, nobody seeks
        return "random" if try_out(path, prints, decord, beat) else "forward"
    except Exception:  # whatever decord says, the answer is the exact reader
        return None


def _forward(
    path: str, seen: DecodePass, probes: Sequence[int], decord: Any, beat: Callable[[], None]
) -> dict[int, int] | None:
    native = NativeDecord(path, THUMB, THUMB, decord)
    wanted, prints, small = set(probes), {}, []
    for index in range(len(seen.pts)):
        beat()
        frame = native.next()
        small.append(sampled(frame))
        if index in wanted:
            prints[index] = fingerprint(frame)
    return prints if aligned(np.stack(small), np.stack(seen.small)) else None


def aligned(ours: NDArray[np.uint8], truth: NDArray[np.uint8]) -> bool:
    """Whether two decodes show the same frame at each index, though their pixels differ by scaling noise.

    In every window of frames the sum of differences must be least when the two are not shifted against each other.

    Args:
        ours: uint8 (frames, 16, 16).
        truth: uint8 (frames, 16, 16).
    """
    a, b = ours.reshape(len(ours), -1).astype(np.int16), truth.reshape(len(truth), -1).astype(np.int16)
    here = np.abs(a - b).mean(axis=1)
    if not windows(here).max() < 16:  # not even the same pictures
        return False
    for shift in range(1, min(_SHIFTS, len(a) - 1) + 1):
        for left, right, own in ((a[shift:], b[:-shift], here[shift:]), (a[:-shift], b[shift:], here[:-shift])):
            if (windows(own) > windows(np.abs(left - right).mean(axis=1)) + 0.02).any():
                return False
    return True


def windows(values: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Means over windows of up to 8 values."""
    size = min(_WINDOW, len(values))
    return np.convolve(values, np.full(size, 1 / size), mode="valid")


def _in_order(seen: DecodePass) -> bool:
    """Whether every key frame comes as the same number in the file as on the screen; decord takes that for granted."""
    if any(pts is None for pts in seen.packet_pts):
        return False
    pts = np.asarray(seen.packet_pts, dtype=np.int64)
    ranks = np.argsort(np.argsort(pts, kind="stable"), kind="stable")
    return all(ranks[packet] == packet for packet in seen.key_packets) and len(pts) == len(seen.pts)


def _skips(path: str, prints: dict[int, int], decord: Any, beat: Callable[[], None]) -> bool:
    native = NativeDecord(path, THUMB, THUMB, decord)
    for index in sorted(prints):
        beat()
        native.hop_to(index)
        if fingerprint(native.next()) != prints[index]:
            return False
    return True


def _seeks(path: str, prints: dict[int, int], decord: Any, beat: Callable[[], None]) -> bool:
    native = NativeDecord(path, THUMB, THUMB, decord)
    for index in sorted(prints, reverse=True):
        beat()
        native.seek(index)
        if fingerprint(native.next()) != prints[index]:
            return False
    return True
