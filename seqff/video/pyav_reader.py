"""The exact reader: uses a table of presentation times from a full decode, and verifies every seek."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from itertools import islice
from typing import Any

import av
import numpy as np

from seqff.video.container import NoVideoError, decoded, open_source
from seqff.video.conversion import ToRgb
from seqff.video.decode_pass import THUMB, fingerprint
from seqff.video.entry import VideoEntry
from seqff.video.levels import Levels, levels_of
from seqff.video.reader import Frames, VideoInfo, VideoReader
from seqff.video.shards import Source
from seqff.video.timestamps import findable

_NEAR = 8  # frames: up to a key frame this near, decoding is cheaper than seeking
_DISPOSABLE = "h264"  # the codec that marks frames without dependents, in any layer


class PyavReader(VideoReader):
    """Reads any file that FFmpeg can decode.

    Frames are counted from the first one. If the entry allows random access, the reader seeks to a key frame and
    discards frames until a key frame with a known presentation time; every further frame must have the next time of the
    table. If a seek fails this check, the reader tries earlier key frames, and finally the beginning.

    On the way to a frame, frames that are displayed earlier and never referenced are not decoded. So times before the
    requested one may be missing, but not its own; otherwise the reader goes back and decodes everything.
    """

    name = "pyav"

    def __init__(self, source: Source, info: VideoInfo, entry: VideoEntry) -> None:
        super().__init__(info)
        self._source, self._to_rgb = source, _conversion(entry, info.height, info.width, entry.levels)
        self._pts = entry.pts
        may_seek = entry.pyav_access == "random" and len(self._pts) > 0
        in_order = bool((np.diff(self._pts) > 0).all())
        keys: list[int] = entry.key_frames.tolist() if may_seek else []
        self._prints = dict(zip(keys, entry.key_prints, strict=True)) if entry.key_prints and may_seek else {}
        self._keys = keys if in_order else findable(self._pts.tolist(), keys)
        self._key_at = {int(self._pts[key]): key for key in self._keys}
        self._to_thumb = _conversion(entry, THUMB, THUMB, levels_of(entry.samples, entry.bits))
        self._may_drop = may_seek and in_order and entry.codec == _DISPOSABLE and not self._prints
        self._container: Any = None
        self._frames: Iterator[Any] = iter(())
        self._next = 0
        self._shown_from = 0  # ticks: unreferenced frames displayed earlier need not be decoded
        self._restart()

    def _frame(self, index: int) -> Frames:
        try:
            return self._to_rgb(self._reach(index))
        except (av.FFmpegError, OSError, ValueError, NoVideoError) as error:
            self._next = self._info.frames + 1
            raise self._error(f"frame {index}: {error}") from error

    def _reach(self, index: int) -> Any:
        before = bisect_right(self._keys, index)
        if index >= self._next and (not before or self._keys[before - 1] <= self._next + _NEAR):
            found = self._decode_on(index)
            if found is not None:
                return found
        for back in (1, 2, 4, 8):
            if back <= before and self._keys[before - back] > 0:
                found = self._land(self._keys[before - back], index)
                if found is not None:
                    return found
        self._restart()
        found = self._decode_on(index)
        if found is None:
            self._may_drop = False
            self._restart()
            found = self._decode_on(index)
        return found

    def _decode_on(self, index: int) -> Any | None:
        """Decode up to `index`; None if frames are missing or have other times, after a seek or with dropped frames."""
        self._aim(index)
        for frame in self._frames:
            at = self._place(frame, self._next)
            if at == index:
                self._next = index + 1
                return frame
            if not self._next <= at < index:
                if self._may_drop or self._landed:
                    return None
                raise ValueError(f"frame {self._next} has another time than when the file was scanned")
            self._next = at + 1
        if self._may_drop or self._landed:
            return None
        raise ValueError(f"the file ends after {self._next} frames; it had {self._info.frames} when it was scanned")

    def _land(self, key: int, index: int) -> Any | None:
        """Seek to a key frame and decode up to `index`; None if the seek cannot be verified."""
        self._next = self._info.frames + 1  # until verified, the decoder's position is unknown
        try:
            self._container.seek(int(self._pts[key]), stream=self._stream, backward=True)
            self._frames = self._decoded()
            self._aim(index)
            at = -1
            for frame in islice(self._frames, index + 1):
                if at < 0 and not frame.key_frame:
                    continue  # leading frames of an open group, whose references may be missing
                at = self._place(frame, at + 1) if at >= 0 else self._landed_at(frame)
                if not 0 <= at <= index or frame.is_corrupt:
                    return None
                if at == index:
                    self._next, self._landed = index + 1, True
                    return frame
        except av.FFmpegError:
            pass  # some demuxers cannot seek, and some decoders fail after a seek
        return None

    def _aim(self, index: int) -> None:
        self._shown_from = int(self._pts[index]) if self._may_drop else 0

    def _place(self, frame: Any, expected: int) -> int:
        """Return a frame's index by its time: the expected one, a later one if frames were dropped, or -1."""
        if not len(self._pts):
            return expected
        if expected < len(self._pts) and frame.pts == self._pts[expected]:
            return expected
        if not self._may_drop or frame.pts is None:
            return -1
        at = int(np.searchsorted(self._pts, frame.pts))
        return at if expected < at < len(self._pts) and frame.pts == self._pts[at] else -1

    def _landed_at(self, frame: Any) -> int:
        """Return the index of the first key frame after a seek; -1 if it is unknown."""
        index = self._key_at.get(frame.pts, -1)
        same = not self._prints or self._prints.get(index) == fingerprint(self._to_thumb(frame))
        return index if same else -1

    def _restart(self) -> None:
        self._release()
        try:
            self._container, self._stream = open_source(self._source)
        except (av.FFmpegError, OSError, ValueError, NoVideoError) as error:
            raise self._error(error) from error
        self._frames, self._next, self._landed = self._decoded(), 0, False

    def _decoded(self) -> Iterator[Any]:
        """Yield frames in display order; errors before the first frame are ignored.

        A stream cut from a longer one begins with packets that cannot be decoded.
        """
        started, dropping = False, False
        context = self._stream.codec_context
        context.skip_frame = "DEFAULT"
        for packet in self._container.demux(self._stream):
            drop = self._may_drop and packet.pts is not None and packet.pts < self._shown_from
            if drop != dropping:
                context.skip_frame, dropping = ("NONREF" if drop else "DEFAULT"), drop
            try:
                frames = decoded(packet)
            except av.InvalidDataError:
                if started:
                    raise
                continue
            for frame in frames:
                started = True
                yield frame

    def _release(self) -> None:
        if self._container is not None:
            self._frames = iter(())
            self._container.close()
            self._container = None


def _conversion(entry: VideoEntry, height: int, width: int, levels: Levels) -> ToRgb:
    return ToRgb(height, width, entry.orientation, levels, entry.crop)
