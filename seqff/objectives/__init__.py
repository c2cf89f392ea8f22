"""What a layer minimises by itself: objectives, their tolerances, and the heads they look through."""

from seqff.objectives.base import Objective, WeightedSum
from seqff.objectives.heads import build_head, head_dim
from seqff.objectives.registry import OBJECTIVES, build_objectives
from seqff.objectives.temporal_hinge import temporal_hinge
from seqff.objectives.tolerance import Tolerance, build_tolerances

__all__ = [
    "OBJECTIVES",
    "Objective",
    "Tolerance",
    "WeightedSum",
    "build_head",
    "build_objectives",
    "build_tolerances",
    "head_dim",
    "temporal_hinge",
]
