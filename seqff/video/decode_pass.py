"""The scan's decode pass: decodes every frame of a video once and collects what the manifest needs."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from seqff.terminal import counted
from seqff.video.container import decoded, open_source, video_streams
from seqff.video.content import emptiness
from seqff.video.conversion import (
    UPRIGHT,
    WHOLE,
    ToRgb,
    declared_bits,
    display_size,
    is_absurd,
    orientation_of,
    pixel_aspect,
    plausible_aspect,
)
from seqff.video.file_structure import crop_of, is_complete
from seqff.video.levels import DECLARED, Levels, deep, levels_of, samples_of, widened
from seqff.video.reader import Frames, cause_of
from seqff.video.shards import Source

THUMB = 64  # px; a width that decord handles correctly
_TS_DISCONT = 0x0200  # FFmpeg's AVFMT_TS_DISCONT: transport and program streams, among others
_NO_TIMESTAMPS = 0x0080  # AVFMT_NOTIMESTAMPS: raw streams, for which FFmpeg generates timestamps
INDEXED = ("matroska", "mov", "avi", "flv", "asf")
"""Formats that store the time of every frame, and whose header contains the expected duration."""


class DecodePass:
    """The results of decoding a whole video; see `VideoEntry` for attributes not explained here."""

    def __init__(self, source: Source, container: Any, stream: Any, samples: Levels = DECLARED) -> None:
        self.codec, self.container = stream.codec_context.codec.canonical_name, container.format.name
        self.time_base = stream.time_base or Fraction(1)
        self.rate = float(stream.average_rate or stream.guessed_rate or 0)
        self.height, self.width, self.orientation = 0, 0, UPRIGHT
        flags = int(container.format.flags)
        self.may_jump = bool(flags & _TS_DISCONT)  # whether timestamps may be discontinuous in this format
        self.timeless = bool(flags & _NO_TIMESTAMPS)  # whether this format has no timestamps
        # One item per frame: presentation and file times in ticks; a fingerprint of the picture; a few points, uint8
        # (16, 16); mean absolute gray difference to the previous frame, of 255.
        self.pts: list[int | None] = []
        self.dts: list[int | None] = []
        self.prints: list[int] = []
        self.small: list[NDArray[np.uint8]] = []
        self.change: list[float] = []
        self.keys: list[int] = []  # display indices of the key frames
        self.packet_pts: list[int | None] = []  # one item per packet
        self.key_packets: list[int] = []  # indices of packets marked as key frames
        self.damage = ""  # why frames are missing; all frames before are sound
        self.remark = ""  # a harmless anomaly that readers may treat differently
        self.stored_size, self.aspect, self.crop = (0, 0), Fraction(1), WHOLE
        self.interlaced = 0  # number of frames made of two fields
        self.bits, self.color_range, self.video_streams = 8, "", len(video_streams(container))
        self.samples, self._source, self._stream = samples, source, stream
        self.brightest = np.zeros((THUMB, THUMB, 3), dtype=np.uint8)  # maximum of each thumbnail point over all frames
        self.darkest = np.full_like(self.brightest, 255)
        self._gray: NDArray[np.int16] | None = None

    def add_packet(self, packet: Any) -> None:
        """Record a packet of the video stream before it is decoded."""
        if packet.size:
            if packet.is_keyframe:
                self.key_packets.append(len(self.packet_pts))
            self.packet_pts.append(packet.pts)

    def add_frame(self, frame: Any) -> None:
        """Record a decoded frame."""
        if not self.pts:
            self._add_first(frame)
        elif (frame.height, frame.width) != self.stored_size and not self.remark:
            self.remark = f"changes its size at frame {len(self.pts)}; shown at its first size"
        elif self._stream.codec_context.sample_aspect_ratio != self._coded_aspect and not self.remark:
            self.remark = f"changes the shape of its pixels at frame {len(self.pts)}; shown in the first shape"
        self.interlaced += frame.interlaced_frame
        if frame.key_frame:
            self.keys.append(len(self.pts))
        thumb = self._to_thumb(frame)
        gray = thumb[:, :, 1].astype(np.int16)  # green is close enough to gray, and free
        np.maximum(self.brightest, thumb, out=self.brightest)
        np.minimum(self.darkest, thumb, out=self.darkest)
        self.pts.append(frame.pts)
        self.dts.append(frame.dts)
        self.prints.append(fingerprint(thumb))
        self.small.append(sampled(thumb))
        self.change.append(0.0 if self._gray is None else int(np.abs(gray - self._gray).sum()) / gray.size)
        self._gray = gray

    def _add_first(self, frame: Any) -> None:
        self.stored_size, self.orientation = (frame.height, frame.width), orientation_of(frame)
        self.crop = crop_of(self._source, self.container, self.stored_size)
        self.bits = declared_bits(frame.format.name)
        levels = levels_of(self.samples, self.bits)
        self._to_thumb = ToRgb(THUMB, THUMB, self.orientation, levels, self.crop)
        self.aspect = pixel_aspect(self._stream)
        size = display_size(self.stored_size, plausible_aspect(self.aspect), self.crop)
        self.height, self.width = size[:: -1 if self.orientation[1] else 1]
        self._coded_aspect = self._stream.codec_context.sample_aspect_ratio
        self.color_range = {1: "limited", 2: "full"}.get(int(frame.color_range), "")

    @property
    def transparent(self) -> bool:
        """Whether any frame had transparent parts."""
        return bool(self.pts) and self._to_thumb.transparent

    @property
    def hidden_alpha(self) -> bool:
        """Whether the file has transparency that the decoder omits: WebM stores it separately from the frames."""
        return self._stream.metadata.get("alpha_mode") == "1" and not self.transparent

    def remarks(self) -> Iterator[str]:
        """Yield short remarks about how pixels of a sound video are treated, and about anomalies."""
        aspect = self.aspect
        if plausible_aspect(aspect) != 1:
            yield f"pixels of {aspect.numerator}:{aspect.denominator} made square"
        elif is_absurd(aspect):
            yield f"pixels of {aspect.numerator}:{aspect.denominator} are not believed, and taken for square"
        if self.crop != WHOLE:
            left, top, right, bottom = self.crop
            yield f"cropped by {left}, {top}, {right}, {bottom} px (left, top, right, bottom), as the container says"
        if self.transparent:
            yield "transparent parts, composed on black"
        if self.hidden_alpha:
            yield "transparency that FFmpeg's decoder leaves out; shown as opaque"
        if self.interlaced:
            yield f"interlaced ({self.interlaced} of {len(self.pts)} frames): a frame holds two moments, line by line"
        if self.video_streams > 1:
            yield f"{self.video_streams} video streams; that of {self.stored_size[1]}x{self.stored_size[0]} px is read"
        yield from emptiness(self.brightest, self.darkest)

    def keep(self, frames: int) -> None:
        """Discard all but the first `frames` frames."""
        for notes in (self.pts, self.dts, self.prints, self.small, self.change):
            del notes[frames:]
        self.keys = [key for key in self.keys if key < frames]


def decode_pass(source: Source, heartbeat: Callable[[], None]) -> DecodePass:
    """Decode a whole video, with a heartbeat after every packet; stops at the first damage.

    Raises:
        NoVideoError, ValueError, OSError, av.FFmpegError: the file cannot be opened; see `open_source`.
    """
    container, stream = open_source(source)
    with container:
        seen = DecodePass(source, container, stream, _samples(source, stream))
        end_seconds, before_flush = 0.0, 0
        for packet in container.demux():
            heartbeat()
            end_seconds = max(end_seconds, _end_seconds(packet))
            if packet.stream.index == stream.index:
                seen.add_packet(packet)
                before_flush = len(seen.pts)
                seen.damage = _decode(seen, packet)
                if seen.damage:
                    return seen
        seen.damage = _cut_short(seen, source, container, stream, end_seconds)
        if seen.damage:
            # The flushed frames waited for others that never came, so some may be missing. A GIF's last one is partial.
            seen.keep(before_flush - (seen.container == "gif"))
        elif seen.key_packets and seen.key_packets[0]:
            lost = counted(seen.key_packets[0], "packet")
            seen.damage = f"starts inside a group of pictures: {lost} before it lost"
    return seen


def _samples(source: Source, stream: Any) -> Levels:
    """Return the minimum and maximum sample of a deep video, which takes an extra decode; else (0, 0)."""
    if deep(stream.codec_context.pix_fmt or "") is None:
        return DECLARED
    found: Levels | None = None
    container, again = open_source(source)
    with container:
        try:
            for frame in (f for packet in container.demux(again) for f in decoded(packet)):
                if deep(frame.format.name) is not None:
                    found = widened(found, samples_of(frame))
        except av.FFmpegError:
            pass  # the main pass will report it
    return found or DECLARED


def _decode(seen: DecodePass, packet: Any) -> str:
    """Decode one packet; return a description of damage, or an empty string."""
    try:
        for frame in decoded(packet):
            if frame.is_corrupt:
                return f"damaged at frame {len(seen.pts)}: the decoder had to conceal missing parts"
            seen.add_frame(frame)
    except av.FFmpegError as error:
        # A stream cut from a longer one begins with packets that cannot be decoded; that is not damage.
        return f"damaged at frame {len(seen.pts)}: {cause_of(error)}" if seen.pts else ""
    return ""


def _cut_short(seen: DecodePass, source: Source, container: Any, stream: Any, end_seconds: float) -> str:
    """Describe what is missing at the end, if anything.

    A header may disagree with the content: empty chunks of an AVI, frames hidden by an edit list, an uncorrected
    duration. So its numbers are only used for files that are truncated or may be.
    """
    complete = is_complete(source)
    if complete:
        return ""
    packets, declared, rate = len(seen.packet_pts), stream.frames, seen.rate or 25.0
    if complete is False and declared > packets:
        return f"cut short: the header declares {declared} frames, the file holds {packets}"
    if any(name in seen.container for name in INDEXED) and container.duration:
        seconds = container.duration / av.time_base
        if end_seconds < seconds - (max(0.1, 2.5 / rate) if complete is None else 0.5 / rate):
            return f"cut short: the header declares {seconds:.2f} s, the file holds {end_seconds:.2f} s"
    counted = ("mov" in seen.container and not declared) or seen.container == "gif"  # from the existing frames
    return "cut short: the file ends within one of its parts" if complete is False and counted else ""


def _end_seconds(packet: Any) -> float:
    shown = packet.pts if packet.pts is not None else packet.dts
    if shown is None:
        return 0.0
    tick = packet.time_base  # multiplying by the fraction would reduce it to lowest terms, for each packet
    return float((shown + (packet.duration or 0)) * tick.numerator / tick.denominator)


def fingerprint(thumb: Frames) -> int:
    """Return a hash of a picture."""
    return zlib.crc32(thumb.tobytes())


def sampled(thumb: Frames) -> NDArray[np.uint8]:
    """Return 16 x 16 points of the green channel of a thumbnail (64, 64, 3)."""
    points: NDArray[np.uint8] = thumb[2::4, 2::4, 1].copy()
    return points
