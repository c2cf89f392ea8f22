"""Opening the video stream of a file with PyAV, the same way for the scan and for reading."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import av
from av.format import ContainerFormat, formats_available

from seqff.video.shards import Part, Source, open_bytes

MAX_PIXELS = 2**26
"""Most pixels a frame may claim (8192 x 8192): more is a damaged header, or an attack on memory."""
_READ_OTHERS = """
    alsa android_camera avfoundation avisynth concat dash decklink dshow fbdev gdigrab gfxcapture hls iec61883 image2
    imf jack kmsgrab lavfi libcdio libdc1394 openal oss pulse rtp rtsp sap sdp sndio v4l2 vapoursynth vfwcap
    video4linux2 vobsub webm_dash_manifest x11grab xcbgrab
"""
_SCRIPTS = (b"#EXTM3U", b"ffconcat version")
_IS_SCRIPT = "a playlist or script that names other files: only what lies in one file is read"


class NoVideoError(Exception):
    """The file opens but holds no video stream."""


def local_url(source: Source) -> str:
    """Return a path so that FFmpeg takes it for a file, whatever its name begins with (`concat:`, `http:`).

    FFmpeg sees only the bytes of a part (its `subfile`).
    """
    if isinstance(source, Part):
        return f"subfile,,start,{source.start},end,{source.start + source.size},,:{local_url(source.file)}"
    return f"file:{Path(source).absolute()}"


@cache
def _formats(*more: str) -> str:
    """Return FFmpeg's list of demuxers that read nothing but what they are given, and of these others."""
    known = {name for names in map(_demuxer, formats_available) for name in names.split(",")}
    return ",".join(sorted(known - {*_READ_OTHERS.split()} | {*more}))


def _demuxer(name: str) -> str:
    try:
        return str(ContainerFormat(name, "r").name)
    except ValueError:  # formats that are only written
        return ""


def open_input(source: Any, *, protocols: str, more: tuple[str, ...] = (), **how: Any) -> Any:
    """Open a PyAV container that reaches nothing but what it is given.

    Args:
        source: see `av.open`; of a file here its `local_url`.
        protocols: by which FFmpeg may read, with commas.
        more: demuxers that may be used although they open what a file names.
        how: more arguments of `av.open`.

    Raises:
        ValueError: it is a playlist or a script.
        OSError, av.FFmpegError: it cannot be opened.
    """
    options = {"protocol_whitelist": protocols, "format_whitelist": _formats(*more)}
    try:
        return av.open(source, options=options, metadata_errors="replace", **how)
    except av.ArgumentError as error:
        raise ValueError(_IS_SCRIPT) from error


def check_no_script(source: Source) -> None:
    """Raise ValueError for files that decoders with an FFmpeg of their own would follow elsewhere."""
    with open_bytes(source) as file:
        if file.read(32).startswith(_SCRIPTS) or "%" in local_url(source).rpartition("/")[2]:
            raise ValueError(f"not for this reader: {_IS_SCRIPT}")


def open_source(source: Source) -> tuple[Any, Any]:
    """Open a file or a part of one for decoding by one thread.

    Returns:
        A PyAV container, for the caller to close, and its video stream.

    Raises:
        NoVideoError: no video stream (a cover picture is none).
        ValueError: the stream claims absurd dimensions, or the file is a playlist or a script.
        OSError, av.FFmpegError: the file cannot be opened.
    """
    protocols = "file,subfile" if isinstance(source, Part) else "file"
    container = open_input(local_url(source), protocols=protocols)
    try:
        stream = video_stream(container)
        codec = stream.codec_context
        limit_pixels(codec)
        codec.thread_count = 1
        codec.thread_type = "NONE"
    except BaseException:
        container.close()
        raise
    return container, stream


def limit_pixels(codec: Any) -> None:
    """Make a PyAV codec context refuse absurd frames; raise ValueError where the header claims them."""
    if codec.width * codec.height > MAX_PIXELS:
        limit = f"allowed are {MAX_PIXELS} px"
        raise ValueError(f"the file claims frames of {codec.width} x {codec.height} px; {limit}")
    codec.options = {"max_pixels": str(MAX_PIXELS)}  # the bitstream may claim other sizes than the header


def video_streams(container: Any) -> list[Any]:
    """Return the video streams of a PyAV container; cover pictures are none."""
    return [s for s in container.streams.video if not s.disposition & av.stream.Disposition.attached_pic]


def video_stream(container: Any) -> Any:
    """Return the video stream of a PyAV container; raise NoVideoError where there is none."""
    streams = video_streams(container)
    if not streams:
        kinds = sorted({s.type for s in container.streams}) or ["nothing"]
        raise NoVideoError(f"no video stream, only {', '.join(kinds)}")
    best = container.streams.best("video")
    return best if best in streams else streams[0]


def decoded(packet: Any) -> list[Any]:
    """Return the frames of a PyAV packet; an empty one repeats the picture before and has none.

    Raises:
        av.FFmpegError: it is damaged.
    """
    repeats = not packet.size and packet.dts is not None  # the packet that ends a stream is empty, too, without a time
    frames: list[Any] = [] if repeats else packet.decode()
    return frames
