"""Clips for the reading benchmark: copies that count as different videos, and generated clips."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from seqff.video import Manifest, VideoEntry


def variants(manifest: Manifest, entry: VideoEntry, folder: Path, count: int = 8) -> Manifest:
    """Copy an mp4 with an empty box at the end, so that the copies count as different videos."""
    folder.mkdir(parents=True, exist_ok=True)
    entries = []
    for number in range(count):
        path = folder / f"{number}.mp4"
        path.write_bytes(manifest.path(entry).read_bytes() + b"\0\0\0\x08free" * number)
        found = path.stat()
        same = {"bytes": found.st_size, "mtime_ns": found.st_mtime_ns, "content_hash": f"{entry.content_hash}{number}"}
        entries.append(replace(entry, path=path.name, duplicate_of="", **same))
    return Manifest(folder, tuple(entries))


def make_clips(folder: Path, widths: Iterable[int], frames: int) -> None:
    """Write H.264 clips of a drifting texture with some noise, with key frames every 12 and 250 frames."""
    import av

    for width in widths:
        height = {320: 240, 640: 480, 1280: 720}.get(width, width * 3 // 4)
        random = np.random.default_rng(width)
        coarse = random.integers(0, 256, (height // 8 + 40, width // 8 + 40, 3)).astype(np.uint8)
        texture = coarse.repeat(8, axis=0).repeat(8, axis=1)
        for gop in (12, 250):
            with av.open(str(folder / f"h264_{width}_g{gop}.mp4"), "w") as container:
                options = {"preset": "veryfast", "x264-params": f"keyint={gop}:min-keyint={gop}:scenecut=0"}
                stream: Any = container.add_stream("libx264", rate=25, options=options)
                stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
                stream.codec_context.max_b_frames, stream.codec_context.thread_count = 2, 1
                for number in range(frames):
                    down, right = (int(150 + 149 * f(number / 25)) for f in (np.sin, np.cos))
                    image = texture[down : down + height, right : right + width] // 2
                    image = image + random.integers(0, 16, (height, 1, 1), dtype=np.uint8)
                    container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
                container.mux(stream.encode(None))


def make_tiny(folder: Path, count: int) -> None:
    """Write tiny videos in several codecs and containers, each with 12 different frames of 48 x 64 px."""
    import av

    folder.mkdir()
    kinds = [("libx264", "mp4"), ("mpeg4", "avi"), ("libx264", "mkv"), ("mjpeg", "mov")]
    random = np.random.default_rng(0)
    for number in range(count):
        codec, ending = kinds[number % len(kinds)]
        with av.open(str(folder / f"{number:04}.{ending}"), "w") as container:
            stream: Any = container.add_stream(codec, rate=25)
            stream.width, stream.height = 64, 48
            stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
            stream.codec_context.gop_size, stream.codec_context.thread_count = 6, 1
            for coarse in random.integers(0, 256, (12, 6, 8, 3), dtype=np.uint8):
                image = coarse.repeat(8, axis=0).repeat(8, axis=1)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
            container.mux(stream.encode(None))


def gop_of(entry: VideoEntry) -> float:
    """Return the number of frames per key frame."""
    return entry.frames / max(1, len(entry.key_frames))


def pair_clips(manifest: Manifest) -> list[VideoEntry]:
    """Return the smallest H.264 mp4 files with the shortest and the longest groups of pictures."""
    clips = [e for e in manifest.usable if e.codec == "h264" and e.path.endswith(".mp4") and e.frames > 20]
    small = sorted((e for e in clips if e.width == min(c.width for c in clips)), key=gop_of)
    return small if len(small) < 2 else [small[0], small[-1]]
