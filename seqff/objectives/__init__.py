"""Objectives: the losses of layers, with their tolerances and heads."""

from seqff.objectives.base import Objective as Objective
from seqff.objectives.base import WeightedSum as WeightedSum
from seqff.objectives.heads import build_head as build_head
from seqff.objectives.heads import head_dim as head_dim
from seqff.objectives.registry import OBJECTIVES as OBJECTIVES
from seqff.objectives.registry import build_objectives as build_objectives
from seqff.objectives.temporal_hinge import temporal_hinge as temporal_hinge
from seqff.objectives.tolerance import Tolerance as Tolerance
from seqff.objectives.tolerance import build_tolerances as build_tolerances
