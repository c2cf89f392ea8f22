"""An optional reader: torchcodec, held to the scan's table of presentation times."""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np

from seqff.video.container import check_no_script, local_url
from seqff.video.entry import VideoEntry, only_pyav
from seqff.video.images import resized
from seqff.video.reader import Frames, VideoInfo, VideoReader
from seqff.video.shards import Source


def torchcodec_available() -> bool:
    """Whether torchcodec is installed; it works only with FFmpeg's libraries beside it."""
    return importlib.util.find_spec("torchcodec") is not None


def why_not_torchcodec(entry: VideoEntry) -> str:
    """Say why torchcodec cannot be held to the contract on a file; nothing where it can."""
    if entry.reader not in ("decord", "pyav"):
        return f"this reader is not exact on this file; possible: {entry.reader}"
    if not len(entry.pts):
        return "this reader is not exact on this file: its frames bear no times to check them by; possible: pyav"
    if entry.mended_runs:
        return "this reader checks frames by their times, and on this file some are guessed; possible: pyav"
    # Where the audit found that a key frame does not give the picture it should, the times would still be right.
    if entry.pyav_access != "random" and len(entry.key_frames) > 1:
        return "this reader seeks, and on this file no decoder can; possible: pyav"
    if entry.key_prints:
        return "this reader believes the times of frames after a seek, which this container guesses; possible: pyav"
    a, b, c, d = entry.orientation
    if a * d - b * c < 0:
        return "this reader does not mirror, as this file asks for; possible: pyav"
    if only_pyav(entry):
        return f"this reader {only_pyav(entry)}; possible: pyav"
    if not torchcodec_available():
        return "torchcodec is not installed: pip install 'seqff[torchcodec]', and FFmpeg's libraries"
    return ""


class TorchcodecReader(VideoReader):
    """Reads what `why_not_torchcodec` lets through; each frame must bear the time that the scan has found for it."""

    name = "torchcodec"

    def __init__(self, source: Source, info: VideoInfo, entry: VideoEntry) -> None:
        super().__init__(info)
        stored = entry.stored_size[:: -1 if entry.orientation[1] else 1]
        self._native_shape = (*stored, 3)
        # torchcodec counts by the clock of the file.
        self._since = int(entry.pts[0]) * entry.time_base[0] / entry.time_base[1]
        gaps = np.diff(info.times_seconds)
        self._nearly = 0.45 * float(gaps.min()) if len(gaps) else float("inf")
        try:
            check_no_script(source)
            from torchcodec.decoders import VideoDecoder  # takes seconds

            self._decoder: Any = VideoDecoder(
                local_url(source), dimension_order="NHWC", num_ffmpeg_threads=1, seek_mode="exact"
            )
            found = len(self._decoder)
        except Exception as error:  # torchcodec has no base class of its errors
            raise self._error(error) from error
        # Of a damaged file torchcodec counts packets that cannot be decoded; only the frames before are asked for.
        if found < info.frames or (found > info.frames and entry.status == "ok"):
            raise self._error(
                f"sees {found} frames where the scan has decoded {info.frames}; read it with reader='pyav'"
            )

    def _frame(self, index: int) -> Frames:
        try:
            found = self._decoder.get_frame_at(index)
            image, seconds = found.data.numpy(), float(found.pts_seconds) - self._since
        except Exception as error:
            raise self._error(f"frame {index}: {error}") from error
        expected = float(self._info.times_seconds[index])
        if abs(seconds - expected) > self._nearly:
            raise self._error(
                f"frame {index}: shown at {seconds:.4f} s where the scan has noted {expected:.4f} s; "
                "read it with reader='pyav'"
            )
        if image.shape != self._native_shape:
            raise self._error(f"frame {index}: {image.shape} where the scan has seen {self._native_shape}")
        return np.array(resized(image, self._info.height, self._info.width))

    def _release(self) -> None:
        self._decoder = None
