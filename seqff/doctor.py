"""What is installed and how fast this machine decodes: the first thing to look at when something is off."""

from __future__ import annotations

import importlib
import os
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from seqff.devices import choose_device
from seqff.display import preformatted
from seqff.errors import SeqffError
from seqff.pairs.synthetic import ClipSettings, digits, moving_object, write_clip
from seqff.terminal import as_lines
from seqff.training.run_folder import environment
from seqff.video import open_video

READERS = {"decord": "decord", "pyav": "av", "opencv": "cv2", "torchcodec": "torchcodec"}


@dataclass(frozen=True)
class Report:
    """What `doctor` found.

    Args:
        versions: package -> version or "absent".
        readers: reader -> "found" or why not.
        cores: processors this process may use.
        threads: torch's computing threads.
        device: what device "auto" (or the one asked for) stands for, with its name.
        decode_frames_per_second: whole-video decoding of a generated 320 x 240 H.264 clip at 64 px, one thread.
    """

    versions: dict[str, str]
    readers: dict[str, str]
    cores: int
    threads: int
    device: str
    decode_frames_per_second: float

    def to_dict(self) -> dict[str, Any]:
        """Return the findings as plain data."""
        return asdict(self)

    def table(self) -> str:
        """Return the findings as lines of text."""
        lines = [f"{name:<14} {value}" for name, value in self.versions.items()]
        lines += [f"reader {name:<12} {found}" for name, found in self.readers.items()]
        lines += [f"cores          {self.cores} (torch uses {self.threads} threads)", f"device         {self.device}"]
        lines += [f"decoding       {self.decode_frames_per_second:.0f} frames/s (320x240 H.264 to 64 px, one thread)"]
        return as_lines(lines)

    def _repr_html_(self) -> str:
        """The same, for notebooks."""
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
    """Frames a second of wall time over a generated clip of 200 frames."""
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


def doctor(*, device: str = "auto") -> Report:
    """Look at this installation and machine.

    Args:
        device: "auto", "cpu" or "cuda".

    Returns:
        Versions, readers, threads, device, decoding speed.

    Raises:
        ValueError: CUDA is asked for and there is none.
        SeqffError: the generated clip cannot be decoded, so nothing else will be.
    """
    target = choose_device(device)
    name = torch.cuda.get_device_name(target) if target.type == "cuda" else "cpu"
    readers = {reader: _find_reader(module) for reader, module in READERS.items()}
    if readers["pyav"] != "found":
        raise SeqffError("PyAV, which seqff reads video with, cannot be imported: pip install av")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return Report(environment(), readers, cores, torch.get_num_threads(), name, round(_decode_speed(), 1))
