"""Warning about more computing threads than free cores."""

from __future__ import annotations

import logging

import torch

from seqff.cores import FreeCores, crowding
from seqff.training.trainer import Callback, StepReport

STEPS = 10
"""Number of steps observed."""

log = logging.getLogger(__name__)


class Crowding(Callback):
    """Warns once, after a few steps, if there are more computing threads than free cores."""

    def __init__(self) -> None:
        self.free, self.steps = FreeCores(), 0

    def after_step(self, report: StepReport) -> None:
        self.steps += 1
        if self.steps == STEPS and (said := crowding(torch.get_num_threads(), self.free())):
            log.warning("%s", said)
