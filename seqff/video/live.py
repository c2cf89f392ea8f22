"""Live sources: a camera, a network stream or a pipe, frame by frame as they come."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Protocol

import av

from seqff.errors import VideoError
from seqff.video.base import cause_of
from seqff.video.frames import ToRgb, orientation_of
from seqff.video.images import resized
from seqff.video.info import Frames
from seqff.video.opening import checked_size
from seqff.video.source import NoVideoError, video_stream


@dataclass(frozen=True, eq=False)
class LiveFrame:
    """One frame of a live source.

    Args:
        number: counted from 0 over the frames that came.
        time_seconds: when it is shown, by the clock of the stream; of a camera, since it was opened.
        image: uint8 (height, width, 3), RGB, the caller's own.
    """

    number: int
    time_seconds: float
    image: Frames


class _Source(Protocol):
    def frames(self) -> Iterator[tuple[float, Frames]]: ...

    def close(self) -> None: ...


class LiveStream:
    """Frames as they come, once; see `open_live`."""

    def __init__(self, source: _Source) -> None:
        self._source = source
        self._frames = source.frames()
        self._number = -1

    def __iter__(self) -> LiveStream:
        return self

    def __next__(self) -> LiveFrame:
        seconds, image = next(self._frames)
        self._number += 1
        return LiveFrame(self._number, seconds, image)

    def close(self) -> None:
        """Lets go of the source; more than once is fine."""
        self._frames = iter(())
        self._source.close()

    def __enter__(self) -> LiveStream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_live(
    source: int | str | Path | IO[bytes], *, size: tuple[int, int] | None = None, timeout_seconds: float = 10.0
) -> LiveStream:
    """Opens a source that can be read only once and forward.

    Nothing is kept but the frame that is decoded: who reads too slowly makes the sender wait, or loses frames to it.
    Packets that cannot be decoded are passed over, as players do; the times show the hole.

    Args:
        source: number of a camera; an address (rtsp://, http://, udp://, ...), a named pipe or a file; or an open
            binary file such as `sys.stdin.buffer`.
        size: (height, width) px that every frame is resized to; None takes the size of the first frame.
        timeout_seconds: how long an address may stay silent.

    Returns:
        An iterator of `LiveFrame`; close it or use it in a `with`.

    Raises:
        VideoError: the source cannot be opened, or breaks off.
        ValueError: the size or the timeout is none that can be had.
    """
    if not timeout_seconds > 0:
        raise ValueError(f"timeout_seconds must be above 0, got {timeout_seconds}")
    wanted = checked_size(size) if size is not None else None
    if isinstance(source, int):
        return LiveStream(_Camera(source, wanted))
    return LiveStream(_Stream(str(source) if isinstance(source, Path) else source, wanted, timeout_seconds))


class _Stream:
    def __init__(self, source: str | IO[bytes], size: tuple[int, int] | None, timeout_seconds: float) -> None:
        self._name = source if isinstance(source, str) else str(getattr(source, "name", source))
        self._size = size
        try:
            self._container: Any = av.open(source, metadata_errors="replace", timeout=timeout_seconds)
            try:
                self._stream = video_stream(self._container)
            except NoVideoError:
                self._container.close()
                raise
        except (av.FFmpegError, OSError, ValueError, NoVideoError) as error:
            raise VideoError(self._name, "live", cause_of(error)) from error
        self._stream.codec_context.thread_count = 1  # more threads hold frames back

    def frames(self) -> Iterator[tuple[float, Frames]]:
        to_rgb: ToRgb | None = None
        seconds = 0.0
        for packet in self._packets():
            try:
                decoded = packet.decode()
            except av.InvalidDataError:
                continue
            except av.FFmpegError as error:
                raise self._broken(error) from error
            for frame in decoded:
                if to_rgb is None:
                    turn = orientation_of(frame)
                    height, width = self._size or (frame.height, frame.width)[:: -1 if turn[1] else 1]
                    to_rgb = ToRgb(height, width, turn)
                seconds = seconds if frame.time is None else float(frame.time)
                yield seconds, to_rgb(frame)

    def _packets(self) -> Iterator[Any]:
        try:
            yield from self._container.demux(self._stream)
        except (av.FFmpegError, OSError) as error:
            raise self._broken(error) from error

    def _broken(self, error: Exception) -> VideoError:
        return VideoError(self._name, "live", f"broke off: {cause_of(error)}")

    def close(self) -> None:
        self._container.close()


class _Camera:
    def __init__(self, number: int, size: tuple[int, int] | None) -> None:
        import cv2

        self._name, self._size = f"camera {number}", size
        self._capture = cv2.VideoCapture(number)
        self._opened = time.monotonic()
        if not self._capture.isOpened():
            raise VideoError(self._name, "opencv", "there is no such camera, or another program uses it")

    def frames(self) -> Iterator[tuple[float, Frames]]:
        import cv2

        while True:
            came, image = self._capture.read()
            if not came:
                raise VideoError(self._name, "opencv", "gives no more frames")
            self._size = self._size or image.shape[:2]
            yield time.monotonic() - self._opened, resized(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), *self._size)

    def close(self) -> None:
        self._capture.release()
