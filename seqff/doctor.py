"""Diagnose the installation: versions, readers, and the speed of decoding and training."""

from __future__ import annotations

import dataclasses
import importlib
import statistics
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from seqff.allocator import freed_memory_kept
from seqff.config import TrainConfig
from seqff.cores import FreeCores, crowding, usable_cores
from seqff.devices import choose_device, choose_precision
from seqff.devices import clock as seconds_on
from seqff.display import preformatted
from seqff.errors import SeqffError
from seqff.metrics import clock
from seqff.nets import build_encoder
from seqff.pairs import distances, relate
from seqff.pairs.synthetic import ClipSettings, digits, moving_object, write_clip
from seqff.terminal import as_lines
from seqff.training import build_learners, build_strategy
from seqff.training.run_folder import environment
from seqff.training.setup import FEWEST_STEPS, MOST_STEPS
from seqff.transform import FrameTransform
from seqff.video import open_video

READERS = {"decord": "decord", "pyav": "av", "opencv": "cv2", "torchcodec": "torchcodec"}
TIMED, MOST_SECONDS = 6, 4.0
"""Number of timed steps, and the time limit after which fewer suffice."""
WHOLE = 0.85
"""Ratio of the frames per second of a whole training to those of its steps alone: `python -m benchmarks.whole`."""


@dataclass(frozen=True)
class Report:
    """The findings of `doctor`.

    Args:
        versions: package -> version or "absent".
        readers: reader -> "found" or why not.
        cores: number of cores this process may use.
        threads: number of torch's computing threads.
        device: the device that "auto" (or the requested name) resolves to, with its name.
        decode_frames_per_second: whole-video decoding of a generated 320 x 240 H.264 clip at 64 px, one thread.
        training_frames_per_second: throughput of the steps of a default training on decoded frames of 64 x 64 px.
        precision: precision of these steps.
        crowding: warning if other processes leave the threads too few cores; else empty.
    """

    versions: dict[str, str]
    readers: dict[str, str]
    cores: int
    threads: int
    device: str
    decode_frames_per_second: float
    training_frames_per_second: float
    precision: str
    crowding: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the findings as plain data."""
        return asdict(self)

    def table(self) -> str:
        """Return the findings as lines of text."""
        lines = [f"{name:<14} {value}" for name, value in self.versions.items()]
        lines += [f"reader {name:<12} {found}" for name, found in self.readers.items()]
        lines += [f"cores          {self.cores} (torch uses {self.threads} threads)", f"device         {self.device}"]
        lines += [f"decoding       {self.decode_frames_per_second:.0f} frames/s (320x240 H.264 to 64 px, one thread)"]
        config = TrainConfig()
        rate, seconds = self.training_frames_per_second, len(_rows(config)) / self.training_frames_per_second / WHOLE
        long = " and ".join(f"{steps} steps in {clock(steps * seconds)}" for steps in (FEWEST_STEPS, MOST_STEPS))
        lines += [f"training       {rate:.0f} frames/s ({self.precision}); about {long} with default settings"]
        lines += [f"               {self.crowding}"] if self.crowding else []
        return as_lines(lines)

    def _repr_html_(self) -> str:
        """The table as HTML, for notebooks."""
        return preformatted(self.table())


def _find_reader(module: str) -> str:
    try:
        importlib.import_module(module)
    except ImportError:
        return "absent"
    except (RuntimeError, OSError) as error:  # torchcodec without FFmpeg's libraries
        return f"cannot be loaded ({' '.join(str(error).split())[:80]})"
    return "found"


def _decode_speed() -> float:
    """Frames per second of wall time for a generated clip of 200 frames."""
    import numpy as np

    settings = ClipSettings(size_px=240, frames=50, object_px=100)
    frames = moving_object(digits()[0][0], settings, np.random.default_rng(0))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        write_clip(path, np.tile(np.pad(frames, ((0, 0), (0, 0), (40, 40), (0, 0))), (4, 1, 1, 1)))
        with open_video(path, size=(64, 86)) as reader:
            began = time.perf_counter()
            count = sum(1 for _ in reader)
            return count / (time.perf_counter() - began)


def _rows(config: TrainConfig) -> Tensor:
    """Indices of the rows of a training batch with these settings, ordered by video and clip."""
    pairs = config.pairs
    return torch.arange(pairs.videos_per_batch * pairs.clips_per_video * pairs.clip_length)


def _training_speed(config: TrainConfig, device: torch.device) -> float:
    """Frames per second of wall time for steps on a batch of noise; the median over a few steps."""
    pairs, rows, (gap, far, _) = config.pairs, _rows(config), distances(config.pairs)
    encoder = build_encoder(config.encoder, FrameTransform(pairs.size_px, pairs.size_px))
    encoder = encoder.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    learners = build_learners(encoder, config, seed=0)
    strategy = build_strategy(learners, dataclasses.replace(config, steps=FEWEST_STEPS))
    clips = rows // pairs.clip_length
    relation = relate(clips // pairs.clips_per_video, clips * 100 + rows % pairs.clip_length, gap=gap, far=far)
    frames = torch.randn(len(rows), 3, pairs.size_px, pairs.size_px, generator=torch.Generator().manual_seed(0))
    given = frames.to(device, memory_format=torch.channels_last), relation.to(device)
    taken, began = list[float](), seconds_on(device)
    with freed_memory_kept():  # as in a training
        while len(taken) < 2 or (len(taken) < TIMED and seconds_on(device) - began < MOST_SECONDS):
            start = seconds_on(device)
            strategy.step(0, *given)
            taken.append(seconds_on(device) - start)
    return len(rows) / statistics.median(taken[1:])


def doctor(*, device: str = "auto") -> Report:
    """Check this installation and machine.

    Args:
        device: "auto", "cpu" or "cuda".

    Returns:
        Versions, readers, threads, device, and the speed of decoding and training.

    Raises:
        ValueError: CUDA is requested but not available.
        SeqffError: the generated clip cannot be decoded, so no other video will be.
    """
    target = choose_device(device)
    name = torch.cuda.get_device_name(target) if target.type == "cuda" else "cpu"
    readers = {reader: _find_reader(module) for reader, module in READERS.items()}
    if readers["pyav"] != "found":
        raise SeqffError("PyAV, which seqff reads video with, cannot be imported: pip install av")
    config, free, threads = TrainConfig(), FreeCores(), torch.get_num_threads()
    decoding, training = _decode_speed(), _training_speed(config, target)
    precision = "bf16" if choose_precision(config.precision, target) is torch.bfloat16 else "fp32"
    return Report(
        environment(),
        readers,
        usable_cores(),
        threads,
        name,
        round(decoding, 1),
        round(training, 1),
        precision,
        "" if target.type == "cuda" else crowding(threads, free()),
    )
