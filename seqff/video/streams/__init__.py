"""Endless sources: frames that come once, from cameras, addresses, pipes, growing folders and iterators."""

from seqff.video.streams.base import Arrival, StreamSource
from seqff.video.streams.kinds import StreamLike, open_stream
from seqff.video.streams.reader import StreamReader

__all__ = ["Arrival", "StreamLike", "StreamReader", "StreamSource", "open_stream"]
