"""Monitors and alarms during a training: when to look at the layers, and what to say."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

from seqff.config import TrainConfig
from seqff.training.callbacks.alarms import MAY_DIE, MAY_DIE_BARE, Alarms
from seqff.training.learner import ENDLESS_WARMUP, LayerLearner
from seqff.training.monitors import LayerMonitor
from seqff.training.trainer import Callback, StepReport

log = logging.getLogger(__name__)


class CollapseMonitor(Callback):
    """Looks at the layers every `monitor_every` steps, at the first step of each and at the last.

    Args:
        learners: the layers before the first step; they are given their monitors.
        config: `monitor_every`, `on_collapse`, and how long the warm-up is.

    Raises:
        ValueError: a setting out of range.
    """

    def __init__(self, learners: list[LayerLearner], config: TrainConfig) -> None:
        check_monitors(config)
        self.learners, self.every, self.last = learners, config.monitor_every, config.steps - 1
        self.stops = config.on_collapse == "stop"
        self.alarms = Alarms(
            warmup=round(config.optim.warmup * config.steps) if config.steps else ENDLESS_WARMUP,
            may_die=MAY_DIE_BARE if config.encoder.norm == "none" else MAY_DIE,
        )
        for learner in learners if self.every else ():
            learner.monitor = LayerMonitor(learner.layer, learner.head)

    def recall(self, lines: Iterable[dict[str, Any]]) -> None:
        """Take in the lines of an interrupted run: what they led to has been said."""
        for line in lines:
            self.alarms.hear(line)

    def before_step(self, step: int) -> None:
        """Say which layers the coming step looks at."""
        for learner in self.learners:
            if learner.monitor is not None:
                usual = (step + 1) % self.every == 0 or step == self.last
                learner.monitor.due = usual or not self.alarms.seen(learner.name)

    def after_step(self, report: StepReport) -> None:
        """Want the metrics if the step has looked at one of the layers that had a loss in it."""
        looked = any(learner.monitor is not None and learner.monitor.due for learner in report.trained)
        report.log = report.log or looked

    def on_metrics(self, report: StepReport) -> None:
        """Warn of what is new, and want the end if a layer has collapsed and the settings ask for it."""
        new = self.alarms.hear({"step": report.step, **report.metrics})
        for alarm in new:
            log.warning("step %d: %s", report.step, alarm.text)
        report.alarms += [alarm.text for alarm in new]
        if self.stops:
            report.collapsed = "; ".join(alarm.text for alarm in new if alarm.collapse)


def check_monitors(config: TrainConfig) -> None:
    """Raise ValueError unless the settings of monitors and alarms are in range."""
    if config.monitor_every < 0:
        raise ValueError(f"monitor_every must be at least 1, or 0 for never, got {config.monitor_every}")
    if config.on_collapse not in ("warn", "stop"):
        raise ValueError(f"on_collapse is {config.on_collapse!r}: choose from warn, stop")
