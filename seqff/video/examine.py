"""Examine a file: from the bytes on disk to an entry of the manifest."""

from __future__ import annotations

import hashlib
import stat
import struct
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np

from seqff.errors import VideoError
from seqff.video import arrays, images
from seqff.video.container import NoVideoError, local_url
from seqff.video.content import shot_cuts, still_pairs
from seqff.video.conversion import plausible_aspect
from seqff.video.decode_pass import INDEXED, THUMB, DecodePass, decode_pass, fingerprint
from seqff.video.decord_reader import decord_access
from seqff.video.entry import Access, Stamp, VideoEntry, only_pyav, pack, video_info
from seqff.video.image_headers import is_stack
from seqff.video.levels import levels_of
from seqff.video.pyav_reader import PyavReader
from seqff.video.reader import cause_of, one_line
from seqff.video.remote.address import address_of
from seqff.video.remote.download_cache import local_file
from seqff.video.remote.filesystem import no_heartbeat, remote_stamp
from seqff.video.shards import Source, contents, is_shard, open_bytes, part_of, split
from seqff.video.timestamps import fewest_faults, findable, grows, repaired

_JUMP_SECONDS = 60.0  # a longer step is a discontinuity, in formats whose clock may restart
_DAY_SECONDS = 86_400.0  # the same in other formats, because time lapses have long steps, too


def stamp(path: Path) -> Stamp:
    """Return a stamp that distinguishes a file from later versions at the same path.

    For a member of a shard it is that of the shard, and for a folder of images that of all images.
    """
    file, member = split(path)
    address = address_of(file)
    if address is not None:
        return remote_stamp(address)
    stats = [one.stat() for one in ([file] if member else images.files_of(file))]
    return Stamp(sum(s.st_size for s in stats), max(s.st_mtime_ns for s in stats))


def examine_there(
    path: Path,
    wanted: Stamp | None = None,
    *,
    how: Callable[[Path], VideoEntry],
    heartbeat: Callable[[], None] = no_heartbeat,
) -> VideoEntry:
    """Examine a file, downloading it first if it is remote; never raises for problems of the file or its server.

    Args:
        path: as in `examine`, or a path that stands for an address.
        wanted: the version, if known.
        how: examines a local file.
        heartbeat: called during a download; may raise to give up.

    Raises:
        SeqffError: no file can be downloaded: a package is missing, or the disk is full.
    """
    shard, member = split(path)
    address = address_of(shard)
    if address is None:
        return how(path)
    there = VideoEntry(path=path.as_posix())
    try:
        found = wanted or remote_stamp(address, heartbeat)
        there = replace(there, bytes=found.bytes, version=found.version)
        with local_file(shard, found, heartbeat=heartbeat) as file:
            entry = replace(how(file / member), path=there.path, mtime_ns=0, version=found.version)
        start = entry.shard[0]
        return replace(entry, shard=(start, found.bytes)) if start else replace(entry, bytes=found.bytes)
    except VideoError as error:
        return replace(there, cause=error.cause)
    except FileNotFoundError as error:
        return replace(there, cause=error.strerror or "no such file")


def examine(
    path: Path, *, decord: Any = None, insist: bool = False, heartbeat: Callable[[], None] = no_heartbeat
) -> VideoEntry:
    """Read a whole video once and describe it; never raises for problems of the file.

    Args:
        path: a video, a folder of numbered images, a .npy / .npz file, or a video in a shard (`a.tar/b.mp4`).
        decord: the module, if decord may be considered; it is tested if PyAV may not seek.
        insist: test it even if PyAV may.
        heartbeat: called regularly.

    Returns:
        The entry, with `path` as given and without marked duplicates.
        The entry, with `path` as given and no duplicates marked.
    """
    entry = VideoEntry(path=path.as_posix())
    source: Source = path
    try:
        size, mtime_ns, *_ = stamp(path)
        entry = replace(entry, bytes=size, mtime_ns=mtime_ns)
        shard, member = split(path)
        if member:
            source = part_of(shard, member, heartbeat)
            entry = replace(entry, bytes=source.size, shard=(source.start, size))
        if not member and (path.is_dir() or not path.exists()):  # numbered images
            found = images.describe(entry, path, heartbeat)
        else:
            if not stat.S_ISREG(shard.stat().st_mode):
                raise OSError("not a file")
            if not entry.bytes:
                raise OSError("the file is empty")
            if is_shard(path.name):
                contents(path, heartbeat)  # raises if it is damaged
                raise OSError("a tar file and no video: give the path of one in it, such as shard.tar/a.mp4")
            if path.suffix.lower() in arrays.ARRAY_EXTENSIONS and not member:
                found = arrays.describe(entry, path, heartbeat)
            elif is_stack(path):
                found = images.describe(entry, path, heartbeat)
            else:
                found = _describe_video(entry, source, decord, insist, heartbeat)
            found = replace(found, content_hash=_content_hash(source, heartbeat))
    except NoVideoError as error:
        return replace(entry, status="no_video", cause=one_line(error))
    except MemoryError:
        return replace(entry, cause="not enough memory to decode it")
    except (OverflowError, RecursionError, struct.error) as error:  # a header that no check anticipated
        return replace(entry, cause=f"damaged: {one_line(error)}")
    except (av.FFmpegError, OSError, ValueError) as error:
        inside, cause = getattr(error, "filename", None), cause_of(error)
        own = inside in (None, "", str(path), str(path.absolute()), local_url(source))
        return replace(entry, cause=cause if own else f"{Path(str(inside)).name}: {cause}")
    if found.frames < 2 and found.status == "ok":
        return replace(found, status="too_short", cause=f"{found.frames} frame, needs at least 2")
    return found


def _content_hash(source: Source, heartbeat: Callable[[], None]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    with open_bytes(source) as file:
        while block := file.read(2**20):
            heartbeat()
            digest.update(block)
    return digest.hexdigest()


def _describe_video(
    entry: VideoEntry, source: Source, decord: Any, insist: bool, heartbeat: Callable[[], None]
) -> VideoEntry:
    seen = decode_pass(source, heartbeat)
    if not seen.pts:
        raise ValueError(seen.damage or "no frame can be decoded")
    entry = _describe(entry, seen)
    probes = _probe_indices(entry.frames, seen.keys)
    if entry.pts_runs:
        access = _pyav_access(entry, source, seen, probes, heartbeat)
        entry = replace(entry, pyav_access=access, access=access)
    wanted = decord is not None and (insist or entry.pyav_access == "forward")
    if wanted and entry.status == "ok" and not seen.remark and not only_pyav(entry):
        fast = decord_access(source, seen, probes, decord, heartbeat)
        entry = entry if fast is None else replace(entry, reader="decord", access=fast)
    return entry


def _probe_indices(frames: int, keys: Sequence[int]) -> list[int]:
    """Choose frames for testing seeks, in descending order, so that each needs its own seek.

    They are near a few key frames, in the middle, and at the end.
    """
    later = [key for key in keys if key > 0]
    chosen = {later[i] for i in np.linspace(0, len(later) - 1, 3).astype(int)} if later else set()
    wanted = {key + step for key in chosen for step in (-1, 0, 2)} | {frames // 2, frames - 1}
    return sorted((index for index in wanted if 0 <= index < frames), reverse=True)


def _pyav_access(
    entry: VideoEntry, source: Source, seen: DecodePass, probes: Sequence[int], heartbeat: Callable[[], None]
) -> Access:
    """Test PyAV's seeking: "random" if every frame equals that of the decode pass."""
    trial = replace(entry, pyav_access="random")
    with PyavReader(source, video_info(entry.path, trial, (THUMB, THUMB)), trial) as reader:
        # With a single key frame, seeking is never used, but moving forward still skips frames.
        for index in probes if len(entry.key_frames) > 1 else sorted(probes):
            heartbeat()
            if fingerprint(reader.at([index])[0]) != seen.prints[index]:
                return "forward"
    return "random"


def _describe(entry: VideoEntry, seen: DecodePass) -> VideoEntry:
    entry, guessed = _timed(entry, seen)
    gaps, tick = np.diff(entry.times_seconds), float(seen.time_base)
    rounding = tick * (0.5 if abs(seen.rate * tick - 1) < 0.01 else 2.5)  # if a tick is a frame, times are not rounded
    variable = bool(len(gaps) > 1 and np.ptp(gaps) > max(rounding, 0.1 * float(np.median(gaps))))
    mean_rate = 1 / float(gaps.mean()) if len(gaps) else seen.rate
    steady = not variable and abs(seen.rate - mean_rate) < 0.01 * mean_rate
    change = np.asarray(seen.change, dtype=np.float64)
    causes = [seen.damage] if seen.damage else [seen.remark, *seen.remarks()]
    indexed = any(name in INDEXED for name in seen.container.split(","))
    return replace(
        entry,
        status="damaged" if seen.damage else "ok",
        cause="; ".join(filter(None, [*causes, guessed])),
        height=seen.height,
        width=seen.width,
        fps=seen.rate if steady or not len(gaps) else mean_rate,
        codec=seen.codec,
        container=seen.container,
        orientation=seen.orientation,
        variable_rate=variable or bool(guessed),
        reader="pyav",
        key_runs=pack(seen.keys),
        # In streams, FFmpeg guesses some times, incorrectly after a seek.
        key_prints=() if indexed else tuple(seen.prints[key] for key in seen.keys),
        cut_runs=pack(shot_cuts(change)),
        still_runs=pack(still_pairs(change)),
        sample_aspect_ratio=plausible_aspect(seen.aspect).as_integer_ratio(),
        stored_size=seen.stored_size,
        crop=seen.crop,
        bits=seen.bits,
        color_range=seen.color_range,
        samples=seen.samples,
        levels=levels_of(seen.samples, seen.bits),
        alpha=seen.transparent or seen.hidden_alpha,
        interlaced=seen.interlaced > 0,
        video_streams=seen.video_streams,
    )


def _timed(entry: VideoEntry, seen: DecodePass) -> tuple[VideoEntry, str]:
    """Add the number of frames and their times; also describe what was guessed, if anything."""
    tick, pts, exact = seen.time_base, [time for time in seen.pts if time is not None], grows(seen.pts)
    entry = replace(entry, frames=len(seen.pts), time_base=(tick.numerator, tick.denominator))
    # A reader can also seek by times that do not increase, but not if most of them are repeated.
    if exact or (len(pts) == len(seen.pts) and len(findable(pts, seen.keys)) > len(seen.keys) / 2):
        entry = replace(entry, pts_runs=pack(pts))
    most = (_JUMP_SECONDS if seen.may_jump else _DAY_SECONDS) / float(tick)
    if exact and not seen.timeless and not (np.diff(pts) > most).any():
        return entry, ""
    given = [None] * len(seen.pts) if seen.timeless else fewest_faults(seen.pts, seen.dts)
    times, guessed = repaired(given, 1 / ((seen.rate or 25.0) * float(tick)), most)
    return replace(entry, mended_runs=pack(times.tolist())), guessed
