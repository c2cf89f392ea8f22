"""Modify files: retime packets, and insert bytes as cameras and phones do."""

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
    """Copy the packets of a video.

    Args:
        source: a video.
        target: output file; its extension selects the container.
        time: maps packet times, in frames at 25 per second, to new ones.
        data: maps packet bytes to new ones.
        options: muxer options.
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
    """Insert an EXIF orientation into a JPEG, as cameras do."""
    notes = b"Exif\0\0MM\0*" + struct.pack(">IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(notes) + 2) + notes + jpeg[2:]


def with_profile(png: bytes) -> bytes:
    """Insert a color profile into a PNG."""
    head = struct.pack(
        ">I4s4s4sI4s4s4s", 132, b"lcms", b"\x02\x10\0\0", b"mntr", 0x52474220, b"XYZ ", bytes(4), bytes(4)
    )
    profile = (head + bytes(36 - len(head)) + b"acsp").ljust(132, b"\0")
    body = b"iCCP" + b"a name\0\0" + zlib.compress(profile)
    return png[:33] + struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body)) + png[33:]
