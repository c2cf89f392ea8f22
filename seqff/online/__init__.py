"""Training on live streams: cameras, addresses, pipes, growing folders, iterators, robots."""

from seqff.online.learner import StreamLearner as StreamLearner
from seqff.online.live import LiveFrame as LiveFrame
from seqff.online.live import LiveStream as LiveStream
from seqff.online.live import open_live as open_live
from seqff.online.reader import StreamReader as StreamReader
from seqff.online.sources import Arrival as Arrival
from seqff.online.sources import StreamLike as StreamLike
from seqff.online.sources import StreamSource as StreamSource
from seqff.online.sources import open_stream as open_stream
from seqff.online.train import stream_learner as stream_learner
