"""Examines one file: from the bytes on disk to a line of the manifest."""

from __future__ import annotations

import hashlib
import stat
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np

from seqff.errors import VideoError
from seqff.untrusted import open_plain
from seqff.video import arrays, images
from seqff.video.audit import decord_access, probe_indices, pyav_access
from seqff.video.base import FrameReader, cause_of, one_line
from seqff.video.changes import shot_cuts, still_pairs
from seqff.video.decode_pass import THUMB, DecodePass, decode_pass
from seqff.video.entry import Stamp, Status, VideoEntry, only_pyav, video_info
from seqff.video.info import Frames
from seqff.video.levels import levels_of
from seqff.video.mending import fewest_faults, findable, grows, mended
from seqff.video.pyav_reader import PyavReader
from seqff.video.remarks import remarks
from seqff.video.remote.address import address_of
from seqff.video.remote.filesystem import no_beat, remote_stamp
from seqff.video.remote.spool import borrow
from seqff.video.runs import pack
from seqff.video.shape import believed
from seqff.video.source import NoVideoError
from seqff.video.tiff import is_stack

_JUMP_SECONDS = 60.0  # a longer step ahead is a jump of the clock, in formats whose clock may start anew
_DAY_SECONDS = 86_400.0  # the same in any other: time lapses have long steps, too


def stamp(path: Path) -> Stamp:
    """Returns what tells a file from a later one at the same place; of a folder of images, over its images."""
    address = address_of(path)
    if address is not None:
        return remote_stamp(address)
    stats = [file.stat() for file in images.stamped_files(path)]
    return Stamp(sum(s.st_size for s in stats), max(s.st_mtime_ns for s in stats))


def examine_there(
    path: Path, wanted: Stamp | None = None, *, how: Callable[[Path], VideoEntry], beat: Callable[[], None] = no_beat
) -> VideoEntry:
    """Examines a file where it is, or fetches it first; never raises for what is wrong with the file or its server.

    Args:
        path: as `examine` takes it, or what stands for an address.
        wanted: the version, if it is known.
        how: examines a file on this machine.
        beat: called while a file is fetched; may raise to give up.

    Returns:
        The entry; of a remote file with the server's stamp.

    Raises:
        SeqffError: nothing can be fetched at all: a package is missing, or the disk is full.
    """
    address = address_of(path)
    if address is None:
        return how(path)
    there = VideoEntry(path=path.as_posix())
    try:
        found = wanted or remote_stamp(address, beat)
        there = replace(there, bytes=found.bytes, version=found.version)
        with borrow(path, found, beat=beat) as file:
            return replace(how(file), path=there.path, bytes=found.bytes, mtime_ns=0, version=found.version)
    except VideoError as error:
        return replace(there, cause=error.cause)
    except FileNotFoundError as error:
        return replace(there, cause=error.strerror or "no such file")


def examine(
    path: Path, *, decord: Any = None, insist: bool = False, beat: Callable[[], None] = lambda: None
) -> VideoEntry:
    """Reads a whole video once and says what it holds; never raises for what is wrong with the file.

    Args:
        path: a video, a folder of numbered images, or a .npy / .npz file.
        decord: the module, if decord may be considered; it is tried where PyAV may not seek.
        insist: try it also where PyAV may.
        beat: called again and again while the work goes on.

    Returns:
        The entry, with `path` as given and no duplicates marked.
    """
    entry = VideoEntry(path=path.as_posix())
    try:
        size, mtime_ns, _ = stamp(path)
        entry = replace(entry, bytes=size, mtime_ns=mtime_ns)
        if path.is_dir() or not path.exists():  # numbered pictures
            found = images.describe(entry, path, beat)
        else:
            if not stat.S_ISREG(path.stat().st_mode):
                raise OSError("not a file")
            if not size:
                raise OSError("the file is empty")
            if arrays.is_array(path):
                found = arrays.describe(entry, path, beat)
            elif is_stack(path):
                found = images.describe(entry, path, beat)
            else:
                found = _video(entry, path, decord, insist, beat)
            found = replace(found, content_hash=_content_hash(path, beat))
    except NoVideoError as error:
        return replace(entry, status="no_video", cause=one_line(error))
    except MemoryError:
        return replace(entry, cause="not enough memory to decode it")
    except (OverflowError, RecursionError, struct.error) as error:  # a header that no check has foreseen
        return replace(entry, cause=f"damaged: {one_line(error)}")
    except (av.FFmpegError, OSError, ValueError) as error:
        inside = Path(str(getattr(error, "filename", None) or path).removeprefix("file:"))
        return replace(
            entry, cause=cause_of(error) if inside in (path, path.absolute()) else f"{inside.name}: {cause_of(error)}"
        )
    return _too_short(found)


def _too_short(entry: VideoEntry) -> VideoEntry:
    if entry.frames < 2 and entry.status == "ok":
        return replace(entry, status="too_short", cause=f"{entry.frames} frame, needs at least 2")
    return entry


def _content_hash(path: Path, beat: Callable[[], None]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    with open_plain(path) as file:
        while block := file.read(2**20):
            beat()
            digest.update(block)
    return digest.hexdigest()


def _video(entry: VideoEntry, path: Path, decord: Any, insist: bool, beat: Callable[[], None]) -> VideoEntry:
    seen = decode_pass(str(path), beat)
    if not seen.pts:
        raise ValueError(seen.damage or "no frame can be decoded")
    entry = _describe(entry, seen)
    probes = probe_indices(entry.frames, seen.keys)
    if entry.pts_runs:
        trial = replace(entry, pyav_access="random")
        with PyavReader(str(path), video_info(str(path), trial, (THUMB, THUMB)), trial) as reader:
            # With no key frame but the first nobody seeks; a reader that goes forward still leaves frames out.
            order = probes if len(entry.key_frames) > 1 else sorted(probes)
            access = pyav_access(lambda i: _beating(reader, i, beat), seen, order)
        entry = replace(entry, pyav_access=access, access=access)
    wanted = decord is not None and (insist or entry.pyav_access == "forward")
    if wanted and entry.status == "ok" and not seen.remark and not only_pyav(entry):
        fast = decord_access(str(path), seen, probes, decord, beat)
        entry = entry if fast is None else replace(entry, reader="decord", access=fast)
    return entry


def _beating(reader: FrameReader, index: int, beat: Callable[[], None]) -> Frames:
    beat()
    frame: Frames = reader.at([index])[0]
    return frame


def _describe(entry: VideoEntry, seen: DecodePass) -> VideoEntry:
    status: Status = "damaged" if seen.damage else "ok"
    entry, guessed = _timed(entry, seen)
    gaps, tick = np.diff(entry.times_seconds), float(seen.time_base)
    rounding = tick * (0.5 if abs(seen.rate * tick - 1) < 0.01 else 2.5)  # where a tick is a frame, nothing is rounded
    variable = bool(len(gaps) > 1 and np.ptp(gaps) > max(rounding, 0.1 * float(np.median(gaps))))
    mean_rate = 1 / float(gaps.mean()) if len(gaps) else seen.rate
    steady = not variable and abs(seen.rate - mean_rate) < 0.01 * mean_rate
    change = np.asarray(seen.change, dtype=np.float64)
    return replace(
        entry,
        status=status,
        cause="; ".join(filter(None, (seen.damage or "; ".join(filter(None, (seen.remark, *remarks(seen)))), guessed))),
        height=seen.height,
        width=seen.width,
        fps=seen.rate if steady or not len(gaps) else mean_rate,
        codec=seen.codec,
        container=seen.container,
        orientation=seen.orientation,
        variable_rate=variable or bool(guessed),
        reader="pyav",
        key_runs=pack(seen.keys),
        key_prints=() if _timed_by_index(seen) else tuple(seen.prints[key] for key in seen.keys),
        cut_runs=pack(shot_cuts(change)),
        still_runs=pack(still_pairs(change)),
        sample_aspect_ratio=believed(seen.sample_aspect_ratio).as_integer_ratio(),
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


def _timed_by_index(seen: DecodePass) -> bool:
    """Whether the container stores the time of every frame; in streams FFmpeg guesses some, after a seek wrongly."""
    return any(name in seen.container.split(",") for name in ("matroska", "mov", "avi", "flv", "asf"))


def _timed(entry: VideoEntry, seen: DecodePass) -> tuple[VideoEntry, str]:
    """Adds the frames and their times; says what was guessed of them, nothing where all are the file's."""
    tick, pts, exact = seen.time_base, [time for time in seen.pts if time is not None], grows(seen.pts)
    entry = replace(entry, frames=len(seen.pts), time_base=(tick.numerator, tick.denominator))
    # A reader can seek by times that do not grow, too, but hardly where most of them come twice.
    if exact or (len(pts) == len(seen.pts) and len(findable(pts, seen.keys)) > len(seen.keys) / 2):
        entry = replace(entry, pts_runs=pack(pts))
    most = (_JUMP_SECONDS if seen.may_jump else _DAY_SECONDS) / float(tick)
    if exact and not seen.timeless and not (np.diff(pts) > most).any():
        return entry, ""
    said = [None] * len(seen.pts) if seen.timeless else fewest_faults(seen.pts, seen.dts)
    times, guessed = mended(said, 1 / ((seen.rate or 25.0) * float(tick)), most)
    return replace(entry, mended_runs=pack(times.tolist())), guessed
