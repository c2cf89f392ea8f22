"""From videos to batches: plan, visits, stream, augmentation, relations between frames."""

from seqff.pairs.batch import FrameBatch, relate
from seqff.pairs.coordinates import Unit, distances
from seqff.pairs.plan import Plan, Visit
from seqff.pairs.stream import PairStream
from seqff.relation import Relation

__all__ = ["FrameBatch", "PairStream", "Plan", "Relation", "Unit", "Visit", "distances", "relate"]
