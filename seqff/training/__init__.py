"""Training in one process: the trainer, its callbacks, strategies, run folders and checkpoints."""

from seqff.training.learner import LayerLearner, build_learners
from seqff.training.run_folder import Run
from seqff.training.strategies import build_strategy
from seqff.training.trainer import Callback, StepReport, Trainer

__all__ = ["Callback", "LayerLearner", "Run", "StepReport", "Trainer", "build_learners", "build_strategy"]
