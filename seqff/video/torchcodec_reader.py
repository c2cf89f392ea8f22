"""An optional reader with torchcodec, verified against the scan's table of presentation times."""

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
    """Whether torchcodec is installed; it also needs FFmpeg's libraries."""
    return importlib.util.find_spec("torchcodec") is not None


def why_not_torchcodec(entry: VideoEntry) -> str:
    """Return why torchcodec cannot be verified on a file; empty if it can."""
    if entry.reader not in ("decord", "pyav"):
        return f"this reader is not exact on this file; possible: {entry.reader}"
    if not len(entry.pts):
        return "this reader is not exact on this file: its frames bear no times to check them by; possible: pyav"
    if entry.mended_runs:
        return "this reader checks frames by their times, and on this file some are guessed; possible: pyav"
    # If a key frame does not decode to the right picture after a seek, the times would still be correct.
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
    """Reads files that `why_not_torchcodec` accepts; each frame must have the time recorded by the scan."""

    name = "torchcodec"

    def __init__(self, source: Source, info: VideoInfo, entry: VideoEntry) -> None:
        super().__init__(info)
        stored = entry.stored_size[:: -1 if entry.orientation[1] else 1]
        self._native_shape = (*stored, 3)
        # torchcodec uses the times of the file.
        self._since = int(entry.pts[0]) * entry.time_base[0] / entry.time_base[1]
        gaps = np.diff(info.times_seconds)
        self._nearly = 0.45 * float(gaps.min()) if len(gaps) else float("inf")
        try:
            check_no_script(source)
            from torchcodec.decoders import VideoDecoder  # import takes seconds

            self._decoder: Any = VideoDecoder(
                local_url(source), dimension_order="NHWC", num_ffmpeg_threads=1, seek_mode="exact"
            )
            found = len(self._decoder)
        except Exception as error:  # torchcodec has no common base class of errors
            raise self._error(error) from error
        # For a damaged file, torchcodec counts packets that cannot be decoded; only frames before the damage are read.
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
