"""Clips whose frames show their own numbers, so that tests can check which frame they got.

The number is painted in 4 x 4 blocks: bit b, least significant first, is the block in row b // 4 and column b % 4,
white for 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from seqff.video import VideoEntry, VideoReader

SIZE = (48, 64)  # height, width


def paint(number: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """Paint a number, uint8 (height, width, 3); dark and light gray avoid clipping by codecs."""
    bits = (number >> np.arange(16).reshape(4, 4)) & 1
    blocks = np.kron(bits, np.ones((size[0] // 4, size[1] // 4)))
    return np.repeat((40 + 170 * blocks).astype(np.uint8)[:, :, None], 3, axis=2)


def read_numbers(frames: np.ndarray) -> list[int]:
    """Read the numbers from frames (N, H, W, 3) of at least 8 x 8 px."""
    count, height, width, _ = frames.shape
    inner = frames[:, : height // 4 * 4, : width // 4 * 4].reshape(count, 4, height // 4, 4, width // 4, 3)
    down, right = height // 16, width // 16
    inner = inner[:, :, down : height // 4 - down, :, right : width // 4 - right]
    bits = (inner.mean(axis=(2, 4, 5)) > 125).reshape(count, 16)
    return (bits << np.arange(16)).sum(axis=1).tolist()


def has_encoder(codec: str) -> bool:
    """Return whether PyAV's FFmpeg can encode this codec."""
    try:
        av.Codec(codec, "w")
    except ValueError:
        return False
    return True


def write_painted(
    path: str | Path,
    *,
    frames: int = 60,
    codec: str = "libx264",
    size: tuple[int, int] = SIZE,
    rate: int = 25,
    key_every: int = 12,
    b_frames: int = 0,
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
    milliseconds: Sequence[int] | None = None,
    rotation: float | None = None,
    pixels: str = "yuv420p",
    images: Sequence[np.ndarray] | None = None,
) -> Path:
    """Write a clip whose frame i shows the number i.

    Args:
        path: output file; its extension selects the container.
        frames: number of frames.
        codec: name of the encoder; see `has_encoder`.
        size: (height, width) px.
        rate: frames per second.
        key_every: distance of the key frames.
        b_frames: B-frames between two others.
        options: encoder options.
        container_options: muxer options.
        milliseconds: presentation time of each frame, for a variable rate.
        rotation: rotation declared by the file, degrees counterclockwise.
        pixels: pixel format.
        images: frames to write instead of numbers, each uint8 (height, width, 3).

    Returns:
        The path.
    """
    path = Path(path)
    with av.open(str(path), "w", options=container_options or {}) as container:
        stream: Any = container.add_stream(codec, rate=rate, options=options or {})
        stream.height, stream.width, stream.pix_fmt = *size, pixels
        stream.codec_context.gop_size, stream.codec_context.max_b_frames = key_every, b_frames
        stream.codec_context.thread_count = 1
        if milliseconds is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        if rotation is not None:
            stream.set_display_rotation(rotation)
        for number in range(frames if images is None else len(images)):
            image = paint(number, size) if images is None else images[number]
            frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format=pixels)
            if milliseconds is not None:
                frame.pts, frame.time_base = milliseconds[number], Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def cut_by_copy(source: str | Path, target: str | Path, *, first: int) -> Path:
    """Copy packets so that players start at frame `first`: earlier packets stay, hidden by an edit list."""
    with av.open(str(source)) as given, av.open(str(target), "w") as made:
        stream = given.streams.video[0]
        copy = made.add_stream_from_template(stream)
        packets = [packet for packet in given.demux(stream) if packet.size]
        start = sorted(packet.pts for packet in packets)[first]
        keys = [place for place, packet in enumerate(packets) if packet.is_keyframe and packet.pts <= start]
        for packet in packets[keys[-1] :]:
            packet.pts, packet.dts, packet.stream = packet.pts - start, packet.dts - start, copy
            made.mux(packet)
    return Path(target)


def numbers(frames: np.ndarray, entry: VideoEntry, *, first: int = 0) -> list[int]:
    """Read the numbers from frames, rotated back to their original orientation, minus `first`."""
    quarter_turns = entry.rotation_degrees // 90
    return [number - first for number in read_numbers(np.rot90(frames, k=quarter_turns, axes=(1, 2)))]


def count_wrong(reader: VideoReader, entry: VideoEntry, *, first: int = 0, pairs: int = 150) -> int:
    """Count wrong frames: random pairs (n, n + 1), the tail, an unsorted batch with duplicates, forward iteration."""
    rng = np.random.default_rng(0)
    count = reader.info.frames
    starts = rng.integers(0, count - 1, pairs).tolist()
    asked = [[n, n + 1] for n in starts[:6]]
    asked += [[m for n in starts[k : k + 24] for m in (n, n + 1)] for k in range(6, pairs, 24)]
    asked.append(list(range(max(0, count - 20), count)))
    mixed = rng.integers(0, count, 40).tolist()
    asked.append([*mixed, *mixed[:10], count - 1, 0, count - 1])
    wrong = 0
    for indices in asked:
        seen = numbers(reader.at(indices), entry, first=first)
        wrong += sum(a != b for a, b in zip(seen, indices, strict=True))
    forward = numbers(np.stack(list(reader)), entry, first=first)
    return wrong + sum(a != b for a, b in zip(forward, range(count), strict=True))
