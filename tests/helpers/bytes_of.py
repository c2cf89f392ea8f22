"""Files changed after they were written: packets timed anew, and bytes put where cameras and phones put them."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import av


def remux(
    source: Path,
    target: Path,
    *,
    time: Callable[[int], int] = lambda ticks: ticks,
    data: Callable[[bytes], bytes] = lambda data: data,
    options: dict[str, str] | None = None,
) -> Path:
    """Copies the packets of a video.

    Args:
        source: a video.
        target: its extension chooses the container.
        time: from the times of a packet, counted in frames of 25 a second, to the new ones.
        data: from the bytes of a packet to the new ones.
        options: of the muxer.
    """
    with av.open(str(source)) as given, av.open(str(target), "w", options=options or {}) as made:
        stream = given.streams.video[0]
        copy = made.add_stream_from_template(stream)
        tick = 1 / (25 * stream.time_base)
        for packet in given.demux(stream):
            if packet.size:
                new = av.Packet(data(bytes(packet)))
                new.stream, new.time_base, new.is_keyframe = copy, stream.time_base, packet.is_keyframe
                new.duration = packet.duration or round(tick)
                new.pts, new.dts = (int(time(round(t / tick)) * tick) for t in (packet.pts, packet.dts))
                made.mux(new)
    return target


def with_exif(jpeg: bytes, orientation: int = 1) -> bytes:
    """Puts notes on how it was held into a JPEG, as cameras do."""
    notes = b"Exif\0\0MM\0*" + struct.pack(">IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(notes) + 2) + notes + jpeg[2:]


def with_profile(png: bytes) -> bytes:
    """Puts a color profile into a PNG."""
    head = struct.pack(
        ">I4s4s4sI4s4s4s", 132, b"lcms", b"\x02\x10\0\0", b"mntr", 0x52474220, b"XYZ ", bytes(4), bytes(4)
    )
    profile = (head + bytes(36 - len(head)) + b"acsp").ljust(132, b"\0")
    body = b"iCCP" + b"a name\0\0" + zlib.compress(profile)
    return png[:33] + struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body)) + png[33:]
