"""What a layer minimises by itself: objectives, their tolerances, and the heads they look through."""

from seqff.objectives.heads import build_head
from seqff.objectives.temporal_hinge import temporal_hinge
from seqff.objectives.tolerance import Tolerance, build_tolerances

__all__ = ["Tolerance", "build_head", "build_tolerances", "temporal_hinge"]
