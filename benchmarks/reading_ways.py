"""Ways of reading video, as functions that return the number of frames or pairs read (see reading.py)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.measuring import command, cpu_seconds, memory_mb
from seqff.config import PairsConfig
from seqff.pairs import PairStream
from seqff.transform import FrameTransform
from seqff.video import Manifest, VideoEntry, open_cached, open_video

SIZE = (112, 112)
TRANSFORM = FrameTransform(*SIZE)
VISITS = PairsConfig(
    gap=1, clips_per_video=4, clip_frames=17, batches_per_visit=1, videos_per_batch=8, buffer_videos=8,
    crop=1.0, flip=False, brightness=0.0, color_jitter=0.0, skip="none",
)  # fmt: skip
OPENINGS = 24  # pairs read with one opening each


def per_unit(work: Callable[[int], int], repeat: int) -> float:
    """Return the CPU seconds per unit of work; the function returns the number of units."""
    before = cpu_seconds()
    units = work(repeat)
    return (cpu_seconds() - before) / units


def whole_seqff(path: Path, entry: VideoEntry, size: tuple[int, int], repeat: int) -> int:
    """Read a whole video."""
    with open_video(path, size=size, entry=entry) as video:
        return sum(1 for _ in video)


def whole_decord(path: Path, size: tuple[int, int], repeat: int) -> int:
    """Read a whole video with bare decord."""
    import decord

    video = decord.VideoReader(str(path), ctx=decord.cpu(0), height=size[0], width=size[1], num_threads=1)
    return sum(video.next().asnumpy() is not None for _ in range(len(video)))


def whole_torchcodec(path: Path, size: tuple[int, int], repeat: int) -> int:
    """Read a whole video with bare torchcodec."""
    return sum(1 for _ in torchcodec_decoder(path, size))


def torchcodec_decoder(path: Path, size: tuple[int, int]) -> Any:
    """Open a video with torchcodec, with resizing in its decoder."""
    from torchcodec.decoders import VideoDecoder
    from torchcodec.transforms import Resize

    return VideoDecoder(str(path), dimension_order="NHWC", num_ffmpeg_threads=1, transforms=[Resize(list(size))])


def run_ffmpeg(arguments: Iterable[str], repeat: int) -> float:
    """Return the CPU seconds of one run of ffmpeg."""
    return command(["ffmpeg", "-nostdin", "-v", "error", *arguments]).cpu_seconds


def open_per_pair(path: Path, frames: int, size: tuple[int, int], repeat: int) -> int:
    """Open the video for every pair and a distant frame, as data sets often do."""
    import decord

    random = np.random.default_rng(repeat)
    for _ in range(OPENINGS):
        video = decord.VideoReader(str(path), ctx=decord.cpu(0), height=size[0], width=size[1], num_threads=1)
        n, far = (int(index) for index in random.integers(0, frames - 1, 2))
        video.get_batch([n, n + 1]).asnumpy()
        video.get_batch([far]).asnumpy()
    return OPENINGS


def pairs_torchcodec(path: Path, frames: int, size: tuple[int, int], repeat: int) -> int:
    """Open a video and request 32 random pairs in one call."""
    starts = np.sort(np.random.default_rng(repeat).integers(0, frames - 1, 32))
    torchcodec_decoder(path, size).get_frames_at(indices=np.stack([starts, starts + 1], axis=1).ravel().tolist())
    return 32


def pairs_stream(stream: PairStream, rounds: int, repeat: int) -> int:
    """Read rounds of batches from the stream of training pairs; return the number of pairs (n, n + 1)."""
    count = stream.plan.batches_per_round * rounds
    return sum(count_pairs(batch) for batch in islice(stream.batches(repeat * count), count))


def count_pairs(batch: Any) -> int:
    """Count the rows of a batch that are followed by the next frame of the same video."""
    return int(((batch.time.diff() == 1) & (batch.video.diff() == 0)).sum())


def collated(manifest: Manifest, cache: str, folder: Path, repeat: int) -> int:
    """Visit every video (4 clips of 17 frames) and collate all uint8 frames into one tensor."""
    random, pairs = np.random.default_rng(repeat), 0
    for _ in range(1 if cache == "none" else 8):  # otherwise too short to measure
        visits = []
        for entry in manifest:
            starts = np.linspace(0, entry.frames - 18, 5)[:4] + random.integers(0, max(1, (entry.frames - 68) // 4))
            visits.append(np.unique(np.minimum(starts.astype(int)[:, None] + np.arange(17), entry.frames - 1)))
        size = TRANSFORM.decode_size(entry.height, entry.width)  # all videos are copies of one
        batch = torch.empty(sum(map(len, visits)), *size, 3, dtype=torch.uint8)
        parts = batch.split([len(indices) for indices in visits])
        for entry, indices, part in zip(manifest, visits, parts, strict=True):
            with open_cached(manifest.path(entry), entry, size=size, cache=cache, folder=folder) as video:
                video.at(indices, out=part.numpy())
            pairs += int((np.diff(indices) == 1).sum())
    return pairs


def wall_of_stream(manifest: Manifest, workers: int, repeat: int) -> float:
    """Return the wall seconds per pair, after the workers have started."""
    stream = PairStream(manifest, TRANSFORM, VISITS, seed=repeat, workers=workers)
    batches, count = stream.batches(), 4 * stream.plan.batches_per_round
    list(islice(batches, stream.plan.batches_per_round))
    before = time.perf_counter()
    pairs = sum(count_pairs(batch) for batch in islice(batches, count))
    return (time.perf_counter() - before) / pairs


def memory_drift(manifest: Manifest, visits: int) -> float:
    """Return the growth of memory between the first and the last tenth of the visits, MB."""
    config = replace(VISITS, clips_per_video=1, clip_frames=2)
    stream = PairStream(manifest, TRANSFORM, config, seed=0)
    seen = []
    for _ in islice(stream.batches(), visits // VISITS.videos_per_batch):
        seen.append(memory_mb())
    return max(seen[-max(1, len(seen) // 10) :]) - max(seen[: max(1, len(seen) // 10)])
