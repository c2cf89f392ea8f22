"""The calibration before the first step: tolerances from the distances that the untrained layers give."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterable

import torch

from seqff.objectives.tolerance import Tolerance, calibrated
from seqff.training.batches import Example
from seqff.training.learner import LayerLearner

BATCHES = 4
"""Batches that are measured: some 250 positives with the default settings."""


@torch.no_grad()
def calibrate(learners: list[LayerLearner], examples: Iterable[Example]) -> None:
    """Set the tolerances that are to be measured to the quantile over a few batches, all layers untrained.

    The layers themselves stay as they are: copies are run, so that neither running statistics nor draws move. Where
    nothing is to be measured, no batch is asked for.

    Args:
        learners: the layers, bottom to top.
        examples: frames and the relations of their rows; the first few are taken.
    """
    targets = _distances(learners)
    if not targets:
        return
    copies = copy.deepcopy(learners)
    measured = _distances(copies)
    for tolerance in measured:
        tolerance.start_calibration()
    for h, relation in itertools.islice(examples, BATCHES):
        for learner in copies:
            h, _ = learner.loss(h, relation)
    for target, tolerance in zip(targets, measured, strict=True):
        tolerance.finish_calibration()
        target.value.copy_(tolerance.value)


def _distances(learners: list[LayerLearner]) -> list[Tolerance]:
    return calibrated(learner.objective for learner in learners)
