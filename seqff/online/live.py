"""Live sources (a camera, a network stream or a pipe), read frame by frame."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

import av

from seqff.errors import VideoError
from seqff.video.container import NoVideoError, decoded, limit_pixels, local_url, open_input, video_stream
from seqff.video.conversion import ToRgb, declared_bits, display_size, orientation_of, pixel_aspect, plausible_aspect
from seqff.video.find import as_path
from seqff.video.images import FPS, resized
from seqff.video.levels import SeenLevels, deep, samples_of
from seqff.video.opening import checked_size
from seqff.video.reader import Frames, cause_of

Size = tuple[int, int]
"""(height, width), px."""
_PROTOCOLS = (
    "crypto,data,dtls,ffrtmpcrypt,ffrtmphttp,ftp,ftps,http,httpproxy,https,mmsh,mmst,rist,rtmp,rtmpe,rtmps,rtmpt,"
    "rtmpte,rtmpts,rtp,rtsp,rtsps,sctp,srt,srtp,tcp,tls,udp,udplite"
)
"""Protocols for streams from servers. None accesses this machine, so a playlist cannot either."""
_DEVICE = re.compile(r"/dev/video(\d+)")
_PLAYLISTS = (".m3u8", ".m3u")
_ADDRESS = re.compile(r"(?P<scheme>\w+://)(?P<user>[^/@]*@)?(?P<rest>[^?]*)(?P<query>\?.*)?", re.DOTALL)


@dataclass(frozen=True, eq=False)
class LiveFrame:
    """One frame of a live source.

    Args:
        number: index among the received frames, from 0.
        time_seconds: presentation time since the first frame; for a camera, since it was opened.
        image: uint8 (height, width, 3), RGB, owned by the caller.
    """

    number: int
    time_seconds: float
    image: Frames


class LiveStream:
    """Single-pass iterator of frames; see `open_live`.

    Attributes:
        finite: whether the source has a known length: it ends for good, and restarts when opened again.
    """

    finite = False

    def __init__(self) -> None:
        self._frames, self._number = self._read(), -1

    def _read(self) -> Iterator[tuple[float, Frames]]:
        """Yield presentation times, seconds, and frames."""
        raise NotImplementedError

    def __iter__(self) -> LiveStream:
        return self

    def __next__(self) -> LiveFrame:
        seconds, image = next(self._frames)
        self._number += 1
        return LiveFrame(self._number, seconds, image)

    def close(self) -> None:
        """Close the source; may be called more than once."""
        self._frames = iter(())

    def __enter__(self) -> LiveStream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_live(
    source: int | str | Path | IO[bytes],
    *,
    size: Size | Callable[[int, int], Size] | None = None,
    timeout_seconds: float = 10.0,
    fps: float = 0.0,
) -> LiveStream:
    """Open a source that can only be read once, in order.

    Only the frame being decoded is buffered: a slow reader makes the sender wait, or loses frames. Packets that cannot
    be decoded are skipped, as players do; the times show the gap.

    Args:
        source: index of a camera, or its device (/dev/video0); an address (rtsp://, http://, udp://, ...), a named pipe
            or a file; or an open binary file such as `sys.stdin.buffer`.
        size: (height, width) px to which frames are resized, or a function that computes it from the (height, width) of
            the first frame; None keeps the size of the first frame.
        timeout_seconds: how long an address may be silent.
        fps: frames per second of a source without timestamps, such as raw H.264; 0 uses the rate in the source, or 25.

    Returns:
        An iterator of `LiveFrame`; close it, or use it in a `with` block.

    Raises:
        VideoError: the source cannot be opened, or breaks off.
        ValueError: an invalid size or timeout.
    """
    if not timeout_seconds > 0:
        raise ValueError(f"timeout_seconds must be above 0, got {timeout_seconds}")
    wanted = _size_from(size)
    device = _DEVICE.fullmatch(str(source)) if isinstance(source, (str, Path)) else None
    if isinstance(source, int) or device:
        return _Camera(int(device[1]) if device else cast(int, source), wanted)
    return _Stream(str(source) if isinstance(source, Path) else source, wanted, timeout_seconds, fps)


def _size_from(size: Size | Callable[[int, int], Size] | None) -> Callable[[int, int], Size]:
    if callable(size):
        return size
    fixed = None if size is None else checked_size(size)
    return lambda height, width: fixed or (height, width)


def shown_name(source: object) -> str:
    """Return the name of a source for logs and files: an address without user, password and query."""
    if isinstance(source, int):
        return f"camera {source}"
    text = str(source if isinstance(source, (str, Path)) else getattr(source, "name", type(source).__name__))
    match = _ADDRESS.fullmatch(text)
    if not match:
        return text
    return match["scheme"] + ("***@" if match["user"] else "") + match["rest"] + ("?..." if match["query"] else "")


def _opened(source: str | IO[bytes], timeout_seconds: float) -> Any:
    """Open an address, whose playlist may only name other servers, or a local file, which may name nothing else.

    Raises:
        ValueError, OSError, av.FFmpegError: see `open_input`.
    """
    if not isinstance(source, str):
        return open_input(source, protocols="none", timeout=timeout_seconds)
    scheme, is_address, _ = source.partition("://")
    if is_address and scheme.lower() in _PROTOCOLS.split(","):
        more = ("hls", "rtp", "rtsp", "sap")
        return open_input(source, protocols=_PROTOCOLS, more=more, timeout=timeout_seconds)
    path = as_path(source)
    if path.suffix.lower() in _PLAYLISTS:
        return open_input(local_url(path), protocols="file,crypto", more=("hls",), timeout=timeout_seconds)
    return open_input(local_url(path), protocols="file", timeout=timeout_seconds)


class _Stream(LiveStream):
    def __init__(
        self, source: str | IO[bytes], size: Callable[[int, int], Size], timeout_seconds: float, fps: float
    ) -> None:
        self._given, self._name, self._size = source, shown_name(source), size
        try:
            self._container: Any = _opened(source, timeout_seconds)
            try:
                self._stream = video_stream(self._container)
                limit_pixels(self._stream.codec_context)
            except (NoVideoError, ValueError):
                self._container.close()
                raise
        except (av.FFmpegError, OSError, ValueError, NoVideoError) as error:
            raise VideoError(self._name, "live", self._cause(error)) from error
        self.finite = self._container.size > 0
        self._step = 1 / (fps or float(self._stream.guessed_rate or 0) or FPS)
        self._stream.codec_context.thread_count = 1  # more threads would delay frames
        super().__init__()

    def _read(self) -> Iterator[tuple[float, Frames]]:
        to_rgb: ToRgb | None = None
        seconds, since, levels = -self._step, None, SeenLevels()
        for packet in self._packets():
            try:
                frames = decoded(packet)
            except av.InvalidDataError:
                continue
            except av.FFmpegError as error:
                raise self._broken(error) from error
            for frame in frames:
                if to_rgb is None:
                    turn, pixel = orientation_of(frame), plausible_aspect(pixel_aspect(self._stream))
                    shape = self._size(*display_size((frame.height, frame.width), pixel)[:: -1 if turn[1] else 1])
                    to_rgb = ToRgb(*shape, turn)
                if deep(frame.format.name):
                    to_rgb.levels = levels(samples_of(frame), declared_bits(frame.format.name))
                if frame.time is None:
                    seconds += self._step
                else:
                    since = float(frame.time) - (seconds + self._step) if since is None else since
                    seconds = float(frame.time) - since
                yield seconds, to_rgb(frame)

    def _packets(self) -> Iterator[Any]:
        try:
            yield from self._container.demux(self._stream)
        except (av.FFmpegError, OSError) as error:
            raise self._broken(error) from error

    def _broken(self, error: Exception) -> VideoError:
        return VideoError(self._name, "live", f"broke off: {self._cause(error)}")

    def _cause(self, error: Exception) -> str:
        cause = cause_of(error)
        return cause.replace(self._given, self._name) if isinstance(self._given, str) else cause

    def close(self) -> None:
        super().close()
        self._container.close()


class _Camera(LiveStream):
    def __init__(self, number: int, size: Callable[[int, int], Size]) -> None:
        import cv2

        self._name, self._size = shown_name(number), size
        self._capture = cv2.VideoCapture(number)
        self._opened = time.monotonic()
        if not self._capture.isOpened():
            raise VideoError(self._name, "opencv", "there is no such camera, or another program uses it")
        super().__init__()

    def _read(self) -> Iterator[tuple[float, Frames]]:
        import cv2

        shape: Size | None = None
        while True:
            came, image = self._capture.read()
            if not came:
                raise VideoError(self._name, "opencv", "gives no more frames")
            shape = shape or self._size(*image.shape[:2])
            yield time.monotonic() - self._opened, resized(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), *shape)

    def close(self) -> None:
        super().close()
        self._capture.release()
