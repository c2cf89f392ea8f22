"""Calibration before the first step: tolerances from the distances under the untrained layers."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterable

import torch

from seqff.objectives.tolerance import Tolerance, calibrated
from seqff.training.batches import Example
from seqff.training.learner import LayerLearner

BATCHES = 4
"""Number of batches measured: about 250 positives with the default settings."""


@torch.no_grad()
def calibrate(learners: list[LayerLearner], examples: Iterable[Example]) -> None:
    """Set calibrated tolerances to a quantile of the distances in a few batches, with all layers untrained.

    Copies of the layers are run, so that running statistics and random states do not change. Without calibrated
    tolerances, no batch is read.

    Args:
        learners: the layers, bottom to top.
        examples: frames and the relations between their rows; only the first few are used.
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
