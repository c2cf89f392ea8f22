"""Training on what comes once: cameras, addresses, pipes, growing folders, iterators, robots."""

from seqff.training.streaming.learner import StreamLearner
from seqff.training.streaming.start import stream_learner

__all__ = ["StreamLearner", "stream_learner"]
