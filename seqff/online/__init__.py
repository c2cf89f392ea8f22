"""Learning from what comes once: cameras, addresses, pipes, growing folders, iterators, robots."""

from seqff.online.learner import StreamLearner
from seqff.online.live import LiveFrame, LiveStream, open_live
from seqff.online.reader import StreamReader
from seqff.online.sources import Arrival, StreamLike, StreamSource, open_stream
from seqff.online.train import stream_learner

__all__ = [
    "Arrival",
    "LiveFrame",
    "LiveStream",
    "StreamLearner",
    "StreamLike",
    "StreamReader",
    "StreamSource",
    "open_live",
    "open_stream",
    "stream_learner",
]
