"""Training: the layer learner, the trainers, run folders and checkpoints."""

from seqff.training.build import build_trainer
from seqff.training.learner import LayerLearner, build_learners
from seqff.training.loop import Run

__all__ = ["LayerLearner", "Run", "build_learners", "build_trainer"]
