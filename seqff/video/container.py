"""Open the video stream of a file with PyAV, for both the scan and the readers."""

from __future__ import annotations

import errno
from functools import cache
from pathlib import Path
from typing import Any

import av
from av.format import ContainerFormat, formats_available

from seqff.video.shards import Part, Source, open_bytes

MAX_PIXELS = 2**26
"""Maximum number of pixels of a frame (8192 x 8192); more indicates a damaged header, or an attack on memory."""
_READ_OTHERS = """
    alsa android_camera avfoundation avisynth concat dash decklink dshow fbdev gdigrab gfxcapture hls iec61883 image2
    imf jack kmsgrab lavfi libcdio libdc1394 openal oss pulse rtp rtsp sap sdp sndio v4l2 vapoursynth vfwcap
    video4linux2 vobsub webm_dash_manifest x11grab xcbgrab
"""
_SCRIPTS = (b"#EXTM3U", b"ffconcat version")
_IS_SCRIPT = "a playlist or script that names other files: only what lies in one file is read"


class NoVideoError(Exception):
    """The file can be opened but has no video stream."""


def local_url(source: Source) -> str:
    """Return a path in a form that FFmpeg treats as a file, whatever its name begins with (`concat:`, `http:`).

    For a part of a file, FFmpeg sees only the bytes of the part (its `subfile` protocol).
    """
    if isinstance(source, Part):
        return f"subfile,,start,{source.start},end,{source.start + source.size},,:{local_url(source.file)}"
    return f"file:{Path(source).absolute()}"


@cache
def _formats(*more: str) -> str:
    """Return FFmpeg's list of demuxers that open no other files, plus the given ones."""
    known = {name for names in map(_demuxer, formats_available) for name in names.split(",")}
    return ",".join(sorted(known - {*_READ_OTHERS.split()} | {*more}))


def _demuxer(name: str) -> str:
    try:
        return str(ContainerFormat(name, "r").name)
    except ValueError:  # formats that can only be written
        return ""


def open_input(source: Any, *, protocols: str, more: tuple[str, ...] = (), **how: Any) -> Any:
    """Open a PyAV container that cannot access anything but the given source.

    Args:
        source: see `av.open`; for a local file, its `local_url`.
        protocols: allowed FFmpeg protocols, comma-separated.
        more: demuxers that are allowed although they open other files.
        how: further arguments of `av.open`.

    Raises:
        ValueError: the source is a playlist or a script.
        OSError, av.FFmpegError: the source cannot be opened.
    """
    options = {"protocol_whitelist": protocols, "format_whitelist": _formats(*more)}
    try:
        return av.open(source, options=options, metadata_errors="replace", **how)
    except av.FFmpegError as error:  # its class for EINVAL has another name in older PyAV
        if error.errno == errno.EINVAL:
            raise ValueError(_IS_SCRIPT) from error
        raise


def check_no_script(source: Source) -> None:
    """Raise ValueError for files with references that decoders with their own FFmpeg would follow."""
    with open_bytes(source) as file:
        if file.read(32).startswith(_SCRIPTS) or "%" in local_url(source).rpartition("/")[2]:
            raise ValueError(f"not for this reader: {_IS_SCRIPT}")


def open_source(source: Source) -> tuple[Any, Any]:
    """Open a file, or a part of one, for single-threaded decoding.

    Returns:
        A PyAV container, which the caller must close, and its video stream.

    Raises:
        NoVideoError: there is no video stream (cover pictures do not count).
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
    """Make a PyAV codec context reject absurdly large frames; raises ValueError if the header claims them."""
    if codec.width * codec.height > MAX_PIXELS:
        limit = f"allowed are {MAX_PIXELS} px"
        raise ValueError(f"the file claims frames of {codec.width} x {codec.height} px; {limit}")
    codec.options = {"max_pixels": str(MAX_PIXELS)}  # the bitstream may claim another size than the header


def video_streams(container: Any) -> list[Any]:
    """Return the video streams of a PyAV container, without cover pictures."""
    return [s for s in container.streams.video if not s.disposition & av.stream.Disposition.attached_pic]


def video_stream(container: Any) -> Any:
    """Return the video stream of a PyAV container; raises NoVideoError if there is none."""
    streams = video_streams(container)
    if not streams:
        kinds = sorted({s.type for s in container.streams}) or ["nothing"]
        raise NoVideoError(f"no video stream, only {', '.join(kinds)}")
    best = container.streams.best("video")
    return best if best in streams else streams[0]


def decoded(packet: Any) -> list[Any]:
    """Return the frames of a PyAV packet. An empty packet repeats the previous picture, and has none.

    Raises:
        av.FFmpegError: the packet is damaged.
    """
    repeats = not packet.size and packet.dts is not None  # the final flush packet is empty too, but has no time
    frames: list[Any] = [] if repeats else packet.decode()
    return frames
