"""Training: the layer learner, the local trainer, run folders and checkpoints."""

from seqff.training.learner import LayerLearner, build_learners
from seqff.training.train import Run, train, train_step

__all__ = ["LayerLearner", "Run", "build_learners", "train", "train_step"]
