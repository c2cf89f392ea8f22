"""Opening the video stream of a file with PyAV, the same way for the scan and for reading."""

from __future__ import annotations

from typing import Any

import av

MAX_PIXELS = 2**26
"""Most pixels a frame may claim (8192 x 8192): more is a damaged header, or an attack on memory."""


class NoVideoError(Exception):
    """The file opens but holds no video stream."""


def open_source(path: str) -> tuple[Any, Any]:
    """Opens a file for decoding by one thread.

    Args:
        path: the file.

    Returns:
        The PyAV container and its video stream; the caller closes the container.

    Raises:
        NoVideoError: no video stream (a cover picture is none).
        ValueError: the stream claims absurd dimensions.
        OSError, av.FFmpegError: the file cannot be opened.
    """
    container = av.open(path, metadata_errors="replace")
    try:
        stream = video_stream(container)
        limit_pixels(stream.codec_context)
        codec = stream.codec_context
        codec.thread_count = 1
        codec.thread_type = "NONE"
    except BaseException:
        container.close()
        raise
    return container, stream


def limit_pixels(codec: Any) -> None:
    """Makes a PyAV codec context refuse absurd frames.

    Raises:
        ValueError: the header claims them.
    """
    if codec.width * codec.height > MAX_PIXELS:
        limit = f"allowed are {MAX_PIXELS} px"
        raise ValueError(f"the file claims frames of {codec.width} x {codec.height} px; {limit}")
    codec.options = {"max_pixels": str(MAX_PIXELS)}  # the bitstream may claim other sizes than the header


def count_streams(container: Any) -> int:
    """Returns how many video streams a PyAV container has; cover pictures are none."""
    return len(_streams(container))


def _streams(container: Any) -> list[Any]:
    return [s for s in container.streams.video if not s.disposition & av.stream.Disposition.attached_pic]


def video_stream(container: Any) -> Any:
    """Returns the video stream of a PyAV container.

    Raises:
        NoVideoError: there is none (a cover picture is none).
    """
    streams = _streams(container)
    if not streams:
        kinds = sorted({s.type for s in container.streams}) or ["nothing"]
        raise NoVideoError(f"no video stream, only {', '.join(kinds)}")
    best = container.streams.best("video")
    return best if best in streams else streams[0]


def decoded(packet: Any) -> list[Any]:
    """Returns the frames that a PyAV packet brings; none of an empty one, by which a file holds the picture before.

    Raises:
        av.FFmpegError: it is damaged.
    """
    held = not packet.size and packet.dts is not None  # the packet that ends a stream is empty, too, and has no time
    frames: list[Any] = [] if held else packet.decode()
    return frames
